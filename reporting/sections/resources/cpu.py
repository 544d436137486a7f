"""CPU: what a job costs, and how the cores are used as the load grows."""

from __future__ import annotations

from reelbench.reporting.analysis.process_usage import PROCESSES, UNDER_TEST, cpu, idle_cores, job_seconds, utilisation
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Bullets, Chart, Paragraph, Section, Series, Table
from reelbench.reporting.evidence.evidence import Evidence, case_seconds, place_name
from reelbench.reporting.sections.common import not_run

DIMENSION = "resources"
SCENARIO = "resource_scaling"


def section(evidence: Evidence) -> Section:
    """CPU by process for each job, and utilisation against concurrency."""
    cores = evidence.run.environment.cpu_count
    rows = []
    for scenario, case in evidence.cases(DIMENSION):
        jobs = len(evidence.case_jobs(scenario.name, case.name))
        length = case_seconds(case)
        parts = [cpu(evidence, scenario.name, case, process) for process in PROCESSES]
        if not any(parts) or not length:
            continue
        together = cpu(evidence, scenario.name, case, *UNDER_TEST)
        each = together.seconds / jobs if together and jobs else None
        rows.append(
            (
                place_name(scenario.name, case.name),
                text.count(case.concurrency),
                text.count(jobs),
                text.number(length, 1),
                *(text.number(part.seconds if part else None) for part in parts),
                text.milliseconds(each),
                text.milliseconds(job_seconds(evidence, scenario.name, case)),
                text.percent(utilisation(evidence, scenario.name, case)),
            )
        )
    if not rows:
        return Section("CPU", (Paragraph("No samples of CPU time were stored around the cases of this run."),))
    columns = (
        "Scenario / case", "In flight", "Jobs", "Length [s]", *(f"{process.capitalize()} [s]" for process in PROCESSES),
        "Service + media [ms/job]",
        "Above rest [ms/job]", "Utilisation %",
    )  # fmt: skip
    rest = idle_cores(evidence)
    known = f"{rest:.3f} cores, telemetry included" if rest is not None else "not measured, so nothing is taken off"
    caption = (
        "CPU time, user and system, between the two samples that enclose a case, by their own times; they may reach "
        "one scrape interval into the rest on either side. Service and media workers use at rest: "
        f"{known}; above rest is without it. Utilisation: service and media workers, of the machine's {cores} cores, "
        "by the length of the case, without what they use at rest around it. Providers and load generator share the "
        "machine."
    )
    blocks: list[Block] = []
    average = evidence.measured("cpu_utilisation", SCENARIO)
    if average is not None and average.value is not None:
        sentence = (
            f"Average over all levels of `{SCENARIO}`: **{average.value * 100:.1f} %** of {cores} cores (n = "
            f"{average.n} jobs)."
        )
        blocks.append(Bullets((sentence,)))
    elif evidence.scenario(SCENARIO) is None:
        blocks += not_run(SCENARIO)
    blocks.append(Table(columns, tuple(rows), columns[1:], caption))
    return Section("CPU", (*blocks, *_chart(evidence)))


def levels(evidence: Evidence) -> list[tuple[int, float, int]]:
    """In flight, utilisation and jobs of each level of the scaling scenario, lowest first."""
    found = evidence.scenario(SCENARIO)
    return sorted(
        (case.concurrency, share, len(evidence.case_jobs(SCENARIO, case.name)))
        for case in (found.cases if found else [])
        if case.started is not None and (share := utilisation(evidence, SCENARIO, case)) is not None
    )


def _chart(evidence: Evidence) -> tuple[Chart, ...]:
    drawn = levels(evidence)
    if len(drawn) < 2:  # noqa: PLR2004 - one point is no line
        return ()
    objective = evidence.catalogue.get("cpu_utilisation").objective
    return (
        Chart(
            name="cpu_by_concurrency",
            kind="line",
            title="CPU utilisation by concurrency",
            x_label="Jobs in flight",
            y_label="Utilisation [% of all cores]",
            series=(
                Series(
                    "service + media workers",
                    tuple(float(level) for level, _, _ in drawn),
                    tuple(share * 100 for _, share, _ in drawn),
                ),
            ),
            caption="CPU of service and media workers by the length of the case and the machine's cores, "
            f"n = {', '.join(f'{jobs} at {level}' for level, _, jobs in drawn)} jobs.",
            limit=(f"objective {objective.value * 100:g} %, on average", objective.value * 100) if objective else None,
        ),
    )

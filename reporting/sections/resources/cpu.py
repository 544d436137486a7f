"""CPU: time per job, and utilisation as the load grows."""

from __future__ import annotations

from reelbench.reporting.analysis import subjects
from reelbench.reporting.analysis.process_usage import PROCESSES, UNDER_TEST, cpu, idle_cores, job_seconds, utilisation
from reelbench.reporting.catalogue.sli import Role
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Bullets, Chart, Paragraph, Section, Series, Table
from reelbench.reporting.evidence.dimension import Dimension
from reelbench.reporting.evidence.evidence import Evidence, case_seconds, place_name


def section(evidence: Evidence) -> Section:
    """Return CPU time by process and per job, and utilisation by concurrency."""
    cores = evidence.run.environment.cpu_count
    rows = []
    for scenario, case in evidence.cases(Dimension.RESOURCES):
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
        "Service + media [ms/job]", "Above idle [ms/job]", "Utilisation %",
    )  # fmt: skip
    rest = idle_cores(evidence)
    known = f"{rest:.3f} cores, with telemetry" if rest is not None else "not measured, so not subtracted"
    caption = (
        "CPU time, user and system, between the two samples that enclose a case; they can reach one scrape interval "
        f"into the cooldown on either side. Service and media workers use without load: {known}; above idle is without "
        f"that. Utilisation: service and media workers, of the machine's {cores} cores, over the length of the case, "
        "without idle use around it. Providers and load generator share the machine."
    )
    blocks: list[Block] = []
    scaling = subjects.load_levels(evidence, Dimension.RESOURCES)
    average = evidence.measured(Role.CPU_UTILISATION, scaling.name) if scaling else None
    if scaling is None:
        blocks.append(Paragraph("No scenario of this run has several levels of closed load."))
    elif average is not None and average.value is not None:
        sentence = (
            f"Average over all levels of `{scaling.name}`: **{average.value * 100:.1f} %** of {cores} cores (n = "
            f"{average.n} jobs)."
        )
        blocks.append(Bullets((sentence,)))
    blocks.append(Table(columns, tuple(rows), columns[1:], caption))
    return Section("CPU", (*blocks, *_chart(evidence)))


def levels(evidence: Evidence) -> list[tuple[int, float, int]]:
    """Return jobs in flight, utilisation and jobs of each level of load, lowest first."""
    found = subjects.load_levels(evidence, Dimension.RESOURCES)
    return sorted(
        (case.concurrency, share, len(evidence.case_jobs(found.name, case.name)))
        for case in (found.cases if found else ())
        if found and (share := utilisation(evidence, found.name, case)) is not None
    )


def together(evidence: Evidence) -> float | None:
    """Return the greatest share of all cores that the processes of the run use together at a level; None if unknown.

    Programs outside the run are not in it, so the machine may be fuller.
    """
    found = subjects.load_levels(evidence, Dimension.RESOURCES)
    used = [cpu(evidence, found.name, case, *PROCESSES) for case in found.cases] if found else []
    if not used or any(one is None or not one.length for one in used):
        return None
    return max(one.seconds / one.length for one in used if one) / evidence.run.environment.cpu_count


def _chart(evidence: Evidence) -> tuple[Chart, ...]:
    drawn = levels(evidence)
    if len(drawn) < 2:  # noqa: PLR2004 - one point is no line
        return ()
    objective = evidence.objective(Role.CPU_UTILISATION)
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
            caption="CPU of service and media workers over the length of the case, of the machine's cores, "
            f"n = {', '.join(f'{jobs} at {level}' for level, _, jobs in drawn)} jobs.",
            limit=(f"objective {objective.value * 100:g} %, on average", objective.value * 100) if objective else None,
        ),
    )

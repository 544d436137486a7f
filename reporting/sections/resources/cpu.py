"""CPU: time per job, and utilisation as the load grows."""

from __future__ import annotations

from reelbench.reporting.analysis import subjects
from reelbench.reporting.analysis.cpu_usage import Idle, job_cpu, job_seconds, utilisation
from reelbench.reporting.analysis.process_usage import PROCESSES, UNDER_TEST, cpu
from reelbench.reporting.catalogue.sli import Role
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Bullets, Chart, Paragraph, Section, Series, Table
from reelbench.reporting.evidence.dimension import Dimension
from reelbench.reporting.evidence.evidence import Evidence, case_seconds, place_name
from reelbench.reporting.evidence.limits import Limits
from reelbench.reporting.statistics.intervals import Interval


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
        share = utilisation(evidence, scenario.name, case)
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
                text.percent(share.share.value if share else None),
            )
        )
    if not rows:
        return Section("CPU", (Paragraph("No samples of CPU time were stored around the cases of this run."),))
    columns = (
        "Scenario / case", "In flight", "Jobs", "Length [s]", *(f"{process.capitalize()} [s]" for process in PROCESSES),
        "Service + media [ms/job]", "Above idle [ms/job]", "Utilisation %",
    )  # fmt: skip
    caption = (
        "CPU time, user and system, of each case. Above idle is without what service and media workers use without "
        f"load, see the next table. Utilisation: service and media workers, of the machine's {cores} cores, over the "
        "length of the case. Providers and load generator share the machine. Between scrapes, CPU time is that between "
        "the two that enclose a case, so it can reach one interval into the cooldown on either side."
    )
    blocks: list[Block] = []
    scaling = subjects.load_levels(evidence, Dimension.RESOURCES)
    average = evidence.measured(Role.CPU_UTILISATION, scaling.name) if scaling else None
    if scaling is None:
        blocks.append(Paragraph("No scenario of this run has several levels of closed load."))
    elif average is not None and average.value is not None:
        sentence = (
            f"Average over all levels of `{scaling.name}`: **{average.value * 100:.1f} %** of {cores} cores "
            f"({_limits(average.interval)}n = {average.n} blocks)."
        )
        blocks.append(Bullets((sentence,)))
    blocks.append(Table(columns, tuple(rows), columns[1:], caption))
    blocks.append(_estimates(evidence))
    return Section("CPU", (*blocks, *_chart(evidence)))


def _limits(limits: Limits | None) -> str:
    if limits is None or limits.lower is None or limits.upper is None:
        return ""
    return f"95 % CI {limits.lower * 100:.1f} to {limits.upper * 100:.1f} %, "


def _estimates(evidence: Evidence) -> Table:
    """Return what the CPU figures of each case rest on, with their intervals."""
    rows = []
    for scenario, case in evidence.cases(Dimension.RESOURCES):
        each = job_cpu(evidence, scenario.name, case)
        share = utilisation(evidence, scenario.name, case)
        if each is None or share is None:
            continue
        limits = share.share.interval
        rows.append(
            (
                place_name(scenario.name, case.name),
                text.milliseconds(each.value),
                _range(each.interval, 1000.0),
                text.percent(share.share.value),
                _range(limits, 100.0),
                text.count(each.blocks),
                *_idle(each.idle),
                each.source,
            )
        )
    columns = (
        "Scenario / case", "Above idle [ms/job]", "95 % CI [ms/job]", "Utilisation %", "95 % CI %", "Blocks",
        "Idle [cores]", "Idle 95 % CI", "Idle from", "Source",
    )  # fmt: skip
    caption = (
        "Intervals by Student's t over the blocks of a case; that of the CPU per job holds the uncertainty of the idle "
        "use too. Blocks end between jobs for one job at a time, else they are as long as the median job or longer, at "
        "most 10. Idle from rests: blocks of 0.25 s, or scrapes, directly before and after the case. Source reader: 20 "
        "samples per second by the load generator from the machine of the processes; scrapes: samples of Prometheus."
    )
    return Table(columns, tuple(rows), columns[1:8], caption)


def _range(limits: Interval, factor: float) -> str:
    if limits.lower is None or limits.upper is None:
        return text.NONE
    return f"{max(limits.lower, 0.0) * factor:,.1f} to {limits.upper * factor:,.1f}"


def _idle(found: Idle | None) -> tuple[str, str, str]:
    if found is None:
        return text.NONE, text.NONE, "not measured, not subtracted"
    limits = found.cores.interval
    known = limits.lower is not None and limits.upper is not None
    spread = f"{max(limits.lower or 0.0, 0.0):.3f} to {limits.upper:.3f}" if known else text.NONE
    return f"{found.cores.value:.3f}", spread, "rests" if found.around else "idle case"


def levels(evidence: Evidence) -> list[tuple[int, float, int]]:
    """Return jobs in flight, utilisation and jobs of each level of load, lowest first."""
    found = subjects.load_levels(evidence, Dimension.RESOURCES)
    return sorted(
        (case.concurrency, share.share.value, len(evidence.case_jobs(found.name, case.name)))
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

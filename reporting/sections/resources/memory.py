"""Memory: idle, at the peak, per job, and whether it leaks."""

from __future__ import annotations

from reelbench.reporting.analysis import subjects
from reelbench.reporting.analysis.leak import EDGE, HORIZON, Leak, leak
from reelbench.reporting.analysis.process_usage import PROCESSES, UNDER_TEST, Memory, gauge, memory
from reelbench.reporting.catalogue.sli import Role
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Bullets, Chart, Paragraph, Section, Series, Table
from reelbench.reporting.evidence.dimension import Dimension
from reelbench.reporting.evidence.evidence import Evidence, place_name
from reelbench.reporting.evidence.process_samples import Source


def section(evidence: Evidence) -> Section:
    """Return the memory of every process in every case."""
    items = [sentence for sentence in (_idle(evidence), _single(evidence)) if sentence]
    blocks: list[Block] = [Bullets(tuple(items))] if items else []
    rows = _rows(evidence)
    if not rows:
        return Section("Memory", (Paragraph("No samples of memory were stored in the cases of this run."),))
    columns = (
        "Scenario / case", "Process", "Samples", "Before", "Median", "Peak", "After", "Peak - before",
        "Per job in flight", "Source",
    )  # fmt: skip
    caption = (
        "Resident memory in MB (10^6). Before: the last sample before the first job. After: the last sample of the "
        "cooldown after the case, in which no job is sent. Media workers: the service's processes that read documents "
        "and compose videos; shared pages count for each of them. Peaks between two samples are not seen. Source "
        "reader: 20 samples per second from the machine of the processes; scrapes: samples of Prometheus. Jobs can "
        "reuse memory that a process kept free after an earlier, heavier load; on a fresh service a job needs more."
    )
    return Section("Memory", (*blocks, Table(columns, rows, columns[2:-1], caption)))


def _rows(evidence: Evidence) -> tuple[tuple[str, ...], ...]:
    rows = []
    for scenario, case in evidence.cases(Dimension.RESOURCES):
        for process in ("service + media workers", *PROCESSES):
            parts = UNDER_TEST if process == "service + media workers" else (process,)
            found = memory(evidence, scenario.name, case, *parts)
            if found is None:
                continue
            each = found.growth / case.concurrency if found.growth is not None and case.concurrency else None
            rows.append(
                (
                    place_name(scenario.name, case.name),
                    process,
                    text.count(found.n),
                    *(
                        text.megabytes(value)
                        for value in (found.before, found.median, found.peak, found.after, found.growth)
                    ),
                    text.megabytes(each, 2) if len(parts) > 1 else text.NONE,
                    found.source,
                )
            )
    return tuple(rows)


def single(evidence: Evidence) -> tuple[Memory, int] | None:
    """Return the memory through the case with one job at a time, and its jobs."""
    found = subjects.single_job(evidence)
    held = memory(evidence, found.name, found.case, *UNDER_TEST) if found else None
    return (held, len(evidence.case_jobs(found.name, found.case.name))) if found and held else None


def _idle(evidence: Evidence) -> str:
    found = subjects.idle(evidence)
    idle = memory(evidence, found.name, found.case, *UNDER_TEST) if found else None
    if found is None or idle is None:
        return ""
    return (
        f"Without load (`{found.name}`), service and media workers hold **{text.amount(idle.median)}** (median, "
        f"n = {idle.n} samples)."
    )


def _single(evidence: Evidence) -> str:
    found = single(evidence)
    if found is None or found[0].growth is None:
        return ""
    held, jobs = found
    sentence = (
        f"Jobs one at a time need up to **{text.amount(held.growth)}** above the memory before them (peak minus "
        f"before, n = {jobs} jobs)"
    )
    if held.kept is None or not jobs:
        return f"{sentence}."
    if held.kept <= 0:
        return f"{sentence}; all of it was released after the cooldown."
    return (
        f"{sentence}; {text.amount(held.kept)} of it was not released after the cooldown, "
        f"{text.amount(held.kept / jobs)} per job."
    )


def sequential_growth(evidence: Evidence) -> Leak | None:
    """Return the growth of memory through sequential jobs."""
    found = subjects.sequential_jobs(evidence)
    return leak(evidence, found.name, found.case) if found else None


def lasting(evidence: Evidence) -> str:
    """Return what a job leaves behind, for one job at a time, as the end of a sentence; empty where not known."""
    subject, found = subjects.sequential_jobs(evidence), sequential_growth(evidence)
    if subject is None or found is None:
        return ""
    return (
        f"; lasting growth **{text.amount(found.trend.slope)}** per job in `{subject.name}` ({_limits(found)}, "
        f"n = {_values(found)})"
    )


def _limits(found: Leak) -> str:
    """Return the interval of a slope; a median of slopes is exactly zero when many of them are."""
    lower, upper = found.trend.interval.lower, found.trend.interval.upper
    why = ", as many pairs of jobs have equal memory" if lower == upper == 0 else ""
    return f"95 % CI {text.amount(lower)} to {text.amount(upper)}{why}"


def _values(found: Leak) -> str:
    """Return the number of values in a trend, and what each of them is."""
    if found.source is not Source.READER:
        return f"{found.trend.n} samples"
    what = "job" if found.group == 1 else f"{found.group} jobs"
    return f"{found.trend.n} medians of 20 samples per second, one for each {what}"


def leak_verdict(evidence: Evidence) -> str:
    """Return LEAK, NO LEAK or INCONCLUSIVE, by the catalogue's budget; too few samples excuse no proven leak."""
    found = sequential_growth(evidence)
    sli = evidence.catalogue.of_role(Role.MEMORY_LEAKED)
    if found is None or sli is None or sli.objective is None:
        return "INCONCLUSIVE"
    if found.projected > sli.objective.value:
        return "LEAK"
    return "INCONCLUSIVE" if found.trend.n < sli.min_n else "NO LEAK"


def leak_section(evidence: Evidence) -> Section:
    """Return whether memory grows from job to job."""
    title = "Memory leak"
    subject, found = subjects.sequential_jobs(evidence), sequential_growth(evidence)
    if subject is None:
        sentence = (
            f"No case of this run has {subjects.LEAK_JOBS} and more jobs one after the other with the caches off."
        )
        return Section(title, (Paragraph(sentence),))
    if found is None:
        return Section(title, (Paragraph("**INCONCLUSIVE**: too few samples of memory in the case for a trend."),))
    sli = evidence.catalogue.of_role(Role.MEMORY_LEAKED)
    budget = sli.objective.value if sli and sli.objective else 0.0
    drift = found.trend
    few = f", n too small: {_values(found)}, needs {sli.min_n}" if sli and drift.n < sli.min_n else ""
    few = "" if leak_verdict(evidence) == "LEAK" else few
    first_order = " and AR(1)" if found.source is Source.READER else ""
    items = (
        f"Verdict for `{subject.name}`: **{leak_verdict(evidence)}**{few}.",
        (
            f"Trend: {'significant' if drift.significant else 'not significant'} (p = {drift.p:.3g}, Mann-Kendall "
            f"after Hamed and Rao with 3 lags{first_order}, n = {_values(found)}, variance "
            f"widened {drift.inflation:.2f} times); "
            f"slope {text.amount(drift.slope)} per job (Theil-Sen, {_limits(found)})."
        ),
        (
            f"Rule: LEAK when the trend is significant and the leak per {HORIZON:,} jobs (lower 95 % limit of the "
            f"slope) is > {text.amount(budget)}; measured: {text.amount(found.projected)}"
            f"{'' if drift.significant else ', as the trend is not significant'}."
        ),
        (
            f"Growth over {found.jobs} jobs after the warm-up: **{found.growth * 100:+.2f} %**, from "
            f"{text.amount(found.beginning)} to {text.amount(found.end)} (medians of the first and last {EDGE} "
            "values)."
        ),
    )
    blocks: list[Block] = [Bullets(items), _leak_gauges(evidence, subject.name, found), _leak_chart(found)]
    return Section(title, tuple(blocks))


def _leak_gauges(evidence: Evidence, scenario: str, found: Leak) -> Table:
    together = memory(evidence, scenario, found.case, *UNDER_TEST)
    rows = [("Memory of service and media workers [MB]", together, 1e6, 2)]
    rows += [
        (title, gauge(evidence, reading, scenario, found.case, "service"), 1.0, 0)
        for reading, title in (("threads", "Threads of the service"), ("open_files", "Open files of the service"))
    ]
    cells = tuple(
        (
            title,
            *(
                text.number(value / unit if value is not None else None, digits)
                for value in (g.before, g.median, g.peak, g.after, g.kept)
            ),
        )
        for title, g, unit, digits in rows
        if g is not None
    )
    columns = ("Gauge", "Before", "Median", "Peak", "After the cooldown", "Change")
    caption = "Memory released in the cooldown was in use and did not leak."
    return Table(columns, cells, columns[1:], caption)


def _leak_chart(found: Leak) -> Chart:
    points = found.points
    start = found.case.started or points[0][0]
    xs = tuple(at - start for at, _ in points)
    ys = tuple(value / 1e6 for _, value in points)
    seconds = (found.case.ended or start) - start
    slope = found.trend.slope * found.jobs / seconds / 1e6
    offsets = sorted(y - slope * x for x, y in zip(xs, ys, strict=True))
    middle = offsets[len(offsets) // 2]
    ends = (xs[0], xs[-1])
    return Chart(
        name="memory_through_jobs",
        kind="time",
        title="Memory through sequential jobs",
        x_label="Time from the first measured job [s]",
        y_label="Resident memory [MB]",
        series=(
            Series("service + media workers", xs, ys),
            Series("Theil-Sen", ends, tuple(middle + slope * x for x in ends)),
        ),
        caption=f"Memory of service and media workers together, n = {_values(found)}, and the Theil-Sen slope of "
        f"{text.amount(found.trend.slope)} per job. The axis does not start at zero.",
    )

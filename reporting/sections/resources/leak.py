"""Memory leaks: verdict, growth, trend, and other gauges that can grow."""

from __future__ import annotations

from reelbench.reporting.analysis import subjects
from reelbench.reporting.analysis.leak import EDGE, HORIZON, Leak, leak
from reelbench.reporting.analysis.process_usage import UNDER_TEST, gauge, memory
from reelbench.reporting.catalogue.sli import Role
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Bullets, Chart, Paragraph, Section, Series, Table
from reelbench.reporting.evidence.evidence import Evidence


def measured(evidence: Evidence) -> Leak | None:
    """Return the growth of memory through sequential jobs."""
    found = subjects.sequential_jobs(evidence)
    return leak(evidence, found.name, found.case) if found else None


def verdict(evidence: Evidence) -> str:
    """Return LEAK, NO LEAK or INCONCLUSIVE, by the catalogue's budget."""
    found = measured(evidence)
    sli = evidence.catalogue.of_role(Role.MEMORY_LEAKED)
    if found is None or sli is None or sli.objective is None or found.trend.n < sli.min_n:
        return "INCONCLUSIVE"
    return "LEAK" if found.projected > sli.objective.value else "NO LEAK"


def section(evidence: Evidence) -> Section:
    """Return whether memory grows from job to job."""
    title = "Memory leak"
    subject, found = subjects.sequential_jobs(evidence), measured(evidence)
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
    few = f", n too small: {drift.n} samples, needs {sli.min_n}" if sli and drift.n < sli.min_n else ""
    lower, upper = (text.amount(limit) for limit in (drift.interval.lower, drift.interval.upper))
    items = (
        f"Verdict for `{subject.name}`: **{verdict(evidence)}**{few}.",
        (
            f"Trend: {'significant' if drift.significant else 'not significant'} (p = {drift.p:.3g}, Mann-Kendall "
            f"after Hamed and Rao with 3 lags, n = {drift.n} samples, variance widened {drift.inflation:.2f} times); "
            f"slope {text.amount(drift.slope)} per job (Theil-Sen, 95 % CI {lower} to {upper})."
        ),
        (
            f"Rule: LEAK when the trend is significant and the leak per {HORIZON:,} jobs (lower 95 % limit of the "
            f"slope) is > {text.amount(budget)}; measured: {text.amount(found.projected)}"
            f"{'' if drift.significant else ', as the trend is not significant'}."
        ),
        (
            f"Growth over {found.jobs} jobs after the warm-up: **{found.growth * 100:+.2f} %**, from "
            f"{text.amount(found.beginning)} to {text.amount(found.end)} (medians of the first and last {EDGE} "
            "samples)."
        ),
    )
    blocks: list[Block] = [Bullets(items), _table(evidence, subject.name, found), _chart(found)]
    return Section(title, tuple(blocks))


def _table(evidence: Evidence, scenario: str, found: Leak) -> Table:
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


def _chart(found: Leak) -> Chart:
    points = found.samples.within
    start = found.samples.started
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
        caption=f"Raw samples of service and media workers together, n = {len(points)}, and the Theil-Sen slope of "
        f"{text.amount(found.trend.slope)} per job. The axis does not start at zero.",
    )

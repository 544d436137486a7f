"""The section on memory leaks: verdict, growth, trend, and what else may pile up."""

from __future__ import annotations

from reelbench.reporting.analysis.leak import EDGE, HORIZON, SCENARIO, Leak, leak
from reelbench.reporting.analysis.process_usage import UNDER_TEST, gauge, memory
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Bullets, Chart, Paragraph, Section, Series, Table
from reelbench.reporting.evidence.evidence import Evidence
from reelbench.reporting.sections.common import not_run


def verdict(evidence: Evidence) -> str:
    """LEAK, NO LEAK or INCONCLUSIVE, by the catalogue's budget."""
    found = leak(evidence)
    sli = evidence.catalogue.get("memory_leaked")
    if found is None or sli.objective is None or found.trend.n < sli.min_n:
        return "INCONCLUSIVE"
    return "LEAK" if found.projected > sli.objective.value else "NO LEAK"


def section(evidence: Evidence) -> Section:
    """Does memory grow from job to job?"""
    title = "Memory leak"
    if evidence.scenario(SCENARIO) is None:
        return Section(title, not_run(SCENARIO))
    found = leak(evidence)
    if found is None:
        return Section(title, (Paragraph("**INCONCLUSIVE**: too few samples of memory within the case for a trend."),))
    sli = evidence.catalogue.get("memory_leaked")
    budget = sli.objective.value if sli.objective else 0.0
    drift = found.trend
    few = f", n too small: {drift.n} samples, needs {sli.min_n}" if drift.n < sli.min_n else ""
    lower, upper = (text.amount(limit) for limit in (drift.interval.lower, drift.interval.upper))
    items = (
        f"Verdict: **{verdict(evidence)}**{few}.",
        (
            f"Trend: {'significant' if drift.significant else 'not significant'} (p = {drift.p:.3g}, Mann-Kendall "
            f"after Hamed and Rao with 3 lags, n = {drift.n} samples, variance widened {drift.inflation:.2f} times); "
            f"slope {text.amount(drift.slope)} a job (Theil-Sen, 95 % CI {lower} to {upper})."
        ),
        (
            f"Rule: it leaks when the trend is significant and the lower limit of the slope over {HORIZON:,} jobs is "
            f"above the budget of {text.amount(budget)}; here it is {text.amount(found.projected)}"
            f"{'' if drift.significant else ', as the trend is not significant'}."
        ),
        (
            f"Growth over {found.jobs} jobs after the warm-up: **{found.growth * 100:+.2f} %**, from "
            f"{text.amount(found.beginning)} to {text.amount(found.end)} (medians of the first and last {EDGE} "
            "samples)."
        ),
    )
    blocks: list[Block] = [Bullets(items), _table(evidence, found), _chart(found)]
    return Section(title, tuple(blocks))


def _table(evidence: Evidence, found: Leak) -> Table:
    together = memory(evidence, SCENARIO, found.case, *UNDER_TEST)
    rows = [("Memory of service and media workers [MB]", together, 1e6, 2)]
    rows += [
        (title, gauge(evidence, reading, SCENARIO, found.case, "service"), 1.0, 0)
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
    columns = ("Gauge", "Before", "Median", "Peak", "After the rest", "Change")
    caption = "What comes back after the rest was in use and is no leak."
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
        name="memory_leak",
        kind="time",
        title="Memory through sequential jobs",
        x_label="Time from the first measured job [s]",
        y_label="Resident memory [MB]",
        series=(
            Series("service + media workers", xs, ys),
            Series("Theil-Sen", ends, tuple(middle + slope * x for x in ends)),
        ),
        caption=f"Raw samples of service and media workers together, n = {len(points)}, and the Theil-Sen slope of "
        f"{text.amount(found.trend.slope)} a job. The axis does not begin at zero.",
    )

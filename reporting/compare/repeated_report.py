"""The report of repetitions."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from reelbench.reporting.compare.repeated import Repeated, RepetitionsRecord
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Bullets, Paragraph, Report, Section, Table
from reelbench.reporting.evidence.evidence import place_name
from reelbench.reporting.statistics.intervals import Interval

NAME = "repetitions_report"
LOUD = 0.1
"""Coefficient of variation from which an indicator is named in the summary."""
SHOWN = 8
LEAST_MEDIAN = 6
"""Runs from which the median has an interval."""


def build(record: RepetitionsRecord) -> Report:
    """The repetitions as a report."""
    return Report(
        name=NAME,
        title=f"Repetitions {record.name}",
        sections=(_summary(record), *_indicators(record), _method(record)),
    )


def _summary(record: RepetitionsRecord) -> Section:
    n = len(record.runs)
    names = ", ".join(f"`{name}`" for name in record.runs)
    blocks: list[Block] = [Paragraph(f"**{n} run{'s' if n > 1 else ''} of one plan**, one after the other: {names}.")]
    items = [f"**Not a repetition:** {problem}." for problem in record.problems]
    if len(record.plan_hashes) > 1:
        items.append(f"**The runs are of {len(record.plan_hashes)} plans**, so their mean says nothing of any of them.")
    if n == 1:
        items.append("One run has no spread between runs: there is no interval. Repeat it 2 times or more, better 5.")
    spreads = [r.spread for r in record.indicators if r.spread is not None]
    if spreads:
        items.append(
            f"From run to run, {len(spreads)} indicators with samples differ by {median(spreads):.2g} times the "
            "standard error within the first run (standard deviation, at the median). About 1 is what the jobs alone "
            "explain; above it, an interval from one run is too narrow, and the one over runs is to be cited."
        )
    loud = sorted((r for r in record.indicators if (r.cv or 0) >= LOUD), key=lambda r: r.cv or 0, reverse=True)
    if loud:
        named = ", ".join(f"{r.title} in {place_name(r.scenario, r.case, r.member)} ({_cv(r)} %)" for r in loud[:SHOWN])
        more = f" and {len(loud) - SHOWN} more" if len(loud) > SHOWN else ""
        items.append(f"Differ most from run to run (CV of {LOUD * 100:g} % and more): {named}{more}.")
    if items:
        blocks.append(Bullets(tuple(items)))
    return Section("Summary", tuple(blocks))


def _indicators(record: RepetitionsRecord) -> tuple[Section, ...]:
    moving = [r for r in record.indicators if r.n == 1 or r.minimum != r.maximum]
    still = [r for r in record.indicators if r.n > 1 and r.minimum == r.maximum]
    found = []
    if moving:
        caption = (
            "Mean over runs with its 95 % interval (Student's t), standard deviation (n - 1), coefficient of variation "
            "and range; beside it the 95 % interval from the samples within the first run, where its records hold any. "
            "`?`: its sample is too small for this limit; a P95 of fewer than 20 samples, or a P99 of fewer than 100, "
            f"is the maximum. The median has an interval from {LEAST_MEDIAN} runs on."
        )
        found.append(Section("Indicators over runs", (_table(moving, caption),)))
    if still:
        rows = tuple(
            (r.title, place_name(r.scenario, r.case, r.member), text.count(r.n), text.with_unit(r.mean, r.unit))
            for r in still
        )
        columns = ("Indicator", "Where", "Runs", "Value")
        found.append(Section("The same in every run", (Table(columns, rows, columns[2:]),)))
    return tuple(found)


def _table(indicators: Sequence[Repeated], caption: str) -> Table:
    with_median = any(r.n >= LEAST_MEDIAN for r in indicators)
    columns = (
        "Indicator", "Where", "Runs", "Mean", "95 % CI over runs", "Stddev", "CV %", "Min", "Max",
        *(("Median", "95 % CI of the median") if with_median else ()),
        "95 % CI within the first run",
    )  # fmt: skip
    rows = tuple(
        (
            r.title,
            place_name(r.scenario, r.case, r.member),
            text.count(r.n),
            text.with_unit(r.mean, r.unit),
            _interval(r.interval, r.unit),
            text.with_unit(r.stddev, r.unit),
            _cv(r),
            text.with_unit(r.minimum, r.unit),
            text.with_unit(r.maximum, r.unit),
            *((text.with_unit(r.median, r.unit), _interval(r.median_interval, r.unit)) if with_median else ()),
            _interval(r.within, r.unit),
        )
        for r in indicators
    )
    return Table(columns, rows, ("Runs", "Mean", "Stddev", "CV %", "Min", "Max", "Median"), caption)


def _method(record: RepetitionsRecord) -> Section:
    hashes = ", ".join(f"`{value[:16]}`" for value in record.plan_hashes)
    items = (
        (
            "Every run has a stack of its own (embedded), or the same service (running stack), and the same plan, seed "
            f"and document (plan sha256 {hashes}); what is left differs by chance: placement, caches, neighbours on "
            "the machine."
        ),
        (
            "A run is one observation: jobs within a run share its fate, so pooling the jobs of all runs would give "
            "intervals that are too narrow. Half the t interval is 12.7 standard errors with 2 runs, and 2.8 with 5."
        ),
        (
            "Sampled indicators (response time, API latency) are exact, from the client's records without warm-up; "
            "others are the kept measurements of each run."
        ),
        (
            "The t interval assumes that the runs' values are roughly normal; that of the median does not. Intervals "
            "over runs are not cut at zero or at 100 %."
        ),
    )
    return Section("Method", (Bullets(items),))


def _interval(interval: Interval, unit: str) -> str:
    if interval.lower is None and interval.upper is None:
        return text.NONE
    lower, upper = ("?" if limit is None else text.with_unit(limit, unit) for limit in (interval.lower, interval.upper))
    return f"{lower} to {upper}"


def _cv(r: Repeated) -> str:
    return text.percent(r.cv)

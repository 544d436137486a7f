"""Repetitions of a run: each indicator over the runs, its spread from run to run, and the report."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import numpy as np

from reelbench.reporting.catalogue.sli import Sli
from reelbench.reporting.catalogue.sli_file import load
from reelbench.reporting.compare import cells
from reelbench.reporting.compare.folders import REPETITIONS_FILE
from reelbench.reporting.compare.observation import Observation, identity, observations, places
from reelbench.reporting.compare.records import Repeated, RepetitionsRecord
from reelbench.reporting.compare.side import Side, side_of
from reelbench.reporting.compare.writing import MARKDOWN, Content, Output, Written, write
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Bullets, Chart, Paragraph, Report, Section, Series, Table
from reelbench.reporting.evidence.measurements import Measurement
from reelbench.reporting.statistics.intervals import Interval, mean_interval, percentile

NAME = "repetitions_report"
LOUD = 0.1
"""Coefficient of variation from which an indicator is named in the summary."""
SHOWN = 8
DRAWN = 12
"""Indicators of the figure."""
LEAST_MEDIAN = 6
"""Runs from which the median has an interval."""


def write_repetitions(folder: Path, runs: Sequence[Path], output: Output = MARKDOWN) -> Written[RepetitionsRecord]:
    """Write the report of exported runs of one plan; the same bytes each time.

    Args:
        folder: The folder of repetitions, a sibling of the run folders.
        runs: One run directory or more, in order of time.
        output: Formats to write.

    Raises:
        RecordError: a run cannot be read.
    """
    record = repetitions(side_of(folder.resolve().name, runs, load()))
    line = f"repetitions: {text.counted(len(record.runs), 'run')} of one plan"
    content = Content(report=build(record), rows={"repetitions": record.indicators})
    return write(folder, REPETITIONS_FILE, record, content, line, output=output)


def repetitions(side: Side) -> RepetitionsRecord:
    """Summarize every indicator that has a direction, in each place in which a run has data."""
    found = [
        _repeated(sli, place, values)
        for sli in side.runs[0].catalogue.slis
        if sli.better is not None
        for place in places(side, sli)
        if (values := observations(side, sli, place))
    ]
    return RepetitionsRecord(
        name=side.name,
        runs=side.record.runs,
        plan_hashes=tuple(dict.fromkeys(run.run.plan_hash for run in side.runs)),
        problems=side.problems,
        indicators=tuple(found),
    )


def build(record: RepetitionsRecord) -> Report:
    """Build the report."""
    return Report(
        name=NAME,
        title=f"Repetitions {record.name}",
        sections=(_summary(record), *_pictures(record), *_indicators(record), _method(record)),
    )


def _repeated(sli: Sli, place: Measurement, observed: tuple[Observation, ...]) -> Repeated:
    values = np.sort(np.asarray([o.value for o in observed]))
    n = len(values)
    mean = math.fsum(values) / n
    stddev = float(np.std(values, ddof=1)) if n > 1 else None
    median = percentile(values, 0.5)
    return Repeated(
        **identity(sli, place),
        values=tuple(o.value for o in observed),
        n=n,
        mean=mean,
        interval=mean_interval(list(values)),
        median=median.value,
        median_interval=median.interval if median.interval.upper is not None else Interval(None, None),
        stddev=stddev,
        cv=stddev / abs(mean) if stddev is not None and mean else None,
        minimum=float(values[0]),
        maximum=float(values[-1]),
        within=observed[0].within,
    )


def _summary(record: RepetitionsRecord) -> Section:
    n = len(record.runs)
    names = ", ".join(f"`{name}`" for name in record.runs)
    items = [f"**Not a repetition:** {problem}." for problem in record.problems]
    if len(record.plan_hashes) > 1:
        items.append(f"**The runs have {len(record.plan_hashes)} different plans:** means over them have no meaning.")
    if n == 1:
        items.append("One run has no spread between runs and no interval. Repeat it 2 times or more, better 5.")
    spreads = [r.spread for r in record.indicators if r.spread is not None]
    if spreads:
        items.append(
            f"Spread between runs of {len(spreads)} indicators with samples: standard deviation {median(spreads):.2g} "
            "times the standard error within the first run (median). About 1 is explained by the jobs alone; above 1, "
            "an interval from one run is too narrow: cite the interval over runs."
        )
    loud = sorted((r for r in record.indicators if (r.cv or 0) >= LOUD), key=lambda r: r.cv or 0, reverse=True)
    if loud:
        named = ", ".join(f"{r.title} in {r.place} ({text.percent(r.cv)} %)" for r in loud[:SHOWN])
        more = f" and {len(loud) - SHOWN} more" if len(loud) > SHOWN else ""
        items.append(f"Largest spread from run to run (CV ≥ {LOUD * 100:g} %): {named}{more}.")
    blocks: list[Block] = [Paragraph(f"**{text.counted(n, 'run')} of one plan**, in order of time: {names}.")]
    return Section("Summary", (*blocks, Bullets(tuple(items))) if items else tuple(blocks))


def _pictures(record: RepetitionsRecord) -> tuple[Section, ...]:
    """Return the indicators with the largest spread, each run and the interval of the mean in per cent of the mean."""
    known = [r for r in record.indicators if r.cv and r.mean and r.interval.lower is not None]
    shown = sorted(known, key=lambda r: r.cv or 0, reverse=True)[:DRAWN]
    if not shown:
        return ()
    rows = tuple(float(number) for number in range(len(shown)))

    def of_mean(r: Repeated, value: float) -> float:
        return (value / r.mean - 1) * 100

    halves = [abs(of_mean(r, r.interval.upper)) for r in shown if r.interval.upper is not None]
    mean = Series("mean, 95 % interval", rows, (0.0,) * len(shown), tuple((half, half) for half in halves))
    most = max(r.n for r in shown)
    runs = (
        Series("one run", rows, tuple(of_mean(r, r.values[i]) if i < r.n else math.nan for r in shown), draw="points")
        for i in range(most)
    )
    chart = Chart(
        "repetitions_spread",
        "intervals",
        "Largest spread from run to run",
        "Difference from the mean over runs [%]",
        "",
        (mean, *runs),
        "The indicators with the largest coefficient of variation: each run, and the 95 % interval of the mean over "
        "runs (Student's t).",
        tuple(f"{r.title}\n{r.place}" for r in shown),
    )
    return (Section("In pictures", (chart,)),)


def _indicators(record: RepetitionsRecord) -> tuple[Section, ...]:
    moving = [r for r in record.indicators if r.n == 1 or r.minimum != r.maximum]
    still = [r for r in record.indicators if r.n > 1 and r.minimum == r.maximum]
    found = []
    if moving:
        caption = (
            "Mean over runs with its 95 % interval (Student's t), standard deviation (n - 1), coefficient of variation "
            "and range; last the 95 % interval from the samples within the first run, where its records hold any. "
            "`?`: the sample is too small for this limit. A P95 of fewer than 20 samples and a P99 of fewer than 100 "
            f"are the maximum. The median has an interval for n ≥ {LEAST_MEDIAN} runs."
        )
        found.append(Section("Indicators over runs", (_table(moving, caption),)))
    if still:
        columns = {**cells.PLACE, "Runs": lambda r: text.count(r.n), "Value": lambda r: text.with_unit(r.mean, r.unit)}
        found.append(Section("The same in every run", (cells.table(still, columns, ("Runs", "Value")),)))
    return tuple(found)


def _table(indicators: Sequence[Repeated], caption: str) -> Table:
    columns: dict[str, Callable[[Repeated], str]] = {
        **cells.PLACE,
        "Runs": lambda r: text.count(r.n),
        "Mean": lambda r: text.with_unit(r.mean, r.unit),
        "95 % CI over runs": lambda r: _limits(r, r.interval),
        "Stddev": lambda r: text.with_unit(r.stddev, r.unit),
        "CV %": lambda r: text.percent(r.cv),
        "Min": lambda r: text.with_unit(r.minimum, r.unit),
        "Max": lambda r: text.with_unit(r.maximum, r.unit),
    }
    if any(r.n >= LEAST_MEDIAN for r in indicators):
        columns["Median"] = lambda r: text.with_unit(r.median, r.unit)
        columns["95 % CI of the median"] = lambda r: _limits(r, r.median_interval)
    columns["95 % CI within the first run"] = lambda r: _limits(r, r.within)
    return cells.table(indicators, columns, ("Runs", "Mean", "Stddev", "CV %", "Min", "Max", "Median"), caption)


def _method(record: RepetitionsRecord) -> Section:
    hashes = ", ".join(f"`{value[:16]}`" for value in record.plan_hashes)
    items = (
        (
            "Every run has its own stack (embedded) or the same service (external), and the same plan, seed and "
            f"document (plan sha256 {hashes}). The remaining differences are by chance: placement, caches, other "
            "processes."
        ),
        (
            "A run is one observation. Jobs within a run are correlated, so intervals from the pooled jobs of all runs "
            "would be too narrow. Half the t interval is 12.7 standard errors with 2 runs, and 2.8 with 5."
        ),
        (
            "Sampled indicators (response time, API latency) are exact, from the client's records without warm-up; "
            "others are the kept measurements of each run."
        ),
        (
            "The t interval assumes that the values of the runs are roughly normal; the interval of the median does "
            "not. Intervals over runs are not cut at zero or at 100 %."
        ),
    )
    return Section("Method", (Bullets(items),))


def _limits(r: Repeated, interval: Interval) -> str:
    return cells.limits(interval, lambda value: text.with_unit(value, r.unit)) or text.NONE

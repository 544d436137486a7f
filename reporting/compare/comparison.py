"""A comparison of two sides: each indicator that both have in a place is tested, all tests as one family."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from pathlib import Path

from reelbench.loadgen.record.run import RunState
from reelbench.reporting.catalogue.sli_file import load
from reelbench.reporting.compare import charts, report
from reelbench.reporting.compare.folders import COMPARISON_FILE
from reelbench.reporting.compare.judge import Pair, judge
from reelbench.reporting.compare.observation import identity, mean, observations, places
from reelbench.reporting.compare.page_data import comparison_data
from reelbench.reporting.compare.records import ComparisonRecord, Unpaired
from reelbench.reporting.compare.side import CompareError, Side, differs, read_side, refusals
from reelbench.reporting.compare.writing import MARKDOWN, Content, Output, Written, write

ONE_RUN = (
    "note: one run per side does not cover differences from run to run, so nothing is called better or worse; "
    "repeat both with reelbench run --repeat 5"
)


def export(run: Path, baseline: Path, *, force: bool = False, output: Output = MARKDOWN) -> Written[ComparisonRecord]:
    """Write the comparison into the reports of `run`; the same bytes each time.

    Args:
        run: An exported run directory, or a folder of repetitions.
        baseline: The reference, of either kind.
        force: Compare despite refusals, and list them in the report.
        output: Formats to write.

    Raises:
        CompareError: the two cannot be compared, with every reason.
        RecordError: a run cannot be read or was not exported yet.
    """
    catalogue = load()
    sides = read_side(run, catalogue), read_side(baseline, catalogue)
    reasons = tuple(refusals(*sides))
    if reasons and not force:
        raise CompareError(tuple(f"{reason}, or add --force" for reason in reasons))
    (record,) = compare([sides], forced=reasons)
    notes = () if record.over_runs else (ONE_RUN,)
    line = f"comparison with {record.baseline.name}: {report.counts(record)}"
    return write(run, COMPARISON_FILE, record, _content(record, *sides), *notes, line, output=output)


def _content(record: ComparisonRecord, run: Side, baseline: Side) -> Content:
    place = charts.most_changed(record, run)
    data = comparison_data(run, baseline, first=place)
    changes = charts.changes(record)
    figures = (*changes, *charts.distribution(place, run, baseline), *charts.over_time(data))
    return Content(
        report=report.build(record, figures),
        page=report.page(record, changes),  # the page draws the others from its data
        status=report.status(record),
        data=data,
        rows={"comparison": record.findings, "comparison_one_side": record.alone},
    )


def compare(
    sides: Sequence[tuple[Side, Side]],
    *,
    forced: tuple[str, ...] = (),
    left_out: Sequence[Collection[tuple[str, str]]] = (),
) -> list[ComparisonRecord]:
    """Compare each run with its baseline.

    Args:
        sides: Run and baseline of each comparison; the tests of all comparisons are corrected together.
        forced: Why the comparison is refused without --force.
        left_out: Scenario and case of the places left out of each comparison; default: none.
    """
    skips = left_out or [()] * len(sides)
    found = [tuple(_pairs(*both, skip)) for both, skip in zip(sides, skips, strict=True)]
    paired = [[pair for pair in pairs if pair.run and pair.baseline] for pairs in found]
    findings = iter(judge([pair for pairs in paired for pair in pairs]))
    return [
        ComparisonRecord(
            run=run.record,
            baseline=baseline.record,
            over_runs=max(len(run.runs), len(baseline.runs)) > 1,
            forced=forced,
            remarks=(*_unfinished(run), *run.remarks, *baseline.remarks),
            differs=differs(run, baseline),
            findings=tuple(islice(findings, len(tested))),
            alone=tuple(_unpaired(pair) for pair in pairs if not (pair.run and pair.baseline)),
        )
        for (run, baseline), pairs, tested in zip(sides, found, paired, strict=True)
    ]


def _pairs(run: Side, baseline: Side, left_out: Collection[tuple[str, str]]) -> Iterator[Pair]:
    """Yield each indicator with a direction in each place in which a side has data, in the order of the catalogue."""
    for sli in run.runs[0].catalogue.slis:
        for place in places(run, sli) if sli.better is not None else ():
            if (place.scenario, place.case) in left_out:
                continue
            pair = Pair(
                sli,
                place,
                observations(run, sli, place),
                observations(baseline, sli, place),
                invalid=(place.scenario, place.case) in run.invalid | baseline.invalid,
            )
            if pair.run or pair.baseline:
                yield pair


def _unpaired(pair: Pair) -> Unpaired:
    return Unpaired(**identity(pair.sli, pair.place), run=mean(pair.run), baseline=mean(pair.baseline))


def _unfinished(run: Side) -> Iterator[str]:
    for r in run.runs:
        if r.run.state is not RunState.COMPLETED:
            yield f"{r.run.run_id} is not finished (its state is {r.run.state}): only its measurements are compared"

"""Compares sides: what both have is paired, all pairs are judged as one family of tests."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from reelbench.loadgen.record.run import RunState
from reelbench.reporting.compare.check import differs
from reelbench.reporting.compare.finding import ComparisonRecord, SideRecord
from reelbench.reporting.compare.judge import judge
from reelbench.reporting.compare.pairs import Skip, nothing, pairs
from reelbench.reporting.compare.side import Side


def compare(
    sides: Sequence[tuple[Side, Side]], *, forced: tuple[str, ...] = (), skips: Sequence[Skip] = ()
) -> list[ComparisonRecord]:
    """Compare each run with its baseline; nothing is refused or written here.

    Args:
        sides: Run and baseline of each comparison; all are corrected together.
        forced: Why they would be refused.
        skips: What is left out of each comparison; none: nothing of any.
    """
    paired = [
        pairs(run, baseline, skip)
        for (run, baseline), skip in zip(sides, skips or [nothing] * len(sides), strict=True)
    ]  # fmt: skip
    findings = iter(judge([pair for found in paired for pair in found.found]))
    return [
        ComparisonRecord(
            run=describe(run),
            baseline=describe(baseline),
            over_runs=max(len(run.runs), len(baseline.runs)) > 1,
            forced=forced,
            remarks=_remarks(run, baseline),
            differs=differs(run, baseline),
            findings=tuple(islice(findings, len(found.found))),
            alone=found.alone,
        )
        for (run, baseline), found in zip(sides, paired, strict=True)
    ]


def describe(side: Side) -> SideRecord:
    """Who a side is."""
    first = side.runs[0].run
    return SideRecord(
        name=side.name,
        runs=tuple(run.run.run_id for run in side.runs),
        plan_hash=first.plan_hash,
        commit=first.environment.commit,
    )


def _remarks(run: Side, baseline: Side) -> tuple[str, ...]:
    unfinished = [
        f"{r.run.run_id} is not finished (its state is {r.run.state}): only what was measured is compared"
        for r in run.runs
        if r.run.state is not RunState.COMPLETED
    ]
    return (*unfinished, *(f"Counts differ in {text}" for side in (run, baseline) for text in side.differences))

"""What a comparison finds, as it is kept in JSON."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from reelbench.reporting.compare.folders import SCHEMA_VERSION
from reelbench.reporting.statistics.intervals import Interval


class Word(StrEnum):
    """What can be said of a pair."""

    WORSE = "worse"
    BETTER = "better"
    NOT_SHOWN = "no difference shown"
    CANNOT_TELL = "cannot tell"


class Finding(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One indicator in one place, run against baseline. Values are in `unit`."""

    sli: str
    title: str
    unit: str
    better: str
    """Which way is better: at_most (less) or at_least (more)."""
    scenario: str
    case: str
    member: str
    run: float
    """Of several runs the mean of their values."""
    baseline: float
    n_run: int | None
    """Samples, or runs where runs are compared; None when not known."""
    n_baseline: int | None
    difference: float
    """run - baseline."""
    interval: Interval
    """95 % interval of the difference."""
    relative: float | None
    """Difference by the baseline; None when that is zero, or for shares, whose difference says more."""
    relative_interval: Interval
    test: str | None
    """None: nothing could be tested."""
    p: float | None
    p_corrected: float | None
    """After Benjamini and Hochberg, over all tests of the comparison."""
    a12: float | None
    """Of the values of both sides, where there are several."""
    cohens_h: float | None
    """Of shares."""
    verdict: Word
    reason: str
    """Why it is neither better nor worse; empty otherwise."""


class Alone(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An indicator in a place in which one side has no data, so that nothing is compared. Values are in `unit`."""

    sli: str
    title: str
    unit: str
    scenario: str
    case: str
    member: str
    run: float | None
    """Of several runs the mean of their values."""
    baseline: float | None


class SideRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who was compared."""

    name: str
    runs: tuple[str, ...]
    plan_hash: str
    commit: str | None


class Differs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that is not the same on both sides."""

    item: str
    run: str
    baseline: str


class ComparisonRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole comparison."""

    schema_version: int = SCHEMA_VERSION
    run: SideRecord
    baseline: SideRecord
    over_runs: bool
    """True when the values of whole runs were compared, false for the samples within two runs."""
    forced: tuple[str, ...]
    """Why the comparison would have been refused without --force."""
    remarks: tuple[str, ...]
    differs: tuple[Differs, ...]
    findings: tuple[Finding, ...]
    alone: tuple[Alone, ...]

    def count(self, word: Word) -> int:
        """How many findings say this."""
        return sum(1 for finding in self.findings if finding.verdict is word)

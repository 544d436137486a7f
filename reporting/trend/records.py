"""Records of a trend, as kept in JSON."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from reelbench.loadgen.record.run_files import SCHEMA_VERSION
from reelbench.reporting.compare.records import Differs, Indicator


class Outcome(StrEnum):
    """What was found in the series of one indicator in one place."""

    CHANGED = "changed"
    UNCHANGED = "no change shown"
    CONSTANT = "the same in every run"
    TOO_FEW = "too few runs"


class Change(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A place in a series at which its mean moved."""

    run: int
    """Number of the first run after the change, in the group, from 1."""
    before: float
    """Mean of the runs between this change and the one before it."""
    after: float
    n_before: int
    n_after: int
    relative: float | None
    """Difference divided by `before`; None for shares and for a mean of zero."""
    p: float | None
    """Upper limit of the chance of such a difference anywhere in this series without a change; None where no side
    spreads."""
    p_corrected: float | None
    """After Benjamini and Hochberg, over all series of primary indicators of a group, or over those of the others."""
    worse: bool


class SeriesRecord(Indicator, frozen=True, kw_only=True):
    """One indicator in one place over the runs of a group."""

    better: str
    """The better direction: at_most (less) or at_least (more)."""
    follows: str
    """Id of the primary indicator of which this one is another view; empty for a primary one."""
    values: tuple[float | None, ...]
    """One for each run of the group; None where the run has no value."""
    outcome: Outcome
    changes: tuple[Change, ...]


class RunEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One run of a group."""

    run_id: str
    started: float
    commit: str | None
    dirty: bool
    verdict: str
    differs: tuple[Differs, ...]
    """What is not the same as in the run before it: `baseline` is the run before."""

    @property
    def code(self) -> str:
        """Short name of the commit."""
        return f"{self.commit[:12]}{' with changes' if self.dirty else ''}" if self.commit else "unknown"


class Group(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Runs that are one history: same target, profile, plan and machine."""

    name: str
    """What the runs have in common, in words."""
    target: str
    profile: str
    scenarios: tuple[str, ...]
    plan_hash: str
    machine: str
    runs: tuple[RunEntry, ...]
    """In order of their start."""
    series: tuple[SeriesRecord, ...]
    """Primary indicators first."""

    def count(self, outcome: Outcome) -> int:
        """Return the number of series with this outcome."""
        return sum(one.outcome is outcome for one in self.series)


class LeftOut(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A run that is part of no group."""

    run: str
    """Its id, or the path of its folder where it cannot be read."""
    reason: str


class TrendRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The changes in all groups of runs."""

    schema_version: int = SCHEMA_VERSION
    level: float
    """Greatest corrected p of a change."""
    least_runs: int
    """Least number of runs in which a change can be found."""
    groups: tuple[Group, ...]
    """The one with the newest run first."""
    left_out: tuple[LeftOut, ...]

    @property
    def judged(self) -> bool:
        """True when a group has runs enough."""
        return any(len(group.runs) >= self.least_runs for group in self.groups)

    @property
    def worse(self) -> bool:
        """True when the newest change of an indicator is for the worse."""
        return any(one.changes[-1].worse for group in self.groups for one in group.series if one.changes)

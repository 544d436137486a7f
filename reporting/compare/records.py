"""Records of comparisons, repetitions and ablations, as kept in JSON."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from reelbench.loadgen.record.run_files import SCHEMA_VERSION
from reelbench.reporting.evidence.evidence import place_name
from reelbench.reporting.statistics.difference import NOWHERE
from reelbench.reporting.statistics.intervals import Interval

NORMAL = 1.96
"""Standard errors from the middle of a 95 % interval to its limits, in a large sample."""


class Verdict(StrEnum):
    """Outcome of the comparison of one indicator in one place."""

    WORSE = "worse"
    BETTER = "better"
    DIFFERS = "differs in these two runs"
    """Of one run a side: whether the code or the moment of the run made the difference is not known."""
    NOT_SHOWN = "no difference shown"
    CANNOT_TELL = "cannot tell"


class Indicator(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An indicator in one place. Values of its subclasses are in `unit`."""

    sli: str
    title: str
    unit: str
    scenario: str
    case: str
    member: str

    @property
    def place(self) -> str:
        """Name of the place in reports."""
        return place_name(self.scenario, self.case, self.member)


class Finding(Indicator, frozen=True, kw_only=True):
    """The comparison of one indicator in one place."""

    better: str
    """The better direction: at_most (less) or at_least (more)."""
    run: float
    """Mean of the values where a side has several runs."""
    baseline: float
    n_run: int | None
    """Sample size, or the number of runs where runs are compared; None when unknown."""
    n_baseline: int | None
    difference: float
    """run - baseline."""
    interval: Interval
    """95 % interval of the difference."""
    relative: float | None
    """Difference divided by the baseline; None for a baseline of zero, and for shares (see `difference`)."""
    relative_interval: Interval
    test: str | None
    """None when no test applies."""
    p: float | None
    p_corrected: float | None
    """After Benjamini and Hochberg, over the tests of primary indicators, or over those of the others."""
    a12: float | None
    """Vargha and Delaney's A12 of the values of both sides; None for a single value on each side."""
    cohens_h: float | None
    """Of shares."""
    verdict: Verdict
    reason: str
    """Why the verdict is neither better nor worse; empty otherwise."""
    run_interval: Interval = NOWHERE
    """95 % interval of `run`: within the run, or over several runs; no limits where it has none."""
    baseline_interval: Interval = NOWHERE
    follows: str = ""
    """Id of the primary indicator of which this one is another view; empty for a primary one."""

    @property
    def gone_worse(self) -> bool:
        """True when the difference is in the worse direction."""
        return (self.difference > 0) == (self.better == "at_most")

    @property
    def size(self) -> float:
        """Size of the difference, for an order among findings."""
        return abs(self.relative if self.relative is not None else self.difference)


class Cause(msgspec.Struct, frozen=True):
    """The findings that one shift explains: a primary indicator and those that follow it, in all places."""

    lead: Finding
    """The largest finding of the primary indicator, or of what follows it where the primary one shows nothing."""
    findings: tuple[Finding, ...]


class Unpaired(Indicator, frozen=True, kw_only=True):
    """An indicator in a place in which only one side has data."""

    run: float | None
    """Mean of the values where a side has several runs."""
    baseline: float | None


class SideRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One side of a comparison."""

    name: str
    runs: tuple[str, ...]
    plan_hash: str
    commit: str | None


class Differs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An item of the environment that is not the same on both sides."""

    item: str
    run: str
    baseline: str


class ComparisonRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A comparison of two sides."""

    schema_version: int = SCHEMA_VERSION
    run: SideRecord
    baseline: SideRecord
    over_runs: bool
    """True when the samples are the values of whole runs, False when they are those within two runs."""
    forced: tuple[str, ...]
    """Why the comparison is refused without --force."""
    remarks: tuple[str, ...]
    differs: tuple[Differs, ...]
    findings: tuple[Finding, ...]
    alone: tuple[Unpaired, ...]

    @property
    def worse(self) -> bool:
        """True when a verdict is worse."""
        return self.count(Verdict.WORSE) > 0

    def count(self, verdict: Verdict) -> int:
        """Return the number of findings with this verdict."""
        return sum(finding.verdict is verdict for finding in self.findings)

    def causes(self, verdict: Verdict) -> tuple[Cause, ...]:
        """Return the findings with a verdict, one entry for each cause, the largest first."""
        groups: dict[tuple[str, bool], list[Finding]] = {}
        for finding in self.findings:
            if finding.verdict is verdict:
                groups.setdefault((finding.follows or finding.sli, finding.gone_worse), []).append(finding)
        found = (
            Cause(max(group, key=lambda finding: (not finding.follows, finding.size)), tuple(group))
            for group in groups.values()
        )
        return tuple(sorted(found, key=lambda cause: cause.lead.size, reverse=True))


class Effect(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The effect of one optimization: everything on (the run) against all but this one (the baseline)."""

    optimization: str
    comparison: ComparisonRecord
    set_by_cases: tuple[str, ...]
    """Places left out: their cases set this switch themselves, so it was the same on both sides."""
    problems: tuple[str, ...]
    """What limits the comparison."""


class AblationRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The effects of all optimizations that were switched off one by one."""

    schema_version: int = SCHEMA_VERSION
    name: str
    full: SideRecord
    effects: tuple[Effect, ...]


class Repeated(Indicator, frozen=True, kw_only=True):
    """One indicator in one place, over the runs that have data there."""

    values: tuple[float, ...]
    """In the order of the runs."""
    n: int
    """Number of runs."""
    mean: float
    interval: Interval
    """95 % interval of the mean over runs, by Student's t; no limits for one run."""
    median: float
    median_interval: Interval
    """95 % interval of the median by order statistics; no limits for fewer than 6 runs."""
    stddev: float | None
    """Standard deviation of the runs (n - 1)."""
    cv: float | None
    """Coefficient of variation: standard deviation / mean; None without either."""
    minimum: float
    maximum: float
    within: Interval
    """95 % interval from the first run alone; no limits where its records hold no samples."""

    @property
    def spread(self) -> float | None:
        """Standard deviation between runs / standard error within the first run; None when one of them is unknown.

        About 1 where the jobs alone explain the spread. The standard error is the width of the interval / (2 * 1.96).
        """
        lower, upper = self.within.lower, self.within.upper
        if self.stddev is None or lower is None or upper is None or lower == upper:
            return None
        return self.stddev / ((upper - lower) / (2 * NORMAL))


class RepetitionsRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All repetitions of a run."""

    schema_version: int = SCHEMA_VERSION
    name: str
    runs: tuple[str, ...]
    """Names of the run folders, siblings of the folder of the repetitions."""
    plan_hashes: tuple[str, ...]
    """More than one when the runs had different plans."""
    problems: tuple[str, ...]
    """Why a run is not a valid repetition."""
    indicators: tuple[Repeated, ...]

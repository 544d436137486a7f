"""What the script of a comparison's page draws: response times of both sides by percentile, and both over time."""

from __future__ import annotations

import msgspec

from reelbench.reporting.analysis.timeline import Timeline


class Percentiles(msgspec.Struct, frozen=True, gc=False):
    """Response times of one side in one case, in seconds, at each percentile of `ComparisonData.levels`."""

    n: int
    """Completed jobs."""
    runs: int
    values: tuple[float, ...]
    """Of the jobs of all runs together."""
    lower: tuple[float | None, ...]
    """Lower limits: of the 95 % interval, or of several runs, the least run. None where the sample is too small."""
    upper: tuple[float | None, ...]


class ComparedCase(msgspec.Struct, frozen=True):
    """One case of both sides."""

    scenario: str
    case: str
    run: Percentiles | None
    """None where the side completed no job here."""
    baseline: Percentiles | None
    timeline: Timeline | None
    """Both sides on one axis, which begins with the case; a line for each side."""


class ComparisonData(msgspec.Struct, frozen=True):
    """Everything that the script of a comparison's page needs."""

    run: str
    """Name of the run in charts."""
    baseline: str
    levels: tuple[float, ...]
    """Percentiles, in per cent."""
    cases: tuple[ComparedCase, ...]
    first: int
    """Position in `cases` of the case that is shown first: the one that changed most."""
    timelines: tuple[Timeline | None, Timeline | None]
    """The whole first run of each side, run and baseline, with equal bins and length."""

"""The summary of a run as data: is it fine, why not, what now."""

from __future__ import annotations

from typing import Literal

import msgspec

from reelbench.reporting.analysis.certainty import Certainty
from reelbench.reporting.analysis.verdicts import Status


class DimensionSummary(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The verdict of one report with its counts."""

    name: str
    report: str
    """Name of its Markdown file, without suffix."""
    verdict: Status
    objectives: int
    """Objectives in all their places."""
    by_status: dict[str, int]
    """How many objectives have each verdict; verdicts without one are left out."""
    by_certainty: dict[str, int]
    """How many objectives the intervals prove; what does not occur is left out."""


class Finding(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An objective that does not hold, by how much, and the likely cause."""

    dimension: str
    sli: str
    title: str
    scenario: str
    case: str
    member: str
    verdict: Status
    certainty: Certainty | None
    value: float | None
    unit: str
    direction: Literal["at_most", "at_least"]
    objective: float
    n: int | None
    excess: str
    """By how much, in words; empty without a value."""
    why: str
    """Likely cause: stage, error, active fault; in words."""


class Figure(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of the figures that matter most."""

    name: str
    value: float
    unit: str
    lower: float | None = None
    """Limits of the 95 % interval; null where there is none."""
    upper: float | None = None
    n: int | None = None
    where: str = ""


class Change(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The comparison with a baseline."""

    baseline: str
    """Name of the run, or of the folder of runs."""
    sentence: str
    better: int
    worse: int
    differs: int
    """Indicators that differ where one run a side cannot say which is better."""


class Summary(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content of ``summary.md``."""

    run_id: str
    target: str
    profile: str
    state: str
    jobs: int
    """Measured jobs."""
    seconds: float | None
    """Length of the run."""
    verdict: Status
    exit_code: int
    sentence: str
    """The verdict in one sentence."""
    dimensions: tuple[DimensionSummary, ...]
    findings: tuple[Finding, ...]
    """The worst first."""
    problems: tuple[str, ...]
    """Reasons not to trust the numbers, one sentence each, without full stop."""
    notes: tuple[str, ...] = ()
    """What happened in the run and is in its numbers, such as a standstill of the service; as the problems."""
    figures: tuple[Figure, ...]
    """At most five."""
    actions: tuple[str, ...]
    """At most three, the most urgent first; with Markdown's marks of code."""
    change: Change | None = None
    """Null without a baseline."""

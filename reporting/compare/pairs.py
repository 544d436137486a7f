"""The places in which two sides have the same indicator."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from reelbench.reporting.catalogue.sli import Sli
from reelbench.reporting.compare.finding import Alone
from reelbench.reporting.compare.kinds import Observed, observe, title_of, unit_of
from reelbench.reporting.compare.side import Side
from reelbench.reporting.evidence.measurements import Measurement

Skip = Callable[[str, str], bool]
"""True for a scenario and case that are not to be compared."""


@dataclass(frozen=True, slots=True)
class Pair:
    """An indicator in a place, with one observation for each run of either side."""

    sli: Sli
    place: Measurement
    run: tuple[Observed, ...]
    baseline: tuple[Observed, ...]
    invalid: bool
    """True when a load generator was the bottleneck here."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """All pairs, in the order of the catalogue and of the run."""

    found: tuple[Pair, ...]
    alone: tuple[Alone, ...]


def nothing(_scenario: str, _case: str) -> bool:
    """Skips nothing."""
    return False


def pairs(run: Side, baseline: Side, skip: Skip) -> Pairs:
    """Pair what both sides have of each indicator that has a direction; what neither has data of is no pair."""
    found: list[Pair] = []
    alone: list[Alone] = []
    for sli in run.runs[0].catalogue.slis:
        if sli.better is None:
            continue
        for place in places(run, sli):
            if skip(place.scenario, place.case):
                continue
            mine, theirs = observations(run, sli, place), observations(baseline, sli, place)
            if bool(mine) != bool(theirs):
                alone.append(_alone(sli, place, mine, theirs))
            if mine and theirs:
                invalid = (place.scenario, place.case) in run.invalid | baseline.invalid
                found.append(Pair(sli, place, mine, theirs, invalid))
    return Pairs(tuple(found), tuple(alone))


def places(side: Side, sli: Sli) -> list[Measurement]:
    """The places in which the first run of a side was asked for an indicator."""
    return [m for m in side.runs[0].measurements.measurements if m.sli == sli.id]


def observations(side: Side, sli: Sli, place: Measurement) -> tuple[Observed, ...]:
    """One for each run of a side that has data in this place."""
    measured = (run.measured(sli.id, place.scenario, place.case, place.member) for run in side.runs)
    asked = ((run, m) for run, m in zip(side.runs, measured, strict=True) if m is not None)
    return tuple(o for run, m in asked if (o := observe(run, sli, m)) is not None)


def mean(observed: tuple[Observed, ...]) -> float | None:
    """Mean of the values of the runs; None without any."""
    return math.fsum(o.value for o in observed) / len(observed) if observed else None


def _alone(sli: Sli, place: Measurement, run: tuple[Observed, ...], baseline: tuple[Observed, ...]) -> Alone:
    return Alone(
        sli=sli.id,
        title=title_of(sli),
        unit=unit_of(sli),
        scenario=place.scenario,
        case=place.case,
        member=place.member,
        run=mean(run),
        baseline=mean(baseline),
    )

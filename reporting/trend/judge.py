"""Judgement of a group of runs: the series of each indicator, and the changes that remain after the correction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

import msgspec

from reelbench.reporting.catalogue.sli import Catalogue, Kind
from reelbench.reporting.compare.judge import NEGLIGIBLE_H, NEGLIGIBLE_RELATIVE
from reelbench.reporting.compare.records import Differs
from reelbench.reporting.document import text
from reelbench.reporting.statistics.change_points import LEAST, ChangePoint, change_points
from reelbench.reporting.statistics.significance import cohens_h, corrected
from reelbench.reporting.trend.history import Common, RunValues, Value, facts
from reelbench.reporting.trend.records import Change, Group, Outcome, RunEntry, SeriesRecord

LEVEL: Final = 0.01
"""Greatest corrected p of a change: less than the 0.05 of a comparison, as a history is read again after each run."""
RATIO = "ratio"

Place = tuple[str, str, str, str]
"""Indicator, scenario, case and member."""


def judge(common: Common, runs: Sequence[RunValues], catalogue: Catalogue) -> Group:
    """Find the changes in each indicator over the runs of a group, which are in order of their start."""
    drawn = [_series(place, runs, catalogue) for place in _places(runs)]
    series = sorted((one for one in drawn if one is not None), key=lambda one: bool(one.follows))  # stable
    found = [_points(one, catalogue) for one in series]
    ps = _corrected(series, found)
    newest = runs[-1]
    scenarios = tuple(dict.fromkeys(value.scenario for value in newest.numbers if value.scenario))
    return Group(
        name=_name(common, scenarios),
        target=common.target,
        profile=common.profile,
        scenarios=scenarios,
        plan_hash=common.plan,
        machine=common.machine,
        runs=tuple(_entries(runs)),
        series=tuple(_judged(one, points, p) for one, points, p in zip(series, found, ps, strict=True)),
    )


def _places(runs: Sequence[RunValues]) -> list[Place]:
    """Return the places of the newest run in its order, then those of earlier runs alone."""
    return list(
        dict.fromkeys(
            (value.sli, value.scenario, value.case, value.member) for run in reversed(runs) for value in run.numbers
        )
    )


def _series(place: Place, runs: Sequence[RunValues], catalogue: Catalogue) -> SeriesRecord | None:
    """Return the values of an indicator in a place; None without a better direction, or without a value."""
    values = [run.places.get(place) for run in runs]
    newest = next((value for value in reversed(values) if value is not None and value.value is not None), None)
    sli = catalogue.find(place[0])
    better = sli.better if sli else newest.objective.direction if newest and newest.objective else None
    if newest is None or better is None:
        return None
    counted = sli is not None and sli.kind is Kind.COUNT  # compared as a share, as in a comparison
    return SeriesRecord(
        sli=place[0],
        title=f"{newest.title} (share)" if counted else newest.title,
        unit=RATIO if counted else newest.unit,
        scenario=place[1],
        case=place[2],
        member=place[3],
        better=better,
        follows=(sli.follows or "") if sli else "",
        values=tuple(_number(value, counted=counted) for value in values),
        outcome=Outcome.TOO_FEW,
        changes=(),
    )


def _number(value: Value | None, *, counted: bool) -> float | None:
    if value is None or value.value is None or value.at_least:
        return None
    if counted:
        return value.value / value.n if value.n else None
    return value.value


def _points(series: SeriesRecord, catalogue: Catalogue) -> tuple[ChangePoint, ...]:
    """Return the change points of a series before the correction; indices count the runs that have a value."""
    sli = catalogue.find(series.sli)
    counts_all = sli is not None and sli.key
    share = series.unit == RATIO
    values = [value for value in series.values if value is not None]
    found = change_points(values, LEVEL, 0.0 if share or counts_all else NEGLIGIBLE_RELATIVE, logarithmic=not share)
    if not share or counts_all:
        return found
    return tuple(point for point in found if abs(cohens_h(_share(point.after), _share(point.before))) >= NEGLIGIBLE_H)


def _share(value: float) -> float:
    return min(max(value, 0.0), 1.0)


def _corrected(
    series: Sequence[SeriesRecord], found: Sequence[tuple[ChangePoint, ...]]
) -> list[tuple[float | None, ...]]:
    """Return the corrected p of each change point.

    Each series that was tested is part of its family: with the p of its change points, or with p = 1.
    """
    families: dict[bool, list[float]] = {True: [], False: []}
    for one, points in zip(series, found, strict=True):
        tested = [point.p for point in points if point.p is not None]
        if tested or (_outcome(one) is Outcome.UNCHANGED and not points):
            families[not one.follows] += tested or [1.0]
    left = {primary: iter(corrected(ps)) for primary, ps in families.items()}
    given = []
    for one, points in zip(series, found, strict=True):
        ps = left[not one.follows]
        given.append(tuple(None if point.p is None else next(ps) for point in points))
        if not points and _outcome(one) is Outcome.UNCHANGED:
            next(ps)
    return given


def _outcome(series: SeriesRecord) -> Outcome:
    """Return what can be said of a series before its test."""
    values = [value for value in series.values if value is not None]
    if len(set(values)) == 1 and len(values) > 1:
        return Outcome.CONSTANT
    return Outcome.TOO_FEW if len(values) < LEAST else Outcome.UNCHANGED


def _judged(series: SeriesRecord, points: tuple[ChangePoint, ...], ps: tuple[float | None, ...]) -> SeriesRecord:
    numbers = [number for number, value in enumerate(series.values, start=1) if value is not None]
    changes = tuple(
        Change(
            run=numbers[point.index],
            before=point.before,
            after=point.after,
            n_before=point.n_before,
            n_after=point.n_after,
            relative=point.after / point.before - 1 if point.before and series.unit != RATIO else None,
            p=point.p,
            p_corrected=p,
            worse=(point.after > point.before) == (series.better == "at_most"),
        )
        for point, p in zip(points, ps, strict=True)
        if p is None or p <= LEVEL
    )
    outcome = Outcome.CHANGED if changes else _outcome(series)
    return msgspec.structs.replace(series, outcome=outcome, changes=changes)


def _entries(runs: Sequence[RunValues]) -> Iterator[RunEntry]:
    for before, run in pairwise([runs[0], *runs]):
        mine, theirs = facts(run), facts(before)
        machine = run.provenance.environment
        yield RunEntry(
            run_id=run.run_id,
            started=run.started,
            commit=machine.commit,
            dirty=machine.dirty,
            verdict=run.verdict,
            differs=tuple(
                Differs(item=item, run=mine.get(item, text.NONE), baseline=theirs.get(item, text.NONE))
                for item in dict.fromkeys([*mine, *theirs])
                if mine.get(item) != theirs.get(item)
            ),
        )


def _name(common: Common, scenarios: tuple[str, ...]) -> str:
    what = text.listed(scenarios) if len(scenarios) <= 3 else f"{len(scenarios)} scenarios"  # noqa: PLR2004 - one line
    return f"{common.target}, {what}, profile {common.profile}, plan {common.plan[:8]}, {common.machine}"

"""Figures of the raw samples of a case: what was before it, within it and after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reelbench.loadgen.record.run import CaseRecord
from reelbench.reporting.evidence.measurements import SampleSeries
from reelbench.reporting.evidence.records import Records


@dataclass(frozen=True, slots=True)
class Samples:
    """The samples of a case. A time is Unix time in seconds, a value in the unit of its metric."""

    started: float
    ended: float
    points: tuple[tuple[float, float], ...]
    """In order of time, from before the case to after it."""

    @property
    def before(self) -> tuple[float, float] | None:
        """The last sample up to the beginning."""
        return next((point for point in reversed(self.points) if point[0] <= self.started), None)

    @property
    def within(self) -> tuple[tuple[float, float], ...]:
        """The samples from beginning to end."""
        return tuple(point for point in self.points if self.started <= point[0] <= self.ended)

    @property
    def after(self) -> tuple[float, float] | None:
        """The first sample from the end on."""
        return next((point for point in self.points if point[0] >= self.ended), None)

    @property
    def last(self) -> tuple[float, float] | None:
        """The last sample that was read, at the end of the rest."""
        return self.points[-1] if self.points and self.points[-1][0] >= self.ended else None


def samples(records: Records, reading: str, scenario: str, case: CaseRecord, **labels: str) -> Samples | None:
    """The samples of a reading in a case, summed over the series that have these labels; None when there are none."""
    found = [
        series
        for series in records.series
        if (series.reading, series.scenario, series.case) == (reading, scenario, case.name)
        and labels.items() <= series.labels.items()
    ]
    if not found or case.started is None or case.ended is None:
        return None
    return Samples(case.started, case.ended, total(found))


def total(series: Sequence[SampleSeries]) -> tuple[tuple[float, float], ...]:
    """The sum of several series at each of their instants, from the first on at which all have a value.

    Series of one process are stored at the same instants and add up exactly; of several processes, each counts with
    its latest value, which is at most one scrape interval old.
    """
    latest: dict[int, float] = {}
    points: dict[float, float] = {}
    events = sorted(
        (at, number, value) for number, s in enumerate(series) for at, value in zip(s.times, s.values, strict=True)
    )
    for at, number, value in events:
        latest[number] = value
        if len(latest) == len(series):
            points[at] = sum(latest.values())
    return tuple(points.items())

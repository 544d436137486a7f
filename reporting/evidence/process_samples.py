"""Raw samples of processes through the cases, as Prometheus stored them, without the interpolation of PromQL."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum

import msgspec

from reelbench.loadgen.record.run import CaseRecord, RunRecord
from reelbench.reporting.catalogue.sli import Catalogue, Reading
from reelbench.reporting.evidence.evidence import Evidence, began
from reelbench.reporting.evidence.measurements import Measurements, SampleSeries
from reelbench.reporting.evidence.prometheus import Line, Prometheus

LEAD = 10.0
"""Seconds before a case in which the first sample is searched: more than the scrape interval of either stack."""
LABELS = ("job", "instance", "type")


def read_series(
    catalogue: Catalogue, run: RunRecord, prometheus: Prometheus | None, measurements: Measurements
) -> Measurements:
    """Add the samples of every reading in every case that ended; without a Prometheus there are none.

    Raises:
        QueryError: Prometheus did not answer.
    """
    if prometheus is None:
        return measurements
    asked = [
        ((reading, scenario.name, case.name), *_question(reading, case, scenario.rest, measurements.instant))
        for reading in catalogue.readings
        for scenario in run.scenarios
        if scenario.dimension == reading.dimension and began(scenario)
        for case in scenario.cases
        if case.started is not None and case.ended is not None
    ]
    answers = prometheus.matrices([(query, instant) for _, query, instant in asked])
    series = tuple(
        _series(place, query, instant, line)
        for (place, query, instant), answer in zip(asked, answers, strict=True)
        for line in sorted(answer, key=lambda line: [line.metric.get(label, "") for label in LABELS])
        if line.values
    )
    return msgspec.structs.replace(measurements, series=series)


def _question(reading: Reading, case: CaseRecord, rest: float, settled: float) -> tuple[str, float]:
    """Return the selector with its range, and the instant at which the range ends."""
    assert case.started is not None
    assert case.ended is not None
    instant = round(min(case.ended + rest, max(settled, case.ended)), 3)
    window = math.ceil((instant - case.started + max(rest, LEAD)) * 1000)
    return f"{reading.selector}[{window}ms]", instant


def _series(place: tuple[Reading, str, str], query: str, instant: float, line: Line) -> SampleSeries:
    reading, scenario, case = place
    return SampleSeries(
        reading=reading.id,
        scenario=scenario,
        case=case,
        labels={label: line.metric[label] for label in LABELS if label in line.metric},
        query=query,
        instant=instant,
        times=tuple(time for time, _ in line.values),
        values=tuple(float(value) for _, value in line.values),
    )


class Source(StrEnum):
    """Who read the samples of a figure."""

    READER = "reader"
    """The load generator, from the machine of the processes."""
    PROMETHEUS = "scrapes"


class ProcessSamples(msgspec.Struct, frozen=True):
    """The samples of a case. A time is Unix time in seconds, a value in the unit of its metric."""

    started: float
    ended: float
    points: tuple[tuple[float, float], ...]
    """In order of time, from before the case to after it."""
    source: Source = Source.PROMETHEUS

    @property
    def before(self) -> tuple[float, float] | None:
        """Last sample up to the start."""
        return next((point for point in reversed(self.points) if point[0] <= self.started), None)

    @property
    def within(self) -> tuple[tuple[float, float], ...]:
        """The samples from beginning to end."""
        return tuple(point for point in self.points if self.started <= point[0] <= self.ended)

    @property
    def after(self) -> tuple[float, float] | None:
        """First sample at or after the end."""
        return next((point for point in self.points if point[0] >= self.ended), None)

    @property
    def last(self) -> tuple[float, float] | None:
        """Last sample that was read, at the end of the idle time."""
        return self.points[-1] if self.points and self.points[-1][0] >= self.ended else None


def process_samples(
    evidence: Evidence, reading: str, scenario: str, case: CaseRecord, **labels: str
) -> ProcessSamples | None:
    """Return the samples of a reading in a case, summed over the series with these labels; None without any."""
    found = [
        series
        for series in evidence.series
        if series.scenario == scenario
        and series.case == case.name
        and series.reading == reading
        and labels.items() <= series.labels.items()
    ]
    if not found or case.started is None or case.ended is None:
        return None
    return ProcessSamples(case.started, case.ended, total(found))


def total(series: Sequence[SampleSeries]) -> tuple[tuple[float, float], ...]:
    """Sum several series at each of their instants, from the first instant at which all have a value.

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

"""Raw samples of processes through the cases: memory and CPU as they were stored, not as PromQL fills them in."""

from __future__ import annotations

import math

import msgspec

from reelbench.loadgen.record.run import CaseRecord, RunRecord
from reelbench.reporting.catalogue.sli import Catalogue, Reading
from reelbench.reporting.evidence.measurements import Measurements, SampleSeries
from reelbench.reporting.evidence.prometheus import Line, Prometheus
from reelbench.reporting.evidence.records import began

LEAD = 10.0
"""Seconds before a case within which a first sample is looked for: more than the scrape interval of either stack."""
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
    """Selector with range, and the instant that it ends at."""
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

"""Tallies: totals reach every reader, and only what changed is handed to the SDK."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from reelbench.service.metrics import METRICS_FILE, Tally
from reelbench.telemetry.registry import Instruments

NAME = "dependency.io"
KEYS = ("dependency", "direction", "case")


def made(*readers: InMemoryMetricReader) -> Tally:
    meter = MeterProvider(readers).get_meter("service")
    return Tally(Instruments(meter, Path(METRICS_FILE)), NAME, *KEYS)


def totals(reader: InMemoryMetricReader) -> dict[tuple[str, str, str], float]:
    data = reader.get_metrics_data()
    metrics = [m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics] if data else []
    assert [metric.name for metric in metrics] in ([], [NAME])
    points: Any = [point for metric in metrics for point in metric.data.data_points]
    return {(p.attributes["dependency"], p.attributes["direction"], p.attributes["case"]): p.value for p in points}


PLACES = st.tuples(st.sampled_from("ab"), st.sampled_from(["sent", "received"]), st.sampled_from("xyz"))


@settings(deadline=None)
@given(steps=st.lists(st.tuples(st.integers(0, 1000), PLACES) | st.integers(0, 1), max_size=30))
def test_every_reader_has_every_total_after_each_collection(steps: list[Any]) -> None:
    readers = InMemoryMetricReader(), InMemoryMetricReader()
    tally = made(*readers)
    truth: dict[tuple[str, str, str], float] = {}
    for step in steps:
        if isinstance(step, int):
            assert totals(readers[step]) == truth
        else:
            amount, (dependency, direction, case) = step
            tally.add(amount, dependency, direction, case)
            truth[dependency, direction, case] = truth.get((dependency, direction, case), 0) + amount
    assert totals(readers[0]) == totals(readers[1]) == truth


def test_only_changed_totals_are_handed_to_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = InMemoryMetricReader()
    tally = made(reader)
    for number in range(100):
        tally.add(number, "a", "sent", str(number))
    assert len(totals(reader)) == 100  # also the one that is zero
    handed: list[float] = []
    record = tally._series.record

    def noted(amount: float, *values: str) -> None:
        handed.append(amount)
        record(amount, *values)

    monkeypatch.setattr(tally, "_series", SimpleNamespace(record=noted))
    tally.add(5, "a", "sent", "7")
    found = totals(reader)
    assert (handed, found["a", "sent", "7"], sum(found.values())) == ([5], 12, 4955)
    totals(reader)
    assert handed == [5]

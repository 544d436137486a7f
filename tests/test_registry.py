"""Metrics declared as data: the components record exactly the declared metrics."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import Histogram, InMemoryMetricReader, Sum

from reelbench.loadgen import metrics as loadgen
from reelbench.loadgen.http.trace_headers import IdTrace
from reelbench.loadgen.record.jobs import RequestRecord
from reelbench.service import metrics as service
from reelbench.service.domain.correlation import PLACES, Correlation
from reelbench.service.providers import metrics as providers
from reelbench.telemetry import registry
from tests.data_helper import job

REQUEST = RequestRecord(
    scenario="s", case="c", index=0, warmup=False, operation="create", sent=0.0, duration=0.1, status=200, bytes=1
)
PLACE = Correlation("run", "scenario", "case")


def record_loadgen(provider: MeterProvider) -> None:
    made = loadgen.Metrics(provider.get_meter("loadgen"))
    made.job_started()
    made.job_ended("run", job(), IdTrace())
    made.request_ended("run", REQUEST, IdTrace())


def record_service(provider: MeterProvider) -> None:
    """Call each method with values of its arguments' types, with and without optional arguments."""
    made = service.Metrics(provider.get_meter("service"))
    made.caches(lambda: [("script", 1, 1)])
    made.media(lambda: 0.0, lambda: 0)
    for name, method in inspect.getmembers(made, inspect.ismethod):
        if name.startswith("_") or name in {"caches", "media"}:
            continue
        hints = get_type_hints(method)
        for optional in ("text", None):
            values = {str: "text", float: 1.0, int: 1, Correlation: PLACE, str | None: optional}
            method(*(values[hints[argument]] for argument in inspect.signature(method).parameters))
    for number in range(PLACES + 1):  # the last one gets no place
        made.correlations.hold(replace(PLACE, case=str(number)))


def record_providers(provider: MeterProvider) -> None:
    """Record with the attributes of exchange.py and connections.py, whose own tests check the values."""
    made = providers.create(provider)
    made.requests.record(1, "llm", "ok")
    made.tokens.record(1, "llm", "input")
    made.response_bytes.record(1, "llm")
    made.connections.record(1, "llm")


def recorded(record: Callable[[MeterProvider], None]) -> dict[str, tuple[Any, ...]]:
    """Kind, unit, description, bounds, and attributes of all and of some measurements, by the metric's name."""
    reader = InMemoryMetricReader()
    record(MeterProvider([reader]))
    data = reader.get_metrics_data()
    assert data is not None
    found = {}
    for metric in (m for resource in data.resource_metrics for scope in resource.scope_metrics for m in scope.metrics):
        points: Any = metric.data.data_points
        sets = [frozenset(point.attributes) for point in points]
        kind = "histogram" if isinstance(metric.data, Histogram) else "gauge"
        if isinstance(metric.data, Sum):
            kind = "counter" if metric.data.is_monotonic else "updowncounter"
        bounds = tuple(points[0].explicit_bounds) if kind == "histogram" else ()
        every, some = frozenset.intersection(*sets), frozenset().union(*sets)
        found[metric.name] = kind, metric.unit, metric.description, bounds, every, some - every
    return found


@pytest.mark.parametrize(
    ("path", "record"),
    [
        (service.METRICS_FILE, record_service),
        (loadgen.METRICS_FILE, record_loadgen),
        (providers.METRICS_FILE, record_providers),
    ],
    ids=["service", "loadgen", "providers"],
)
def test_a_component_records_the_metrics_of_its_file_and_no_others(
    path: Path, record: Callable[[MeterProvider], None]
) -> None:
    declared = {
        one.name: (
            one.instrument,
            one.unit,
            one.brief,
            one.bounds,
            {attribute.name for attribute in one.attributes if attribute.required},
            {attribute.name for attribute in one.attributes if not attribute.required},
        )
        for one in registry.read(path)
    }
    assert recorded(record) == declared


def test_buckets_contain_the_objectives_and_are_fine_enough() -> None:
    """Check the ratio of adjacent bounds between two values in seconds, and the number of bounds (cost per scrape)."""
    bounds = {one.name: one.bounds for path in (service, loadgen) for one in registry.read(path.METRICS_FILE)}
    for name, exact, low, high, ratio, count in (
        ("loadgen.job.duration", {0.02, 0.5, 2.0, 30.0, 600.0}, 0.02, 30.0, 1.05, 166),
        ("loadgen.job.duration", {30.0, 600.0}, 30.0, 600.0, 1.25, 166),
        ("loadgen.request.duration", {0.001, 0.5, 2.0, 60.0}, 0.001, 2.0, 1.25, 52),
        ("loadgen.request.duration", {2.0}, 2.0, 60.0, 1.5, 52),
        ("loadgen.job.lateness", {0.0001, 1.0, 60.0}, 0.0001, 1.0, 1.5, 30),
        ("video.job.duration", {0.05, 0.5, 2.0, 60.0, 900.0}, 0.05, 60.0, 1.25, 42),
        ("video.job.stage.duration", {0.001, 300.0}, 0.005, 60.0, 1.3, 41),
        ("http.client.connect.duration", set(), 0.0005, 5.0, 5.0, 8),
        ("http.client.pool.wait.duration", set(), 0.001, 30.0, 10.0, 7),
    ):
        found = bounds[name]
        assert list(found) == sorted(set(found)), name
        assert exact <= set(found), name
        steps = [b / a for a, b in pairwise(found) if low <= a and b <= high]
        assert max(steps) <= ratio * 1.001, name
        assert len(found) == count, name


def test_buckets_for_slow_servers_reach_four_hours_at_five_per_cent() -> None:
    found = {one.name: one.slow_bounds for one in registry.read(loadgen.METRICS_FILE) if one.slow_bounds}
    assert set(found) == {"loadgen.job.duration", "loadgen.request.duration"}
    for name, exact, low, high, ratio, count in (
        ("loadgen.job.duration", {0.5, 2.0, 30.0, 600.0, 3600.0, 86_400.0}, 0.1, 14_400.0, 1.05, 250),
        ("loadgen.request.duration", {0.5, 2.0, 60.0, 600.0, 3600.0}, 0.001, 14_400.0, 1.5, 45),
    ):
        bounds = found[name]
        assert list(bounds) == sorted(set(bounds)), name
        assert exact <= set(bounds), name
        assert max(b / a for a, b in pairwise(bounds) if low <= a and b <= high) <= ratio * 1.001, name
        assert len(bounds) <= count, name


def test_a_server_of_another_maker_gets_the_buckets_for_slow_servers() -> None:
    declared = {one.name: one for one in registry.read(loadgen.METRICS_FILE)}
    for slow in (False, True):
        reader = InMemoryMetricReader()
        made = loadgen.Metrics(MeterProvider([reader]).get_meter("loadgen"), slow=slow)
        made.job_ended("r", job(), IdTrace())
        data = reader.get_metrics_data()
        assert data is not None
        points: Any = {
            m.name: m.data.data_points[0] for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics
        }
        one = declared["loadgen.job.duration"]
        bounds = one.slow_bounds if slow else one.bounds
        assert tuple(points["loadgen.job.duration"].explicit_bounds) == bounds
        assert tuple(points["loadgen.job.lateness"].explicit_bounds) == declared["loadgen.job.lateness"].bounds


def test_a_file_with_a_wrong_key_or_reference_is_an_error(tmp_path: Path) -> None:
    text = service.METRICS_FILE.read_text()
    wrong = tmp_path / "metrics.yaml"
    wrong.write_text(text.replace("  metric_name: video.jobs\n", "  metric_nome: video.jobs\n"))
    with pytest.raises(msgspec.ValidationError, match="metric_nome"):
        registry.read(wrong)
    wrong.write_text(text.replace("ref: cache", "ref: cash", 1))
    with pytest.raises(KeyError, match="cash"):
        registry.read(wrong)


def test_an_instrument_is_created_as_the_kind_that_is_declared() -> None:
    made = registry.Instruments(MeterProvider().get_meter("made"), service.METRICS_FILE)
    with pytest.raises(AssertionError, match="declared as counter"):
        made.histogram("video.jobs")
    with pytest.raises(KeyError):
        made.counter("video.absent")

"""Which cases have series of their own, how many, and for how long."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from opentelemetry import baggage
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from reelbench.service.domain.correlation import AGE, NONE, OVERFLOW, PLACES, Correlation, Correlations
from reelbench.service.metrics import Metrics


class Registry:
    """Two places, a clock that stands, and what was called."""

    def __init__(self, places: int = 2) -> None:
        self.now = 1000.0
        self.ended: list[list[str]] = []
        self.refused = 0
        self.cases = Correlations(
            on_ended=lambda found: self.ended.append([one.run_id for one in found]),
            on_refused=self._refuse,
            places=places,
            age=10,
            clock=lambda: self.now,
        )

    def _refuse(self) -> None:
        self.refused += 1

    def admit(self, name: str) -> str:
        return self.cases.admit(context(name)).run_id


def context(name: str) -> Context:
    return baggage.set_baggage("run_id", name)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("run_id=a,scenario=b,case=c", Correlation("a", "b", "c")),
        ("case=A.z-9_:x", Correlation("", "", "A.z-9_:x")),
        ("run_id=" + "x" * 64, Correlation("x" * 64)),
        ("run_id=" + "x" * 65, NONE),
        ("run_id=a%20b,scenario=%0A,case=é", NONE),
        ("run_id=a,case=%0A", Correlation("a")),
        ("", NONE),
        (";;;,=,==", NONE),
    ],
)
def test_a_case_is_read_from_baggage_and_validated(header: str, expected: Correlation) -> None:
    sent = W3CBaggagePropagator().extract({"baggage": header})
    cases = Registry().cases
    assert cases.read(sent) == NONE  # reading makes no place
    assert (cases.admit(sent), cases.read(sent)) == (expected, expected)
    assert len(cases) == (expected != NONE)


def test_a_case_beyond_the_places_is_counted_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    registry = Registry()
    with caplog.at_level(logging.WARNING):
        assert [registry.admit(name) for name in "abcda"] == ["a", "b", "overflow", "overflow", "a"]
    assert (registry.refused, len(registry.cases)) == (2, 2)
    assert [record.getMessage()[:46] for record in caplog.records] == ["All 2 places for cases are in use: metrics of "]
    assert registry.cases.hold(OVERFLOW) is OVERFLOW
    registry.cases.release(OVERFLOW)


def test_cases_that_ended_make_room_after_their_age_and_not_before() -> None:
    registry = Registry()
    for name in "ab":
        registry.admit(name)
    registry.admit("b")
    for name in "ab":
        registry.cases.release(Correlation(name))
    registry.now += 9.9
    assert registry.admit("c") == "overflow"
    registry.now += 0.1
    assert registry.admit("c") == "c"  # b has one more job
    assert registry.ended == [["a"]]
    assert registry.cases.read(context("a")) is NONE
    assert registry.cases.read(context("b")) == Correlation("b")


def test_a_long_lived_service_has_labels_for_every_run() -> None:
    registry = Registry(PLACES)
    for run in range(200):
        for case in range(36):
            assert registry.admit(f"{run}.{case}") == f"{run}.{case}"
            registry.cases.release(Correlation(f"{run}.{case}"))
            registry.now += 2
    assert registry.refused == 0
    assert len(registry.cases) <= PLACES


def series(reader: InMemoryMetricReader) -> list[tuple[str, object, object]]:
    data: Any = reader.get_metrics_data()
    return [
        (metric.name, point.attributes.get("run_id"), getattr(point, "value", None))
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    ]


def test_the_series_of_a_case_that_lost_its_place_are_removed() -> None:
    reader = InMemoryMetricReader()
    metrics = Metrics(MeterProvider([reader]).get_meter("t"))
    now = 1000.0
    metrics.correlations._clock = lambda: now
    first, *rest = [metrics.correlations.hold(Correlation(f"r{number}")) for number in range(PLACES)]
    for case in (first, rest[0]):
        metrics.accepted(case)
        metrics.usage("llm", "input_tokens", 3, case)
        metrics.stage("parse", "ok", 0.1, case)
    # The labels of other series may be the words of a case.
    metrics.breaker_transition("llm", "closed", "open")
    metrics.correlations.hold(Correlation("llm", "closed", "open"))
    before = series(reader)
    assert [name for name, run, _ in before if run == "r0"] == [
        "video.jobs.accepted",
        "video.job.stage.duration",
        "video.usage",
    ]
    assert ("video.cases.overflow", None, 1) in before
    metrics.correlations.release(first)
    now += AGE
    assert metrics.correlations.hold(Correlation("new")) == Correlation("new")
    after = series(reader)
    assert [one for one in before if one[1] != "r0"] == after
    metrics.accepted(metrics.correlations.hold(rest[0]))
    metrics.accepted(Correlation("new"))
    found = series(reader)
    assert ("video.jobs.accepted", "r1", 2) in found
    assert ("video.jobs.accepted", "new", 1) in found


@pytest.mark.extended
def test_requests_with_made_up_cases_make_no_series_unless_a_job_is_accepted(start: Callable[..., Any]) -> None:
    running = start(workers=1, queue_size=0)
    with httpx.Client(base_url=running.url) as client:
        for number in range(30):
            headers = {"baggage": f"run_id=r{number},scenario=s,case=c"}
            assert client.get("/v1/videos", headers=headers).status_code == 200
            assert client.get(f"/v1/videos/video_{number:032x}", headers=headers).status_code == 404
            assert client.post("/v1/videos", headers=headers, json={"prompt": ""}).status_code == 400
    names = ("db.client.operation.duration", "dependency.io", "video.jobs.rejected", "http.server.request.duration")
    labels = [found for name in names for found, _ in running.points(name)]
    assert [found for found in labels if found.get("run_id")] == []
    assert len(labels) < 20


def test_a_job_keeps_the_place_of_its_case_until_it_ends(
    start: Callable[..., Any], providers: Any, create: Callable[..., Any]
) -> None:
    providers.gate.clear()
    running = start()
    video = create(running, wait=0, headers={"baggage": "run_id=r,scenario=s,case=c"})
    cases = running.server.config.app.state.service.jobs._correlations
    (place,) = cases._places.values()
    assert place.held == 1
    providers.gate.set()
    httpx.get(f"{running.url}/v1/videos/{video['id']}/wait", params={"timeout": 10}, timeout=20)
    assert place.held == 0
    refused = {"prompt": "x", "input_reference": {"image_url": "data:image/png;base64,AAAA"}}
    answer = httpx.post(f"{running.url}/v1/videos", json=refused, headers={"baggage": "run_id=other"})
    assert answer.status_code == 400
    assert [place.held for place in cases._places.values()] == [0, 0]

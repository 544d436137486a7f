from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from reelbench.stack import http
from reelbench.stack.errors import StackError
from reelbench.stack.readiness import TelemetryEnd, answers, await_telemetry, poll


class World:
    """A clock that advances only by sleeping, and a Prometheus whose samples appear over time."""

    def __init__(self, samples: dict[str, list[tuple[float, str]]]) -> None:
        self.now = 1000.0
        self.samples = samples
        self.broken_until = 0.0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def query(self, url: str, expression: str, *, at: float, timeout: float) -> list[dict[str, Any]]:
        if self.now < self.broken_until:
            raise StackError("busy")
        selector, window = expression[:-1].rsplit("[", 1)
        seconds = float(window.removesuffix("s"))
        values = [[when, value] for when, value in self.samples[selector] if at - seconds <= when <= at]
        return [{"values": values}] if values else []


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World({"up{a}": [], "up{b}": []})
    monkeypatch.setattr(http, "query", world.query)
    return world


def run(world: World, after: float = 1000.0) -> TelemetryEnd:
    selectors = {"a": "up{a}", "b": "up{b}"}
    return await_telemetry("http://p", selectors, after, deadline=15, clock=world.clock, sleep=world.sleep)


def test_the_instant_is_the_first_at_which_all_are_visible(world: World) -> None:
    world.samples |= {"up{a}": [(999.5, "1"), (1000.5, "1"), (1001.5, "1")], "up{b}": [(999.9, "1"), (1000.9, "1")]}
    assert run(world) == TelemetryEnd(1000.9, complete=True, missing=[])
    assert world.now == pytest.approx(1000.9, abs=0.11)


def test_an_ended_component_counts_if_scraped_after_the_load(world: World) -> None:
    world.samples |= {"up{a}": [(990.4, "1"), (991.4, "0"), (1000.4, "0")], "up{b}": [(1000.2, "1")]}
    assert run(world, after=990.0) == TelemetryEnd(1000.2, complete=True, missing=[])


def test_down_early_and_aligned_samples_do_not_count(world: World) -> None:
    world.samples |= {"up{a}": [(1000.5, "1")], "up{b}": [(999.9, "1"), (1000.001, "1"), (1000.9, "0")]}
    settled = run(world)
    assert (settled.complete, settled.missing) == (False, ["b"])
    assert settled.instant == pytest.approx(1015, abs=0.2)


@pytest.mark.parametrize("ahead", [6.0, -6.0])
def test_a_prometheus_with_another_clock_is_awaited_by_its_own_time(world: World, ahead: float) -> None:
    # Both are scraped 0.4 s before and 0.6 s after the end of the load, and stamped by a clock that is 6 s off.
    times = [(999.6 + ahead, "1"), (1000.6 + ahead, "1")]
    world.samples |= {"up{a}": times, "up{b}": times}
    selectors = {"a": "up{a}", "b": "up{b}"}
    settled = await_telemetry("http://p", selectors, 1000.0, ahead=ahead, clock=world.clock, sleep=world.sleep)
    assert (settled.complete, settled.missing) == (True, [])
    assert settled.instant == pytest.approx(1000.6)
    assert world.now == pytest.approx(1000.6, abs=0.11)


def test_an_ended_component_is_not_awaited(world: World) -> None:
    world.samples |= {"up{a}": [(1000.5, "1")], "up{b}": [(999.9, "1")]}
    selectors = {"a": "up{a}", "b": "up{b}"}
    settled = await_telemetry("http://p", selectors, 1000.0, ended=lambda: ["b"], clock=world.clock, sleep=world.sleep)
    assert (settled.complete, settled.missing) == (False, ["b"])
    assert settled.instant == pytest.approx(1000.5, abs=0.11)  # the other component is awaited


def test_queries_to_a_busy_prometheus_are_retried(world: World) -> None:
    world.broken_until = 1003.0
    world.samples |= {"up{a}": [(1000.5, "1")], "up{b}": [(1000.7, "1")]}
    assert run(world) == TelemetryEnd(1000.7, complete=True, missing=[])


def test_poll_returns_the_value_or_fails_with_one_sentence() -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    assert poll(lambda: "x" if now[0] >= 0.5 else None, "it", deadline=1, clock=lambda: now[0], sleep=sleep) == "x"
    now[0] = 0.0
    with pytest.raises(StackError, match=r"^Gave up after 1 s waiting for the moon\.$"):
        poll(lambda: None, "the moon", deadline=1, clock=lambda: now[0], sleep=sleep)
    assert now[0] == pytest.approx(1, abs=0.05)


def test_a_port_on_which_nothing_listens_gets_no_http_request(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def get(url: str, *, timeout: float) -> http.Answer:
        asked.append(url)
        return http.Answer(200, b"")

    monkeypatch.setattr(http, "get", get)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert answers(f"http://127.0.0.1:{port}/ready")
    assert not answers(f"http://127.0.0.1:{port}/ready")
    assert asked == [f"http://127.0.0.1:{port}/ready"]


def test_http_against_a_server(serve: Callable[..., str]) -> None:
    url = serve(
        {
            "/ok": (200, b"fine"),
            "/ill": (503, b"later"),
            "/api/v1/query": (400, b'{"status":"error","errorType":"bad_data","error":"parse error"}'),
        }
    )
    assert answers(f"{url}/ok")
    assert not answers(f"{url}/ill")
    assert not answers("http://127.0.0.1:9/")
    ill = http.get(f"{url}/ill", timeout=1)
    assert (ill.status, ill.body, "content-length" in ill.headers) == (503, b"later", True)
    with pytest.raises(StackError, match=r"^Prometheus refused the query 'up\(': parse error\.$"):
        http.query(url, "up(", timeout=1)
    with pytest.raises(StackError, match="does not answer like Prometheus"):
        http.query(f"{url}/else", "up", timeout=1)
    with pytest.raises(StackError, match=r"^file:///etc/passwd does not answer"):
        http.get("file:///etc/passwd", timeout=1)


def test_loopback_requests_bypass_proxies(serve: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert answers(serve({"/ok": (200, b"")}) + "/ok")


def test_query_sends_expression_and_instant(serve: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    send = requests.Session.send

    def sending(session: requests.Session, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        asked.append(str(request.url))
        return send(session, request, **options)

    monkeypatch.setattr(requests.Session, "send", sending)
    url = serve({"/api/v1/query": (200, b'{"status":"success","data":{"resultType":"vector","result":[{"a":1}]}}')})
    assert http.query(url, 'up{job="a b"}', at=12.3456, timeout=1) == [{"a": 1}]
    assert parse_qs(urlsplit(asked[0]).query) == {"query": ['up{job="a b"}'], "time": ["12.346"]}


def test_each_of_several_load_generators_must_have_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World({})
    first, second = [(1000.3, "9"), (1001.3, "9")], [(1000.8, "7")]

    def query(_url: str, _expression: str, *, at: float, timeout: float) -> list[dict[str, Any]]:
        return [{"values": [one for one in values if one[0] <= at]} for values in (first, second)]

    monkeypatch.setattr(http, "query", query)
    for least, instant in ((1, 1000.3), (2, 1000.8)):
        settled = await_telemetry(
            "http://p", {"loadgen": "x"}, 1000.0, value=None, least={"loadgen": least},
            clock=world.clock, sleep=world.sleep,
        )  # fmt: skip
        assert settled == TelemetryEnd(instant, complete=True, missing=[])
    late = await_telemetry(
        "http://p", {"loadgen": "x"}, 1000.0, value=None, least={"loadgen": 3}, deadline=1,
        clock=world.clock, sleep=world.sleep,
    )  # fmt: skip
    assert late.missing == ["loadgen"]

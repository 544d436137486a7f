"""The log of calls."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from reelbench.service.providers.app import Settings, create_app
from reelbench.service.providers.calls import Arrival, CallLog

BODY = {"model": "m", "input": "Hello", "response_format": "wav"}
CHAT = {"model": "m", "messages": [{"role": "user", "content": "One."}], "metadata": {"scenes": "1"}}


class Time:
    """Unix time that advances by one second per reading."""

    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        self.at += 1
        return self.at


def client(caller: str = "127.0.0.1", **settings: Any) -> httpx.AsyncClient:
    quick = {name: {"median": 1e-6} for name in ("llm", "tts", "image")}
    app = create_app(Settings(**quick, **settings), clock=Time())  # type: ignore[arg-type]
    return httpx.AsyncClient(transport=httpx.ASGITransport(app, client=(caller, 1)), base_url="http://test")


PEER = {"connection": "127.0.0.1:1"}


async def test_calls_are_listed_in_order_with_times_and_outcome() -> None:
    async with client(faults=True) as http:
        rules = [
            {"provider": "tts", "kind": "error", "rate": 0.5, "status": 400},  # x..x
            {"provider": "llm", "kind": "outage"},
        ]
        assert (await http.put("/faults", json={"seed": 1, "rules": rules})).status_code == 200
        for sent in ("t=99.500000", "t=100.250000", "yesterday"):
            await http.post("/v1/audio/speech", json=BODY, headers={"X-Request-Start": sent})
        await http.post("/v1/chat/completions", json={}, headers={"X-Request-Start": "t=103"})
        await http.post("/v1/audio/speech", content=b"{")
        calls = [
            {"provider": "tts", "sent": 99.5, "arrived": 101.0, "outcome": "error", **PEER},
            {"provider": "tts", "sent": 100.25, "arrived": 102.0, "outcome": "ok", **PEER},
            {"provider": "tts", "sent": None, "arrived": 103.0, "outcome": "ok", **PEER},
            {"provider": "llm", "sent": 103.0, "arrived": 104.0, "outcome": "outage", **PEER},
            {"provider": "tts", "sent": None, "arrived": 105.0, "outcome": "invalid", **PEER},
        ]
        for query, expected in (
            ({}, calls),
            ({"provider": "llm"}, calls[3:4]),
            ({"provider": "image"}, []),
            ({"provider": "tts", "since": "102"}, [calls[1], calls[2], calls[4]]),
            ({"since": "102.5"}, calls[2:]),
            ({"since": "1e12"}, []),
        ):
            assert (await http.get("/faults/calls", params=query)).json() == {"calls": expected}
        await http.delete("/faults")
        assert len((await http.get("/faults/calls")).json()["calls"]) == 5


def test_an_implausible_header_is_ignored(subtests: pytest.Subtests) -> None:
    for sent in [
        "",
        "t=",
        "t=nan",
        "t=inf",
        "t=-1",
        "t=1e5",
        "t=1;t=2",
        " t=1",
        "t=1 ",
        "T=1",
        "t=1.",
        "t=" + "9" * 400,
        "1",
    ]:
        with subtests.test(sent=sent[:40]):
            assert CallLog(1).arrived("tts", sent, 5.0) == Arrival("tts", None, 5.0)


def test_the_number_of_kept_calls_is_bounded() -> None:
    log = CallLog(3)
    for number in range(5):
        log.arrived("tts", f"t={number}.5", 10.0 + number).outcome = "ok"
    assert log.since(None, 0) == [Arrival("tts", n + 0.5, 10.0 + n, "ok") for n in (2, 3, 4)]
    assert log.since("llm", 0) == []
    none = CallLog(0)
    none.arrived("tts", None, 1.0).outcome = "ok"
    assert none.since(None, 0) == []


def test_a_call_is_listed_once_it_is_counted() -> None:
    log = CallLog(3)
    first, second = (log.arrived("tts", None, at) for at in (1.0, 2.0))
    second.outcome = "stall"
    assert log.since(None, 0) == [second]
    first.outcome = "ok"
    assert log.since(None, 0) == [first, second]


async def test_a_wrong_query_is_named(subtests: pytest.Subtests) -> None:
    for query, param, message in [
        ({"provider": "store"}, "provider", "provider must be one of llm, tts, image."),
        ({"provider": ""}, "provider", "provider must be one of llm, tts, image."),
        ({"since": "yesterday"}, "since", "since must be a time in Unix seconds."),
        ({"since": "nan"}, "since", "since must be a time in Unix seconds."),
        ({"since": "inf"}, "since", "since must be a time in Unix seconds."),
    ]:
        with subtests.test(query=query):
            async with client(faults=True) as http:
                answer = await http.get("/faults/calls", params=query)
            assert answer.status_code == 400
            error = {"message": message, "type": "invalid_request_error", "param": param, "code": "invalid_value"}
            assert answer.json() == {"error": error}


async def test_who_may_read_the_log(subtests: pytest.Subtests) -> None:
    for caller, settings, status in [
        ("127.0.0.1", {"faults": True}, 200),
        ("10.0.0.9", {"faults": True}, 403),
        ("10.0.0.9", {"faults": True, "faults_remote": True}, 200),
        ("127.0.0.1", {}, 404),
    ]:
        with subtests.test(caller=caller, settings=settings):
            async with client(caller, **settings) as http:
                assert (await http.get("/faults/calls")).status_code == status

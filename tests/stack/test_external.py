from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from stack.errors import StackError
from stack.external import ExternalStack, find_external
from stack.record import read_stack

SERVICE = {"/health": (200, b"{}"), "/v1/videos": (200, b'{"object":"list","data":[],"has_more":false}')}
BUILD = {"/api/v1/status/buildinfo": (200, b'{"status":"success","data":{"version":"3.14.0","revision":"x"}}')}
KNOWS = b'{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"9"]}]}}'
KNOWS_NOT = b'{"status":"success","data":{"resultType":"vector","result":[]}}'


def find(service: str, prometheus: str, lines: list[str], **environment: str) -> ExternalStack | None:
    return find_external(lines.append, environment=environment, defaults=(service, prometheus), first_metrics=0.1)


@pytest.fixture
def nowhere() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def test_our_stack_is_found(serve: Callable[..., str]) -> None:
    service, prometheus = serve(SERVICE), serve(BUILD | {"/api/v1/query": (200, KNOWS)})
    lines: list[str] = []
    assert find(service, prometheus, lines) == ExternalStack(service, prometheus, "3.14.0")
    assert lines == []


def test_nothing_there_is_nothing_to_say(nowhere: str) -> None:
    lines: list[str] = []
    assert find(nowhere, nowhere, lines) is None
    assert lines == []


@pytest.mark.parametrize(
    ("service", "known", "complaint"),
    [
        (SERVICE, KNOWS_NOT, "metrics of the service"),
        ({"/health": (200, b"")}, KNOWS, "does not list videos (status 404)"),
        ({"/health": (200, b""), "/v1/videos": (200, b"<html>")}, KNOWS, "is not a service of videos"),
        ({"/health": (200, b""), "/v1/videos": (200, b'{"object":"x","data":[]}')}, KNOWS, "does not list videos"),
    ],
)
def test_strangers_are_not_taken_for_our_stack(
    serve: Callable[..., str], service: dict, known: bytes, complaint: str
) -> None:
    lines: list[str] = []
    urls = serve(service), serve(BUILD | {"/api/v1/query": (200, known)})
    assert find(*urls, lines) is None
    assert len(lines) == 1
    assert lines[0].startswith(f"Not using what runs at {urls[0]} and {urls[1]}: ")
    assert complaint in lines[0]


def test_a_lone_stranger_is_passed_over_in_silence(serve: Callable[..., str], nowhere: str) -> None:
    lines: list[str] = []
    assert find(nowhere, serve(BUILD), lines) is None
    assert find(serve(SERVICE), nowhere, lines) is None
    assert lines == []


def test_named_addresses_must_answer(serve: Callable[..., str], nowhere: str) -> None:
    service = serve(SERVICE)
    with pytest.raises(StackError, match="does not answer"):
        find(service, nowhere, [], SERVICE_URL=f"{nowhere}/")
    with pytest.raises(StackError, match="does not answer"):
        find(service, nowhere, [], PROMETHEUS_URL=nowhere)
    with pytest.raises(StackError, match="is not a Prometheus; set PROMETHEUS_URL"):
        find(nowhere, nowhere, [], SERVICE_URL=service, PROMETHEUS_URL=service)


def test_record_of_an_external_run(tmp_path: Path) -> None:
    ExternalStack("http://s", "http://p", "3.14.0").record(tmp_path)
    record = read_stack(tmp_path)
    assert (record.kind, record.prometheus.data_dir) == ("external", None)
    assert (record.settled_at, record.settled) == (
        None,
        False,
    )
    assert [component.name for component in record.components] == ["service", "providers", "loadgen"]

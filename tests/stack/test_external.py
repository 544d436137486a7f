from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from reelbench.stack.errors import StackError
from reelbench.stack.external import Addresses, ExternalRun, ExternalStack, find_external, published
from tests.commands import stack_of
from tests.stack.conftest import Answers

SERVICE = {"/health": (200, b"{}"), "/v1/videos": (200, b'{"object":"list","data":[],"has_more":false}')}
BUILD = {"/api/v1/status/buildinfo": (200, b'{"status":"success","data":{"version":"3.14.0","revision":"x"}}')}
KNOWS = b'{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"9"]}]}}'
KNOWS_NOT = b'{"status":"success","data":{"resultType":"vector","result":[]}}'
PROMETHEUS = BUILD | {"/api/v1/query": (200, KNOWS)}
TEMPO = {"/ready": (200, b"ready\n")}
COLLECTOR = {"/v1/metrics": (405, b"405 method not allowed, supported: [POST]")}


def find(addresses: Addresses, lines: list[str], **environment: str) -> ExternalStack | None:
    return find_external(lines.append, environment=environment, defaults=addresses, first_metrics=0.1)


@pytest.fixture
def nowhere() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def test_our_stack_is_found(serve: Callable[..., str]) -> None:
    addresses = Addresses(serve(SERVICE), serve(PROMETHEUS), serve(TEMPO), serve(COLLECTOR))
    lines: list[str] = []
    assert find(addresses, lines, INTERVAL="2") == ExternalStack(addresses, "3.14.0", 2)
    assert lines == []


def test_the_addresses_are_those_that_compose_publishes() -> None:
    parts = ("SERVICE", "PROMETHEUS", "TEMPO", "OTLP", "PROVIDERS", "GRAFANA")
    ports = {f"{part}_PORT": str(number) for number, part in enumerate(parts, 1)}
    assert published(ports) == Addresses(*(f"http://127.0.0.1:{port}" for port in range(1, 7)))


def test_without_a_stack_there_is_no_message(nowhere: str) -> None:
    lines: list[str] = []
    assert find(Addresses(nowhere, nowhere, nowhere, nowhere), lines) is None
    assert lines == []


def test_every_missing_part_is_named(serve: Callable[..., str], nowhere: str) -> None:
    addresses = Addresses(serve(SERVICE), serve(PROMETHEUS), serve({"/ready": (503, b"starting")}), nowhere)
    with pytest.raises(StackError) as missing:
        find(addresses, [])
    assert f"there is no Tempo that is ready at {addresses.tempo} (TEMPO_URL) and no Collector at {nowhere}" in str(
        missing.value
    )
    assert "docker compose up -d --wait" in str(missing.value)


def test_a_stack_without_traces_can_be_named(serve: Callable[..., str], nowhere: str) -> None:
    addresses = Addresses(serve(SERVICE), serve(PROMETHEUS), nowhere, serve(COLLECTOR))
    found = find(addresses, [], TEMPO_URL="")
    assert found is not None
    assert found.addresses.tempo == ""


@pytest.mark.parametrize(
    ("service", "known", "complaint"),
    [
        (SERVICE, KNOWS_NOT, "metrics of the service"),
        ({"/health": (200, b"")}, KNOWS, "does not list videos (status 404)"),
        ({"/health": (200, b""), "/v1/videos": (200, b"<html>")}, KNOWS, "is not a service of videos"),
        ({"/health": (200, b""), "/v1/videos": (200, b'{"object":"x","data":[]}')}, KNOWS, "does not list videos"),
    ],
)
def test_other_servers_are_not_accepted_as_a_stack(
    serve: Callable[..., str], nowhere: str, service: Answers, known: bytes, complaint: str
) -> None:
    lines: list[str] = []
    urls = serve(service), serve(BUILD | {"/api/v1/query": (200, known)})
    assert find(Addresses(*urls, nowhere, nowhere), lines) is None
    assert len(lines) == 1
    assert lines[0].startswith(f"Not using what runs at {urls[0]} and {urls[1]}: ")
    assert complaint in lines[0]


def test_a_single_foreign_server_is_ignored(serve: Callable[..., str], nowhere: str) -> None:
    lines: list[str] = []
    assert find(Addresses(nowhere, serve(BUILD), nowhere, nowhere), lines) is None
    assert find(Addresses(serve(SERVICE), nowhere, nowhere, nowhere), lines) is None
    assert lines == []


def test_named_addresses_must_answer(serve: Callable[..., str], nowhere: str) -> None:
    service = serve(SERVICE)
    addresses = Addresses(service, nowhere, nowhere, nowhere)
    with pytest.raises(StackError, match="does not answer"):
        find(addresses, [], SERVICE_URL=f"{nowhere}/")
    with pytest.raises(StackError, match="does not answer"):
        find(addresses, [], PROMETHEUS_URL=nowhere)
    with pytest.raises(StackError, match="is not a Prometheus; set PROMETHEUS_URL"):
        find(Addresses(nowhere, nowhere, "", ""), [], SERVICE_URL=service, PROMETHEUS_URL=service)


HEALTHY = {"/api/health": (200, b"{}")}


def test_grafana_is_used_if_it_answers_and_belongs_to_the_stack(serve: Callable[..., str], nowhere: str) -> None:
    here = serve(HEALTHY)
    urls = (serve(SERVICE), serve(PROMETHEUS), serve(TEMPO), serve(COLLECTOR), "")
    lines: list[str] = []

    def shown(grafana: str, **environment: str) -> str:
        found = find(Addresses(*urls, grafana), lines, **environment)
        assert found is not None
        return found.addresses.grafana

    assert shown(here) == here
    assert shown(nowhere) == ""
    assert shown(here, SERVICE_URL=urls[0]) == ""
    assert shown(nowhere, SERVICE_URL=urls[0], GRAFANA_URL=here) == here
    assert lines == []
    assert shown(here, GRAFANA_URL=nowhere) == ""
    assert lines == [f"warning: no Grafana answers at {nowhere} (GRAFANA_URL); the run goes on without its annotations"]


def test_record_of_an_external_run(tmp_path: Path) -> None:
    stack = ExternalStack(Addresses("http://s", "http://p", "http://t", "http://c"), "3.14.0")
    with ExternalRun(stack, tmp_path) as run:
        assert (run.target, run.prometheus_url) == ("http://s", "http://p")
    record = stack_of(tmp_path)
    assert record.prometheus is not None
    assert (record.kind, record.prometheus.data_dir, record.traces_url) == ("external", None, "http://t")
    assert (record.settled_at, record.settled, record.grafana_url) == (None, False, None)
    assert [component.name for component in record.components] == ["service", "providers", "loadgen"]
    shown = ExternalStack(Addresses("http://s", "http://p", "", "http://c", grafana="http://g"), "3.14.0")
    with ExternalRun(shown, tmp_path) as run:
        assert run.grafana_url == "http://g"
    assert stack_of(tmp_path).grafana_url == "http://g"

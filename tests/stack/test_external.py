from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reelbench.stack import http
from reelbench.stack.endpoints import LOADGEN
from reelbench.stack.endpoints import SERVICE as SERVICE_NAME
from reelbench.stack.errors import StackError
from reelbench.stack.external import SETTINGS, Addresses, ExternalRun, ExternalStack, find_external, published
from reelbench.stack.readiness import TelemetryEnd
from tests.commands import stack_of
from tests.stack.conftest import Answers

OK = b'{"status":"ok"}'
NAMED: Answers = {"/openapi.json": (200, b'{"info":{"title":"Reelbench text-to-video service"}}')}
LISTING = (200, b'{"object":"list","data":[],"has_more":false}')
SERVICE: Answers = NAMED | {"/health": (200, OK), "/ready": (200, OK), "/v1/videos": LISTING}
STORE_AWAY = (503, b'{"error":{"message":"The job store failed at ZRANGE: DENIED.","code":"store_unavailable"}}')
NO_KEY = (401, b'{"error":{"message":"x","code":"missing_api_key"}}')
BUILD: Answers = {"/api/v1/status/buildinfo": (200, b'{"status":"success","data":{"version":"3.14.0","revision":"x"}}')}
KNOWS = b'{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"9"]}]}}'
KNOWS_NOT = b'{"status":"success","data":{"resultType":"vector","result":[]}}'
PROMETHEUS: Answers = BUILD | {"/api/v1/query": (200, KNOWS)}
OUR_PROMETHEUS: Answers = PROMETHEUS | {
    "/api/v1/status/config": (200, b'{"data":{"yaml":"- job_name: otel-collector\\n- job_name: tempo"}}')
}
TEMPO: Answers = {"/ready": (200, b"ready\n")}
OUR_TEMPO: Answers = TEMPO | {
    "/status/config": (200, b"/var/tempo/live-store/shutdown-marker\ntrace_id_label_name: trace_id")
}
COLLECTOR: Answers = {"/v1/metrics": (405, b"405 method not allowed, supported: [POST]")}
POST_ONLY = ("/v1/chat/completions", "/v1/audio/speech", "/v1/images/generations")
PROVIDERS: Answers = {"/health": (200, OK), **dict.fromkeys(POST_ONLY, (405, b""))}
HEALTHY: Answers = {"/api/health": (200, b"{}")}
BOARD: Answers = {"/api/dashboards/uid/reelbench-live": (200, b"{}")}


def find(addresses: Addresses, lines: list[str], **environment: str) -> ExternalStack | None:
    return find_external(lines.append, environment=environment, defaults=addresses, first_metrics=0.1)


@pytest.fixture
def nowhere() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def test_our_stack_is_found(serve: Callable[..., str]) -> None:
    urls = (serve(SERVICE), serve(PROMETHEUS), serve(TEMPO), serve(COLLECTOR), serve(PROVIDERS), serve(HEALTHY))
    addresses = Addresses(*urls)
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


def test_every_missing_part_is_named_with_its_own_reason(serve: Callable[..., str], nowhere: str) -> None:
    addresses = Addresses(serve(SERVICE), serve(PROMETHEUS), serve({"/ready": (503, b"Ingester not ready\n")}), nowhere)
    with pytest.raises(StackError) as missing:
        find(addresses, [], TEMPO_URL=addresses.tempo)
    assert str(missing.value).startswith(
        "A full stack is there (the service, Prometheus), but cannot be used: "
        f"Tempo at {addresses.tempo} (TEMPO_URL) is not ready (status 503, Ingester not ready); "
        f"the Collector at {nowhere} (OTLP_PORT in .env) does not answer (Connection refused). "
    )
    assert "docker compose up -d --wait" in str(missing.value)
    assert str(missing.value).endswith("with --embedded.")


@pytest.mark.parametrize(
    ("part", "answers"),
    [
        ("service", SERVICE),
        ("service", NAMED | {"/ready": STORE_AWAY}),
        ("service", {"/openapi.json": NO_KEY, "/v1/videos": NO_KEY, "/health": (200, OK)}),
        ("prometheus", OUR_PROMETHEUS),
        ("providers", PROVIDERS),
        ("grafana", HEALTHY | BOARD),
        ("grafana", {"/api/health": (503, b"{}")} | BOARD),
        ("tempo", OUR_TEMPO),
    ],
)
def test_one_part_of_ours_is_enough_to_be_the_stack(
    serve: Callable[..., str], nowhere: str, part: str, answers: Answers
) -> None:
    addresses = replace(Addresses(*[nowhere] * 6), **{part: serve(answers)})
    with pytest.raises(StackError, match="does not answer") as missing:
        find(addresses, [])
    for other in SETTINGS.keys() - {part, "grafana"}:
        assert f"({SETTINGS[other]} in .env) does not answer (Connection refused)" in str(missing.value)


@pytest.mark.parametrize(
    ("part", "answers"),
    [
        ("service", {"/ready": (200, OK), "/health": (200, OK), "/v1/videos": LISTING}),
        ("service", SERVICE | {"/openapi.json": (200, b'{"info":{"title":"vLLM"}}')}),
        ("prometheus", PROMETHEUS),
        ("providers", {"/health": (200, OK)}),
        ("grafana", HEALTHY),
        ("tempo", TEMPO | {"/status/config": (200, b"target: all")}),
        ("collector", COLLECTOR),
    ],
)
def test_the_parts_of_others_are_no_stack_of_ours(
    serve: Callable[..., str], nowhere: str, part: str, answers: Answers
) -> None:
    lines: list[str] = []
    assert find(replace(Addresses(*[nowhere] * 6), **{part: serve(answers)}), lines) is None
    assert lines == []


def test_a_service_whose_store_refuses_says_so_in_its_own_words(serve: Callable[..., str]) -> None:
    service = serve(SERVICE | {"/v1/videos": STORE_AWAY})
    addresses = Addresses(service, serve(OUR_PROMETHEUS), serve(TEMPO), serve(COLLECTOR), serve(PROVIDERS))
    with pytest.raises(StackError) as unfit:
        find(addresses, [])
    reason = "does not list videos (status 503, The job store failed at ZRANGE: DENIED)"
    assert f"the service at {service} (SERVICE_PORT in .env) {reason}." in str(unfit.value)


def test_another_program_at_the_port_of_a_part_is_named(serve: Callable[..., str]) -> None:
    other = serve({"/ready": (200, OK), "/v1/videos": LISTING})
    page = serve({"/": (200, b"<html>")})
    addresses = Addresses(other, serve(OUR_PROMETHEUS), serve(TEMPO), page, serve({"/health": (200, b"ok")}))
    with pytest.raises(StackError) as unfit:
        find(addresses, [])
    assert f"the service at {other} (SERVICE_PORT in .env) is another program that lists videos" in str(unfit.value)
    assert f"the Collector at {page} (OTLP_PORT in .env) does not receive OTLP (status 404, not here)" in str(
        unfit.value
    )
    assert "(PROVIDERS_PORT in .env) is another program, not the mock providers" in str(unfit.value)


def test_a_stack_without_traces_can_be_named(serve: Callable[..., str], nowhere: str) -> None:
    addresses = Addresses(serve(SERVICE), serve(PROMETHEUS), nowhere, serve(COLLECTOR), serve(PROVIDERS))
    found = find(addresses, [], TEMPO_URL="")
    assert found is not None
    assert found.addresses.tempo == ""


@pytest.mark.parametrize(
    ("service", "known", "complaint"),
    [
        (SERVICE, KNOWS_NOT, "metrics of the service"),
        ({"/health": (200, b"")}, KNOWS, "does not list videos (status 404, not here)"),
        ({"/v1/videos": (200, b"<html>")}, KNOWS, "does not list videos: another program answers there"),
        ({"/v1/videos": (200, b'{"object":"x","data":[]}')}, KNOWS, "does not list videos"),
    ],
)
def test_named_servers_that_are_no_stack_are_not_accepted(
    serve: Callable[..., str], service: Answers, known: bytes, complaint: str
) -> None:
    url, prometheus = serve(service), serve(BUILD | {"/api/v1/query": (200, known)})
    addresses = Addresses(url, prometheus, serve(TEMPO), serve(COLLECTOR))
    with pytest.raises(StackError) as unfit:
        find(addresses, [], SERVICE_URL=url)
    assert complaint in str(unfit.value)
    assert "--embedded" in str(unfit.value)


def test_named_addresses_must_answer(serve: Callable[..., str], nowhere: str) -> None:
    service = serve(SERVICE)
    addresses = Addresses(service, nowhere, nowhere, nowhere)
    with pytest.raises(StackError, match="does not answer"):
        find(addresses, [], SERVICE_URL=f"{nowhere}/")
    with pytest.raises(StackError, match="does not answer"):
        find(addresses, [], PROMETHEUS_URL=nowhere)
    with pytest.raises(StackError, match=r"\(PROMETHEUS_URL\) is no Prometheus \(status 404\)"):
        find(Addresses(nowhere, nowhere, "", ""), [], SERVICE_URL=service, PROMETHEUS_URL=service)


def test_grafana_is_used_if_it_answers_and_belongs_to_the_stack(serve: Callable[..., str], nowhere: str) -> None:
    here = serve(HEALTHY)
    urls = (serve(SERVICE), serve(PROMETHEUS), serve(TEMPO), serve(COLLECTOR), serve(PROVIDERS))
    lines: list[str] = []

    def shown(grafana: str, **environment: str) -> str:
        found = find(Addresses(*urls, grafana), lines, **environment)
        assert found is not None
        return found.addresses.grafana

    assert shown(here) == here
    assert shown(here, SERVICE_URL=urls[0]) == ""
    assert shown(nowhere, SERVICE_URL=urls[0], GRAFANA_URL=here) == here
    assert lines == []
    refused = "does not answer (Connection refused); the run goes on without its annotations"
    assert shown(nowhere) == ""
    assert lines.pop() == f"warning: Grafana at {nowhere} (GRAFANA_PORT in .env) {refused}"
    assert shown(here, GRAFANA_URL=nowhere) == ""
    assert lines == [f"warning: Grafana at {nowhere} (GRAFANA_URL) {refused}"]


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ExternalRun]:
    """A run whose load generators exported for the last time at 998.5 and 1000.1, two replicas at 1000.2 and 1000.9."""

    def query(_url: str, expression: str, *, at: float, timeout: float) -> list[dict[str, Any]]:
        del at, timeout
        times = {SERVICE_NAME: [1000.2, 1000.9], LOADGEN: [998.5, 1000.1]}
        found = next((times[name] for name in times if f'job="{name}"' in expression), [1000.05])
        return [{"values": [(time, "9")]} for time in found]

    monkeypatch.setattr(http, "query", query)
    stack = ExternalStack(Addresses("http://s", "http://p", "http://t", "http://c"), "3.14.0")
    with ExternalRun(stack, tmp_path) as run:
        yield run


@pytest.mark.parametrize(("replicas", "instant"), [(1, 1000.2), (2, 1000.9)])
def test_the_last_metrics_of_each_replica_of_the_service_are_awaited(
    exported: ExternalRun, tmp_path: Path, replicas: int, instant: float
) -> None:
    settled = exported.await_telemetry(1000.0, service_replicas=replicas)
    assert settled == TelemetryEnd(instant, complete=True, missing=[])
    assert stack_of(tmp_path).settled
    assert exported.await_telemetry(1000.0, service_replicas=3, deadline=0).missing == ["service"]
    assert not stack_of(tmp_path).settled


def test_each_load_generator_exports_for_the_last_time_at_its_own_end(exported: ExternalRun) -> None:
    settled = exported.await_telemetry(1000.0, loadgens=2, loadgens_after=998.0)
    assert settled == TelemetryEnd(1000.2, complete=True, missing=[])
    assert exported.await_telemetry(1000.0, loadgens=2, deadline=0).missing == ["loadgen"]


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

"""Looks at the address of each part of a full stack: is it ours, and what keeps it from being used."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

import msgspec

from reelbench.loadgen.record.address import shown_url
from reelbench.loadgen.record.prometheus_access import prometheus_headers, refusal
from reelbench.stack import http
from reelbench.stack.errors import StackError

STACK_HEADER: Final = "reelbench-stack"
"""Header of every answer of our Collector (otel/collector.yaml); another Collector at the port does not send it."""
_SERVICE_TITLE: Final = "Reelbench text-to-video service"
"""Title in the API description of the service, which other servers of videos do not have."""
_OUR_JOBS: Final = (b"job_name: otel-collector", b"job_name: tempo")
"""In the configuration of our Prometheus (prometheus/prometheus.yml)."""
_OUR_TEMPO: Final = (b"live-store/shutdown-marker", b"trace_id_label_name: trace_id")
"""In the configuration of our Tempo (tempo/tempo.yaml)."""
_OUR_BOARD: Final = "reelbench-live"
_ALIVE: Final = b'{"status":"ok"}'
"""Answer of the probes of service and providers."""
_RECEIVER: Final = frozenset({HTTPStatus.OK, HTTPStatus.METHOD_NOT_ALLOWED})
"""Statuses with which an OTLP receiver answers a GET; it accepts only POST."""
_TIMEOUT = 2.0
_LONGEST = 200
"""Characters of a reason that are shown."""


@dataclass(frozen=True, slots=True)
class Look:
    """What answers at the address of a part."""

    ours: bool
    """True when the answers show that it is this part of a stack of Reelbench."""
    problem: str | None = None
    """What keeps the part from being used, as a predicate with the part's own reason; None: it can be used."""


class _UnfitError(Exception):
    """A part cannot be used; the message is a predicate."""


class _Error(msgspec.Struct):
    message: str
    code: str | None = None


class _Envelope(msgspec.Struct):
    error: _Error


class _Videos(msgspec.Struct):
    object: str
    data: list[msgspec.Raw]


class _Info(msgspec.Struct):
    title: str


class _Description(msgspec.Struct):
    info: _Info


class _Build(msgspec.Struct):
    version: str


class _BuildInfo(msgspec.Struct):
    data: _Build


def look(part: str, url: str) -> Look:
    """Look at a part of `external.VARIABLES` at its address."""
    check, is_ours = _PARTS[part]
    try:
        _connect(url)
    except OSError as error:
        return Look(ours=False, problem=f"does not answer ({error.strerror or error})")
    try:
        check(url)
    except _UnfitError as unfit:
        return Look(_holds(is_ours, url), str(unfit))
    return Look(_holds(is_ours, url))


def prometheus_version(url: str) -> str:
    """Return the version of a server that speaks Prometheus' API.

    Raises:
        StackError: it does not answer, or is another server.
    """
    try:
        return _build(url)
    except _UnfitError as unfit:
        raise StackError(f"Prometheus at {shown_url(url)} {unfit}.") from unfit


def _connect(url: str) -> None:
    """Connect and hang up: finds that nothing listens, at a hundredth of the CPU time of an HTTP client."""
    address = urlsplit(url)
    port = address.port or (443 if address.scheme == "https" else 80)
    socket.create_connection((address.hostname or "", port), timeout=_TIMEOUT).close()


def _holds(is_ours: Callable[[str], bool], url: str) -> bool:
    try:
        return is_ours(url)
    except (_UnfitError, msgspec.MsgspecError, UnicodeDecodeError):
        return False


def _ask(url: str, headers: Mapping[str, str] | None = None) -> http.Answer:
    try:
        return http.get(url, timeout=_TIMEOUT, headers=headers)
    except StackError as error:
        raise _UnfitError(f"does not answer ({http.reason(error)})") from error


def _said(answer: http.Answer) -> str:
    """Return the reason that an answer gives: the message of an error envelope, or the first line of a text."""
    try:
        found = msgspec.json.decode(answer.body, type=_Envelope).error.message
    except (msgspec.MsgspecError, UnicodeDecodeError):
        lines = answer.body.decode("utf-8", "replace").strip().splitlines()
        found = lines[0] if lines and not lines[0].lstrip().startswith(("<", "{")) else ""
    words = "".join(filter(str.isprintable, found))[:_LONGEST].rstrip(". ")
    return f"status {answer.status}, {words}" if words else f"status {answer.status}"


def _must_be_ready(answer: http.Answer) -> None:
    if not answer.ok:
        raise _UnfitError(f"is not ready ({_said(answer)})")


def _check_service(url: str) -> None:
    ready = _ask(f"{url}/ready")
    if ready.status == HTTPStatus.SERVICE_UNAVAILABLE:
        _must_be_ready(ready)
    listing = _ask(f"{url}/v1/videos?limit=1")
    if not listing.ok:
        raise _UnfitError(f"does not list videos ({_said(listing)})")
    try:
        fits = msgspec.json.decode(listing.body, type=_Videos).object == "list"
    except (msgspec.MsgspecError, UnicodeDecodeError):
        fits = False
    if not fits:
        raise _UnfitError("does not list videos: another program answers there")


def _is_our_service(url: str) -> bool:
    described = _ask(f"{url}/openapi.json")
    if described.status == HTTPStatus.UNAUTHORIZED:
        code = msgspec.json.decode(described.body, type=_Envelope).error.code
        return code == "missing_api_key" and _ask(f"{url}/health").body == _ALIVE
    return msgspec.json.decode(described.body, type=_Description).info.title == _SERVICE_TITLE


def _check_providers(url: str) -> None:
    health = _ask(f"{url}/health")
    _must_be_ready(health)
    if not _is_our_provider(url):
        raise _UnfitError("is another program, not the mock providers")


def _is_our_provider(url: str) -> bool:
    """Return whether the mock providers answer: a probe, and the three routes that accept only POST."""
    routes = ("/v1/chat/completions", "/v1/audio/speech", "/v1/images/generations")
    return _ask(f"{url}/health").body == _ALIVE and all(
        _ask(f"{url}{route}").status == HTTPStatus.METHOD_NOT_ALLOWED for route in routes
    )


def _build(url: str) -> str:
    answer = _ask(f"{url}/api/v1/status/buildinfo", headers=prometheus_headers())
    if (refused := refusal(shown_url(url), answer.status)) is not None:
        raise _UnfitError(refused.removeprefix(f"Prometheus at {shown_url(url)} ").removesuffix("."))
    if answer.status == HTTPStatus.SERVICE_UNAVAILABLE:
        _must_be_ready(answer)
    try:
        return msgspec.json.decode(answer.body, type=_BuildInfo).data.version
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _UnfitError(f"is no Prometheus (status {answer.status})") from error


def _check_prometheus(url: str) -> None:
    _build(url)


def _is_our_prometheus(url: str) -> bool:
    body = _ask(f"{url}/api/v1/status/config", headers=prometheus_headers()).body
    return all(job in body for job in _OUR_JOBS)


def _check_tempo(url: str) -> None:
    _must_be_ready(_ask(f"{url}/ready"))


def _is_our_tempo(url: str) -> bool:
    body = _ask(f"{url}/status/config").body
    return all(line in body for line in _OUR_TEMPO)


def _check_collector(url: str) -> None:
    answer = _ask(f"{url}/v1/metrics")
    if answer.status not in _RECEIVER:
        raise _UnfitError(f"does not receive OTLP ({_said(answer)})")


def _is_our_collector(url: str) -> bool:
    return STACK_HEADER in _ask(f"{url}/v1/metrics").headers


def _check_grafana(url: str) -> None:
    _must_be_ready(_ask(f"{url}/api/health"))


def _is_our_grafana(url: str) -> bool:
    return _ask(f"{url}/api/dashboards/uid/{_OUR_BOARD}").ok


_PARTS: Final[dict[str, tuple[Callable[[str], None], Callable[[str], bool]]]] = {
    "service": (_check_service, _is_our_service),
    "prometheus": (_check_prometheus, _is_our_prometheus),
    "tempo": (_check_tempo, _is_our_tempo),
    "collector": (_check_collector, _is_our_collector),
    "providers": (_check_providers, _is_our_provider),
    "grafana": (_check_grafana, _is_our_grafana),
}
"""Part -> its check, which raises, and the test of whether it is ours."""

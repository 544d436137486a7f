"""A stack that runs already, such as the one of docker compose."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from stack import readiness, web
from stack.endpoints import LOADGEN, PROVIDERS, SERVICE
from stack.environment import version
from stack.errors import StackError
from stack.record import SCHEMA_VERSION, ComponentRecord, PrometheusRecord, StackRecord, write_stack
from stack.settle import DEADLINE, Settled, settle

SERVICE_URL = "http://127.0.0.1:8000"
"""Where docker compose publishes the service."""
PROMETHEUS_URL = "http://127.0.0.1:9090"
"""Where docker compose publishes Prometheus."""
_TIMEOUT = 2.0
_FIRST_METRICS = 20.0
"""Seconds that a freshly started service has until its first metrics are in Prometheus."""


class _Videos(msgspec.Struct):
    object: str
    data: list[msgspec.Raw]


class _Build(msgspec.Struct):
    version: str


class _BuildInfo(msgspec.Struct):
    status: str
    data: _Build


@dataclass(frozen=True, slots=True)
class ExternalStack:
    """A running stack that was found to be ours."""

    target: str
    """Base URL of the service."""
    prometheus_url: str
    prometheus_version: str
    scrape_interval: float = field(default=5.0)
    """Seconds between two samples: what the compose stack exports and scrapes with."""

    def record(self, run_dir: Path, settled: Settled | None = None) -> None:
        """Write ``stack.json`` of a run against this stack."""
        record = StackRecord(
            schema_version=SCHEMA_VERSION,
            kind="external",
            components=[
                ComponentRecord(name=SERVICE, url=self.target, version=None),
                ComponentRecord(name=PROVIDERS, url=None, version=None),
                ComponentRecord(name=LOADGEN, url=None, version=version()),
            ],
            prometheus=PrometheusRecord(
                url=self.prometheus_url,
                version=self.prometheus_version,
                data_dir=None,
                scrape_interval=self.scrape_interval,
            ),
            settled_at=settled.instant if settled else None,
            settled=bool(settled and settled.complete),
        )
        write_stack(run_dir, record)

    def settle(self, run_dir: Path, after: float, *, deadline: float = DEADLINE) -> Settled:
        """Wait until every component has exported at or after `after` (Unix time in seconds), and record the result."""
        selectors = {name: f'target_info{{job="{name}"}}' for name in (SERVICE, PROVIDERS, LOADGEN)}
        settled = settle(self.prometheus_url, selectors, after, deadline=deadline)
        self.record(run_dir, settled)
        return settled


def find_external(
    report: Callable[[str], None],
    *,
    environment: Mapping[str, str] = os.environ,
    defaults: tuple[str, str] = (SERVICE_URL, PROMETHEUS_URL),
    first_metrics: float = _FIRST_METRICS,
) -> ExternalStack | None:
    """Return the stack at ``$SERVICE_URL`` and ``$PROMETHEUS_URL``, or else at docker compose's addresses.

    Args:
        report: Gets one line when something answers at the default addresses but is not our whole stack.
        environment: For the two variables; each defaults to docker compose's address.
        defaults: Base URLs of the service and of Prometheus when the environment names none.
        first_metrics: Seconds to wait until Prometheus has metrics of the service.

    Returns:
        None when no address is named and our stack does not answer at the default ones.

    Raises:
        StackError: an address is named, and the stack is not (wholly) there.
    """
    named = [environment.get(name, "").rstrip("/") for name in ("SERVICE_URL", "PROMETHEUS_URL")]
    service, prometheus = (given or default for given, default in zip(named, defaults, strict=True))
    if not any(named) and not (readiness.answers(f"{service}/health") and _answers_prometheus(prometheus)):
        return None
    try:
        return check(service, prometheus, first_metrics=first_metrics)
    except StackError as error:
        if any(named):
            raise
        report(f"Not using what runs at {service} and {prometheus}: {error}")
        return None


def check(service: str, prometheus: str, *, first_metrics: float = _FIRST_METRICS) -> ExternalStack:
    """Check that both answer like the real things, and that this Prometheus knows this service.

    Raises:
        StackError: what is missing.
    """
    answer = web.get(f"{service}/v1/videos?limit=1", timeout=_TIMEOUT)
    try:
        if not answer.ok or msgspec.json.decode(answer.body, type=_Videos).object != "list":
            raise StackError(
                f"{service} does not list videos (status {answer.status}); set SERVICE_URL to the service."
            )
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise StackError(f"{service} is not a service of videos; set SERVICE_URL to the service.") from error
    build = _build(prometheus)

    def look() -> bool | None:
        return True if web.query(prometheus, f'count({{job="{SERVICE}"}})', timeout=_TIMEOUT) else None

    readiness.poll(
        look,
        f"metrics of the service in the Prometheus at {prometheus}; is it the one that collects from {service}?",
        deadline=first_metrics,
        interval=0.5,
    )
    return ExternalStack(service, prometheus, build)


def _build(prometheus: str) -> str:
    answer = web.get(f"{prometheus}/api/v1/status/buildinfo", timeout=_TIMEOUT)
    try:
        return msgspec.json.decode(answer.body, type=_BuildInfo).data.version
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise StackError(f"{prometheus} is not a Prometheus; set PROMETHEUS_URL to the one that is.") from error


def _answers_prometheus(url: str) -> bool:
    try:
        _build(url)
    except StackError:
        return False
    return True

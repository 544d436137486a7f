"""The part of ``stack.json`` that reports read: what ran, and when its telemetry had settled."""

from __future__ import annotations

from pathlib import Path

import msgspec

from reelbench.loadgen.record.records import RecordError

SCHEMA_VERSION = 1
STACK_FILE = "stack.json"


class Component(msgspec.Struct, frozen=True):
    """One process of the stack."""

    name: str
    url: str | None = None
    version: str | None = None


class PrometheusInfo(msgspec.Struct, frozen=True):
    """The Prometheus of the stack."""

    url: str | None = None
    version: str | None = None
    data_dir: str | None = None
    scrape_interval: float | str | None = None
    """Seconds, or a duration as Prometheus writes it."""


class StackInfo(msgspec.Struct, frozen=True):
    """What a report needs to know of the stack. Fields it does not need are passed over: the stack owns the file."""

    schema_version: int
    kind: str
    """embedded or external."""
    components: tuple[Component, ...] = ()
    prometheus: PrometheusInfo | None = None
    traces_url: str | None = None
    """Base URL of the Tempo that holds the run's traces; None when they are in the run directory."""
    grafana_url: str | None = None
    """Base URL of the Grafana that shows the run; None when there is none."""
    settled_at: float | None = None
    settled: bool = False

    @property
    def has_service(self) -> bool:
        """True when the service's telemetry must be there; in an embedded stack a foreign target has no version."""
        return any(c.name == "service" and (self.kind == "external" or c.version is not None) for c in self.components)


def read_stack(folder: Path) -> StackInfo | None:
    """Read ``stack.json``; None when the run has none (a target of its own, no stack started).

    Raises:
        RecordError: the file cannot be read, is damaged or is of another schema version.
    """
    path = folder / STACK_FILE
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RecordError(f"cannot read {path} ({error.strerror}); name a readable run directory") from error
    try:
        stack = msgspec.json.decode(raw, type=StackInfo)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RecordError(f"{path} is damaged ({error}); run the suite again") from error
    if stack.schema_version != SCHEMA_VERSION:
        msg = f"{path} has schema version {stack.schema_version}, this Reelbench reads version {SCHEMA_VERSION}"
        raise RecordError(msg)
    return stack

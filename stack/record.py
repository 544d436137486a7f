"""``stack.json`` of a run directory: which components ran, and where their metrics are."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Literal

import msgspec

from reelbench.stack.errors import StackError

SCHEMA_VERSION = 1
"""Version of ``stack.json``. A reader refuses any other, rather than guess."""
STACK_FILE = "stack.json"


class ComponentRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One component whose telemetry belongs to the run."""

    name: str
    """Its service.name."""
    url: str | None
    """Base URL of its API; None for the load generator, which has none."""
    version: str | None
    """Its service.version; None when the component is not ours to know."""


class PrometheusRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The Prometheus that holds the run's metrics."""

    url: str
    """Where it answered during the run."""
    version: str
    data_dir: str | None
    """Its TSDB, relative to the run directory; None when it is not ours."""
    scrape_interval: float
    """Seconds between two samples of a series."""


class StackRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The stack of one run."""

    schema_version: int
    kind: Literal["embedded", "external"]
    components: list[ComponentRecord]
    prometheus: PrometheusRecord
    traces_url: str | None = None
    """Base URL of the Tempo that holds the run's traces; None when they are in the run directory."""
    grafana_url: str | None = None
    """Base URL of the Grafana that shows the run; None when there is none."""
    settled_at: float | None
    """Unix time at which the queries of the run are evaluated; None until the stack has settled."""
    settled: bool
    """True when every component was scraped after the end of the load."""


class _Version(msgspec.Struct):
    schema_version: int


def read_stack(folder: Path) -> StackRecord:
    """Read ``stack.json`` of a run directory.

    Raises:
        StackError: the file is missing, damaged, or of another schema version.
    """
    path = folder / STACK_FILE
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise StackError(
            f"Cannot read {path} ({error.strerror}); name a run directory of a run with its own stack."
        ) from error
    try:
        version = msgspec.json.decode(raw, type=_Version).schema_version
        if version != SCHEMA_VERSION:
            raise StackError(
                f"{path} has schema version {version}, this Reelbench reads version {SCHEMA_VERSION}; "
                "use the Reelbench that wrote it."
            )
        return msgspec.json.decode(raw, type=StackRecord)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise StackError(f"{path} is damaged ({error}); run the suite again.") from error


def write_stack(folder: Path, record: StackRecord) -> None:
    """Replace ``stack.json`` atomically.

    Raises:
        StackError: the run directory cannot be written.
    """
    path = folder / STACK_FILE
    temporary = path.with_name(f".{STACK_FILE}.{os.getpid()}.tmp")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise StackError(f"Cannot write {path} ({error.strerror}); free space or choose another directory.") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)

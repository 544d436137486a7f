"""``stack.json``: which components ran, and where their telemetry is."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from reelbench.loadgen.record.run_files import SCHEMA_VERSION, STACK_FILE, VersionedFile


class ComponentRecord(msgspec.Struct, frozen=True):
    """One component whose telemetry belongs to the run."""

    name: str
    """Its service.name."""
    url: str | None = None
    """Base URL of its API; None for the load generator, which has none."""
    version: str | None = None
    """Its service.version; None when it is not known."""


class PrometheusRecord(msgspec.Struct, frozen=True):
    """The Prometheus that holds the run's metrics."""

    url: str | None = None
    """Where it answered during the run."""
    version: str | None = None
    data_dir: str | None = None
    """Its TSDB, relative to the run directory; None when the data is elsewhere."""
    scrape_interval: float | str | None = None
    """Seconds between two samples of a series, or a duration as Prometheus writes it."""


class MetricsSourceRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One source of metrics of a server that is not ours."""

    url: str
    """The scraped page, or the Prometheus of the user; without credentials."""
    selector: str
    """Selects its series in that Prometheus, as in ``{job="vllm"}``."""
    names: tuple[str, ...]
    """Sets of known metric names that it has."""
    scraped: bool
    """True: a page that the embedded Prometheus scrapes; False: read from the Prometheus of the user."""
    interval: float
    """Seconds between two samples."""


class StackRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The stack of one run. Unknown fields are ignored, so that a later stack can add some."""

    schema_version: int = SCHEMA_VERSION
    kind: Literal["embedded", "external"]
    components: tuple[ComponentRecord, ...] = ()
    prometheus: PrometheusRecord | None = None
    traces_url: str | None = None
    """Base URL of the Tempo that holds the run's traces; None when they are in the run directory."""
    grafana_url: str | None = None
    """Base URL of the Grafana that shows the run; None without a Grafana."""
    settled_at: float | None = None
    """Unix time at which the queries of the run are evaluated; None until the stack has settled."""
    server_metrics: tuple[MetricsSourceRecord, ...] = ()
    """Where the metrics of a server that is not ours come from."""
    gpu_hour_price: float | None = None
    """Price of one GPU for one hour, in the currency of the price list; None: not given."""
    gpus: int | None = None
    """GPUs of the server, where the user named their number."""
    settled: bool = False
    """True when every component was scraped after the end of the load."""

    @property
    def has_service(self) -> bool:
        """True when the service's telemetry must be there; in an embedded stack a foreign target has no version."""
        return any(c.name == "service" and (self.kind == "external" or c.version is not None) for c in self.components)

    @property
    def origin(self) -> str:
        """Which stack was measured: one that was started for the run, or one that ran already, with its address."""
        if self.kind == "embedded":
            return "embedded stack, started for this run"
        where = next((c.url for c in self.components if c.name == "service" and c.url), None)
        return "external stack, already running" + (f" at {where}" if where else "")


_FILE = VersionedFile(STACK_FILE, StackRecord)


def read_stack(folder: Path) -> StackRecord | None:
    """Read ``stack.json``; None when the run has none, because its target was not started here.

    Raises:
        RecordError: the file cannot be read, is damaged or is of another schema version.
    """
    return _FILE.read(folder)


def write_stack(folder: Path, record: StackRecord) -> None:
    """Replace ``stack.json`` atomically."""
    _FILE.write(folder, record)

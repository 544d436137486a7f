"""What the server's own metrics said about each case: one frozen record for each number, kept in ``server.json``."""

from __future__ import annotations

from pathlib import Path

import msgspec

from reelbench.loadgen.record.run_files import SCHEMA_VERSION, SERVER_FILE, VersionedFile
from reelbench.loadgen.record.stack import MetricsSourceRecord


class ServerCount(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The difference of a cumulative metric between the two samples around a case."""

    source: int
    """Number of the source, from 1."""
    set: str
    """The set of known names."""
    role: str
    metric: str
    labels: dict[str, str]
    """Labels that distinguish values, such as the stage."""
    result: str
    """completed, failed, cancelled or all; empty where the metric has no results."""
    scenario: str
    case: str
    before: float
    """Unix time of the sample before the case."""
    after: float
    """Unix time of the sample after it."""
    value: float | None
    """In the unit of the role; None: the server was started again in between."""
    count: float | None = None
    """Observations, of a histogram or of a sum with a number of its own."""
    buckets: tuple[tuple[float, float], ...] = ()
    """Upper bound, and the observations up to it; the last bound is infinite and left out."""
    of: str = "jobs"
    """What is counted: jobs, or requests of any kind."""
    step: float | None = None
    """Longest time within the case in which the value did not change, where that was read; it bounds the error."""


class ServerGauge(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The samples of a gauge through a case, with the time without load around it."""

    source: int
    set: str
    role: str
    metric: str
    labels: dict[str, str]
    scenario: str
    case: str
    n: int
    """Samples within the case."""
    mean: float | None
    least: float | None
    most: float | None
    before: float | None
    """Last sample before the case."""
    after: float | None
    """Last sample of the time without load after it."""
    times: tuple[float, ...]
    """Of the kept samples, from before the case to after it."""
    values: tuple[float, ...]


class ServerPlace(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a source answered through a case."""

    source: int
    scenario: str
    case: str
    scrapes: int
    """Scrapes within the case."""
    failed: int
    """Those of them that got no page."""
    restarted: bool
    """True: the process was started again between the samples around the case, or a counter fell."""
    before: float | None
    """Seconds from the last sample to the start of the case."""
    after: float | None
    """Seconds from the end of the case to the first sample."""


class ServerEvidence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that the metrics of a server said about a run."""

    schema_version: int = SCHEMA_VERSION
    run_id: str
    sources: tuple[MetricsSourceRecord, ...]
    counts: tuple[ServerCount, ...] = ()
    gauges: tuple[ServerGauge, ...] = ()
    places: tuple[ServerPlace, ...] = ()
    remarks: tuple[str, ...] = ()
    """What could not be read, one sentence each."""


_FILE = VersionedFile(SERVER_FILE, ServerEvidence, cure="delete it and export again with Prometheus")


def write(folder: Path, evidence: ServerEvidence) -> Path:
    """Replace ``server.json`` of a run directory atomically."""
    return _FILE.write(folder, evidence)


def read(folder: Path) -> ServerEvidence | None:
    """Read ``server.json``; None when the run has none.

    Raises:
        RecordError: the file cannot be read, is damaged or is of another schema version.
    """
    return _FILE.read(folder)

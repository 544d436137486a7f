"""What was measured: one frozen record for each number, kept in ``measurements.json``."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import msgspec

from reelbench.loadgen.record.run_files import MEASUREMENTS_FILE, SCHEMA_VERSION, VersionedFile
from reelbench.reporting.evidence.buckets import Bound
from reelbench.reporting.evidence.limits import Limits

RECORDS: Final = "records"
"""Source of a number that is computed from the run's records; the other source is Prometheus."""


class Measurement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One number with all that is needed to reproduce it."""

    sli: str
    scenario: str
    case: str
    """Empty for a number of a whole scenario."""
    member: str
    """Value of the label that the indicator is split by; empty when it is not split."""
    source: Literal["prometheus", "records"] = "prometheus"
    query: str
    """PromQL, or the function of the records with its argument."""
    instant: float
    """Unix time of the evaluation in seconds."""
    value: float | None
    """None when there was no data; finite otherwise."""
    no_data: str | None
    """Why there is no value."""
    bound: Bound | None
    """Bucket that a quantile fell in."""
    n: int | None
    """Sample size as the source counted it."""
    interval: Limits | None = None
    """Interval of the value by its source; None where the source has none."""
    open_end: str = ""
    """Why no sample can give both limits; empty where a larger one can."""


class SampleSeries(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The stored samples of one series through a case, from before its beginning to after its end."""

    reading: str
    scenario: str
    case: str
    labels: dict[str, str]
    """Labels that distinguish processes and kinds."""
    query: str
    instant: float
    times: tuple[float, ...]
    """Unix time of each sample in seconds, as Prometheus stored it."""
    values: tuple[float, ...]


class Measurements(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All numbers of a run, in the order of catalogue, scenario, case and member."""

    schema_version: int = SCHEMA_VERSION
    run_id: str
    instant: float
    window: str
    """Range of the queries as PromQL writes it, such as 312s."""
    prometheus: bool
    """False when no Prometheus was available; every value is then missing."""
    measurements: tuple[Measurement, ...]
    series: tuple[SampleSeries, ...] = ()
    """In the order of reading, scenario, case and labels."""


_FILE = VersionedFile(MEASUREMENTS_FILE, Measurements, cure="delete it and export again with Prometheus")


def write(folder: Path, measurements: Measurements) -> Path:
    """Replace ``measurements.json`` of a run directory atomically."""
    return _FILE.write(folder, measurements)


def read(folder: Path) -> Measurements | None:
    """Read ``measurements.json``; None when the run has not been measured yet.

    Raises:
        RecordError: the file cannot be read, is damaged or is of another schema version.
    """
    return _FILE.read(folder)

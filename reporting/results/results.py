"""All results of a run as data: every number with its verdict, sample, interval, source and time in one record.

The shape is versioned and published as a JSON Schema, so that other programs can rely on it.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from reelbench.loadgen.record.run import AuditRecord, DocumentRecord, EnvironmentRecord, FaultRecord
from reelbench.loadgen.record.stack import StackRecord
from reelbench.reporting.evidence.buckets import Bound

SCHEMA_VERSION: Final = 1
"""Raised when a field goes away or changes its meaning; a new optional field does not raise it."""
Word = Literal["PASS", "FAIL", "NO DATA", "INCONCLUSIVE", "INVALID"]


class Target(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a value must hold, in the unit of the value."""

    direction: Literal["at_most", "at_least"]
    value: float


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A 95 % confidence interval; null where the sample is too small for a limit."""

    lower: float | None
    upper: float | None
    method: str
    """order statistics (percentiles), Student's t (means), Wilson, or Clopper and Pearson (shares)."""


class Number(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One number with everything that is needed to judge it and to get it again."""

    sli: str
    """Indicator of the catalogue, or of the records alone where the catalogue has none of this name."""
    title: str
    dimension: str
    """performance, reliability or resources; empty for a number of the whole run."""
    scenario: str
    case: str
    """Empty for a number of a whole scenario."""
    member: str
    """Value of the label that the indicator is split by; empty when it is not split."""
    value: float | None
    unit: str
    no_data: str | None
    """Why there is no value."""
    n: int | None
    """Sample size; null where it was not counted."""
    interval: Limits | None
    bucket: Bound | None
    """Bucket of the histogram that a percentile fell in: it bounds the error of the value."""
    objective: Target | None
    verdict: Word | None
    """Null where there is no objective."""
    reason: str
    """Why the verdict is not simply PASS or FAIL; empty otherwise."""
    tolerated: bool
    """True when the sample is too small for a verdict and the profile expects that."""
    source: Literal["prometheus", "records"]
    query: str
    """PromQL, or what was computed of the records."""
    instant: float
    """Unix time in seconds at which the query was evaluated."""
    started: float | None
    """Unix time in seconds at which the case, scenario or run began."""
    ended: float | None
    grafana: str | None
    """The dashboard at that time; null without a Grafana."""
    panel: str | None
    """The panel of the objective at that time; null without a Grafana, or where no panel shows it."""


class Outlier(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A job that a reader will ask about: one of the slowest completed ones of a case, or one that failed."""

    scenario: str
    case: str
    index: int
    kind: Literal["slowest", "not completed"]
    outcome: str
    response_time: float
    """Seconds from due to done."""
    job_id: str | None
    trace_id: str
    error: str | None


class Count(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One count beside the client's log."""

    scenario: str
    source: str
    what: str
    least: int
    """Least count that agrees with the client's log."""
    most: int
    found: int | None
    """Null when the source is not available; `note` says why."""
    agrees: bool
    note: str


class TableRows(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of a report, as text: every figure that is written anywhere."""

    name: str
    """Name of its file under ``csv/``, without suffix."""
    report: str
    section: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class Dimension(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The verdict of one report."""

    name: str
    report: str
    verdict: Word
    problems: tuple[str, ...]
    """What keeps the numbers from being trusted."""


class CaseWindow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One case with its load and its time."""

    scenario: str
    case: str
    model: str
    concurrency: int
    planned: int
    warmup: int
    started: float | None
    ended: float | None
    generator_cpu: float | None
    """Cores that the load generator used."""
    loop_lag_p99: float | None
    """Seconds."""
    switches: dict[str, bool]


class Audit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the service said of its own state after a scenario."""

    scenario: str
    audit: AuditRecord


class Provenance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the numbers were made from; with the same, the plan is the same."""

    seed: int
    plan_sha256: str
    replica: int
    replicas: int
    catalogue_sha256: str
    """Of the catalogue of indicators, as it was read."""
    prices_sha256: str
    instant: float
    """Unix time in seconds of all queries."""
    window: str
    """Range of the queries."""
    prometheus: bool
    """False when there was no Prometheus to ask."""
    document: DocumentRecord
    switches: dict[str, bool] | None
    """Switches of the service; null when it does not say."""
    faults: tuple[FaultRecord, ...]
    environment: EnvironmentRecord
    stack: StackRecord | None


class Results(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The results of one run."""

    schema_version: Literal[1] = SCHEMA_VERSION
    run_id: str
    profile: str
    target: str
    state: str
    started: float
    ended: float | None
    verdict: Word
    exit_code: int
    """0 pass, 1 an objective failed, 3 inconclusive or invalid."""
    dimensions: tuple[Dimension, ...]
    numbers: tuple[Number, ...]
    outliers: tuple[Outlier, ...]
    reconciliation: tuple[Count, ...]
    cases: tuple[CaseWindow, ...]
    audits: tuple[Audit, ...]
    tables: tuple[TableRows, ...]
    """Those of the reports but for the appendices, whose numbers are above."""
    provenance: Provenance


def to_json(results: Results) -> bytes:
    """Encode for ``results.json``, the same bytes each time."""
    return msgspec.json.format(msgspec.json.encode(results), indent=2) + b"\n"

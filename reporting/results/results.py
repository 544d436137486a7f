"""The results of a run as data: every value with its verdict, sample, interval, source and time in one record.

The format is versioned and published as a JSON Schema.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from reelbench.loadgen.record.run import AuditRecord, DocumentRecord, EnvironmentRecord, FaultRecord, WorkloadRecord
from reelbench.loadgen.record.stack import StackRecord
from reelbench.reporting.analysis.certainty import Certainty
from reelbench.reporting.analysis.verdicts import Status
from reelbench.reporting.evidence.buckets import Bound
from reelbench.reporting.evidence.limits import Limits
from reelbench.reporting.results.summary import Summary

SCHEMA_VERSION: Final = 2
"""Raised when a field is removed or changes its meaning, not for a new optional field."""


class Target(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An objective, in the unit of the value."""

    direction: Literal["at_most", "at_least"]
    value: float


class ResultValue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One value with its verdict and its source: query, evaluation time, sample size."""

    sli: str
    """Id of the indicator; some values from the records have no entry in the catalogue."""
    title: str
    dimension: str
    """performance, reliability or resources; empty for a value of the whole run."""
    scenario: str
    case: str
    """Empty for a value of a whole scenario."""
    member: str
    """Value of the label that splits the indicator; empty when it is not split."""
    value: float | None
    unit: str
    no_data: str | None
    """Why there is no value."""
    n: int | None
    """Sample size; null where it is not counted."""
    interval: Limits | None
    bucket: Bound | None
    """Histogram bucket that holds the percentile: it bounds the error of the value."""
    objective: Target | None
    verdict: Status | None
    """Null where there is no objective."""
    certainty: Certainty | None = None
    """What the interval says of the objective; null without a verdict, or where only a limit of the value is known."""
    reason: str
    """Explanation of the verdict, or what the value leaves out; empty for a plain PASS or FAIL."""
    tolerated: bool
    """True when the value holds and the sample is too small for a verdict, as the profile allows."""
    at_least: bool = False
    """True when only a lower limit of the value is known."""
    source: Literal["prometheus", "records"]
    query: str
    """PromQL, or the computation on the records."""
    instant: float
    """Unix time in seconds at which the query was evaluated."""
    started: float | None
    """Unix time in seconds at which the case, scenario or run started."""
    ended: float | None
    grafana: str | None
    """The dashboard at that time; null without a Grafana."""
    panel: str | None
    """The panel of the objective at that time; null without a Grafana, or where no panel shows it."""


class Outlier(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of the slowest completed jobs of a case, or a job that did not complete."""

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
    """A count of one source, compared with the client's log."""

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


class Dimension(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The verdict of one report."""

    name: str
    report: str
    verdict: Status
    problems: tuple[str, ...]
    """Reasons not to trust the values, one sentence each."""


class CaseWindow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One case with its load and its times."""

    scenario: str
    case: str
    model: str
    concurrency: int
    planned: int
    warmup: int
    started: float | None
    ended: float | None
    generator_cpu: float | None
    """CPU cores used by the load generator."""
    loop_lag_p99: float | None
    """Seconds."""
    switches: dict[str, bool]


class Audit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The state of the service after a scenario, as the service reports it."""

    scenario: str
    audit: AuditRecord


class Provenance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The inputs of the run and of its evaluation."""

    seed: int
    plan_sha256: str
    replica: int
    replicas: int
    catalogue_sha256: str
    """Digest of the parsed catalogue of indicators."""
    prices_sha256: str
    instant: float
    """Unix time in seconds of all queries."""
    window: str
    """Range of the queries."""
    prometheus: bool
    """False when no Prometheus was queried."""
    document: DocumentRecord | None
    """Null when jobs upload no document."""
    workload: WorkloadRecord | None = None
    """Prompts, references and trace; null in runs of versions that did not record them."""
    switches: dict[str, bool] | None
    """Switches of the service; null when the service does not report them."""
    faults: tuple[FaultRecord, ...]
    environment: EnvironmentRecord
    stack: StackRecord | None


class Results(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The results of one run."""

    schema_version: Literal[2] = SCHEMA_VERSION
    run_id: str
    profile: str
    target: str
    state: str
    started: float
    ended: float | None
    verdict: Status
    exit_code: int
    """0 pass, 1 an objective failed, 3 inconclusive or invalid."""
    summary: Summary | None = None
    """Is it fine, why not, what now; null in results of versions without a summary."""
    dimensions: tuple[Dimension, ...]
    numbers: tuple[ResultValue, ...]
    outliers: tuple[Outlier, ...]
    reconciliation: tuple[Count, ...]
    cases: tuple[CaseWindow, ...]
    audits: tuple[Audit, ...]
    provenance: Provenance


def to_json(results: Results) -> bytes:
    """Encode the content of ``results.json``; the same bytes each time."""
    return msgspec.json.format(msgspec.json.encode(results), indent=2) + b"\n"

"""Service level indicators: what each one is, and how Python asks for it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from functools import cached_property
from string import Template
from typing import Annotated, Literal

import msgspec

from reelbench.reporting.catalogue.strict import Finite

METRIC = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\{")
"""A metric with a selector in a query."""

PLACES = {"case": ("run_id", "scenario", "case"), "scenario": ("run_id", "scenario"), "run": ("run_id",)}
"""Labels that identify a place, by scope."""
Direction = Literal["at_most", "at_least"]


class Kind(StrEnum):
    """What the value of an indicator is, which decides its interval and how runs are compared by it."""

    SHARE = "share"
    """Share of n counted events, between 0 and 1."""
    COUNT = "count"
    """How many of n counted events; compared as a share of n."""
    QUANTILE = "quantile"
    MEAN = "mean"
    RATE = "rate"
    """Events per second."""
    TOTAL = "total"
    """Sum or number of things, not out of n."""
    VALUE = "value"
    """Any other number."""


class Samples(StrEnum):
    """Samples in the client's records that an indicator can be computed from exactly."""

    RESPONSE_TIMES = "response_times"
    """Of the completed measured jobs of a case."""
    REQUEST_DURATIONS = "request_durations"
    """Of the measured requests of an operation in a scenario."""


class ReportSection(StrEnum):
    """The section of a report that shows an indicator."""

    RESPONSE_TIME = "response_time"
    CONCURRENT_LOAD = "concurrent_load"
    THROUGHPUT = "throughput"
    OPEN_LOOP = "open_loop"
    API_LATENCY = "api_latency"
    COMPONENTS = "components"
    ERROR_RECOVERY = "error_recovery"
    CIRCUIT_BREAKER = "circuit_breaker"
    OUTSIDE_FAULTS = "outside_faults"
    STORE_OUTAGE = "store_outage"
    PARTIAL_FAILURES = "partial_failures"
    JOB_CANCELLATION = "job_cancellation"
    DATA_INTEGRITY = "data_integrity"
    CACHE = "cache"
    POOLING = "pooling"
    NETWORK = "network"
    COST = "cost"
    MEMORY = "memory"
    CPU = "cpu"
    LEAK = "leak"
    RECONCILIATION = "reconciliation"
    SERVER = "server"


class Role(StrEnum):
    """The name by which Python asks for an indicator; at most one indicator of a catalogue has it."""

    RESPONSE_TIME_AVG = "response_time_avg"
    RESPONSE_TIME_P50 = "response_time_p50"
    RESPONSE_TIME_P95 = "response_time_p95"
    RESPONSE_TIME_P99 = "response_time_p99"
    SUCCESS_RATE = "success_rate"
    THROUGHPUT = "throughput"
    REQUEST_RATE = "request_rate"
    QUEUE_TIME_AVG = "queue_time_avg"
    QUEUE_TIME_P95 = "queue_time_p95"
    API_LATENCY_AVG = "api_latency_avg"
    API_LATENCY_P95 = "api_latency_p95"
    WAIT_LATENCY_AVG = "wait_latency_avg"
    WAIT_LATENCY_P95 = "wait_latency_p95"
    STAGE_N = "stage_n"
    STAGE_SUM = "stage_sum"
    STAGE_AVG = "stage_avg"
    STAGE_P95 = "stage_p95"
    RETRY_CALLS = "retry_calls"
    CALLS_SUCCESSFUL_WITHOUT_RETRY = "calls_successful_without_retry"
    CALLS_SUCCESSFUL_WITH_RETRY = "calls_successful_with_retry"
    CALLS_FAILED_WITHOUT_RETRY = "calls_failed_without_retry"
    CALLS_FAILED_WITH_RETRY = "calls_failed_with_retry"
    RETRY_ATTEMPTS = "retry_attempts"
    RETRY_AMPLIFICATION = "retry_amplification"
    RETRY_BACKOFF = "retry_backoff"
    TRANSIENT_N = "transient_n"
    RECOVERY_RATE = "recovery_rate"
    NOT_PERMITTED = "not_permitted"
    BREAKER_OPENED = "breaker_opened"
    CALLS_WHILE_OPEN = "calls_while_open"
    MTTR = "mttr"
    JOBS_DEFERRED = "jobs_deferred"
    JOBS_WRITTEN_BACK = "jobs_written_back"
    STORE_UNSAVED_UNTIL = "store_unsaved_until"
    JOBS_REJECTED = "jobs_rejected"
    PARTIAL_SHARE = "partial_share"
    CANCEL_N = "cancel_n"
    CANCEL_AVG = "cancel_avg"
    CANCEL_P95 = "cancel_p95"
    CACHE_HITS = "cache_hits"
    CACHE_COALESCED = "cache_coalesced"
    CACHE_MISSES = "cache_misses"
    CACHE_IO_SAVED = "cache_io_saved"
    CACHE_TIME_SAVED = "cache_time_saved"
    CACHE_HIT_RATE = "cache_hit_rate"
    CONNECTIONS_OPENED = "connections_opened"
    CONNECTIONS_REUSED = "connections_reused"
    CONNECT_AVG = "connect_avg"
    IO_SENT = "io_sent"
    IO_RECEIVED = "io_received"
    USAGE = "usage"
    JOB_CALLS = "job_calls"
    JOB_ATTEMPTS = "job_attempts"
    MEMORY_PER_JOB = "memory_per_job"
    CPU_UTILISATION = "cpu_utilisation"
    MEMORY_LEAKED = "memory_leaked"
    CLIENT_JOBS = "client_jobs"
    SERVICE_JOBS = "service_jobs"


class Evident(StrEnum):
    """What a scenario shows by its records; `reporting/analysis/subjects.py` has the code."""

    PROVIDER_OUTAGE = "provider_outage"
    OUTSIDE_FAULT = "outside_fault"
    STORE_OUTAGE = "store_outage"
    CANCELLATION = "cancellation"
    STORED_JOBS = "stored_jobs"
    CHECKED_FILES = "checked_files"
    RAMP = "ramp"
    BURST = "burst"
    SINGLE_JOB = "single_job"
    LOAD_LEVELS = "load_levels"
    SEQUENTIAL_JOBS = "sequential_jobs"
    KNOWN_PROMPTS = "known_prompts"
    RESOURCES_UNDER_LOAD = "resources_under_load"


class RecordFunction(StrEnum):
    """Functions of the client's records and the providers' logs; `reporting/analysis/record_slis.py` has their code."""

    CALLS_WHILE_OPEN = "calls_while_open"
    BREAKER_OPENED = "breaker_opened"
    MEAN_TIME_TO_RECOVERY = "mean_time_to_recovery"
    MEAN_TIME_TO_RESTORATION = "mean_time_to_restoration"
    INTEGRITY_SHARE = "integrity_share"
    JOBS_LOST = "jobs_lost"
    MEMORY_PER_JOB = "memory_per_job"
    CPU_UTILISATION = "cpu_utilisation"
    MEMORY_GROWTH = "memory_growth"
    MEMORY_LEAKED = "memory_leaked"
    SUSTAINED_RATE = "sustained_rate"
    SPIKE_RECOVERY = "spike_recovery"
    SERVER_MEMORY_GROWTH = "server_memory_growth"
    SERVER_MEMORY_LEAKED = "server_memory_leaked"
    SERVER_CPU_PER_VIDEO = "server_cpu_per_video"
    SERVER_GPU_UTILISATION = "server_gpu_utilisation"
    SERVER_GPU_ERRORS = "server_gpu_errors"
    SERVER_ENERGY_PER_VIDEO = "server_energy_per_video"


class Objective(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The limit that a value must keep, and where it is judged."""

    value: Finite
    direction: Direction
    scenarios: tuple[str, ...] = ()
    """Scenarios where it is judged; empty = wherever the indicator is measured."""
    subject: Evident | None = None
    """Also judged in the scenarios of a run that show this."""
    concurrency: int | None = None
    """Judge only the cases with this many jobs in flight."""
    members: tuple[str, ...] = ()
    """Judge only these members of an indicator that is split; empty = all."""
    ours: bool = False
    """The limit is made for the service of this project: another maker's server is not judged by it."""


class By(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A label of the answer, and the values of it that are expected."""

    label: str
    members: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, description="the values that are expected")]


class Sli(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One indicator. The fields are explained at the head of the catalogue file."""

    id: str
    role: Role | None = None
    title: str
    unit: str
    kind: Kind
    samples: Samples | None = None
    dimension: Literal["performance", "reliability", "resources", "every"]
    section: ReportSection
    scope: Literal["case", "scenario", "run"]
    why: str
    source: Literal["prometheus", "records"] = "prometheus"
    query: str | None = None
    function: RecordFunction | None = None
    scenarios: tuple[str, ...] = ()
    subject: Evident | None = None
    by: By | None = None
    per_second: bool = False
    quantile: Annotated[float, msgspec.Meta(gt=0, lt=1, description="a number between 0 and 1")] | None = None
    buckets: str | None = None
    n: str | None = None
    min_n: Annotated[int, msgspec.Meta(ge=0, description="a whole number of 0 or more")] = 0
    objective: Objective | None = None
    direction: Direction | None = None
    key: bool = False
    by_design: str | None = None
    follows: str | None = None

    @property
    def better(self) -> str | None:
        """Which way is better, at_most or at_least; None when neither is, so that runs are not compared by it."""
        return self.objective.direction if self.objective else self.direction

    def of(self, dimension: str) -> bool:
        """Return True when the indicator belongs to a dimension."""
        return self.dimension in {dimension, "every"}

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics that the queries read, in order of appearance."""
        return tuple(dict.fromkeys(METRIC.findall(f"{self.query or ''} {self.buckets or ''}")))

    @property
    def watchable(self) -> bool:
        """True when the query names its place by labels alone, so that rules and panels can show it for every run."""
        return self.query is not None and {*Template(self.query).get_identifiers()} == {*PLACES[self.scope], "window"}

    def fill(self, template: str, values: Mapping[str, str]) -> str:
        """Put values for the placeholders into one of the two templates, quoted for a PromQL string."""
        return Template(template).substitute(
            {name: value.replace("\\", r"\\").replace('"', r"\"") for name, value in values.items()}
        )


class Reading(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Raw samples of a metric through a case. The fields are explained at the head of the catalogue file."""

    id: str
    title: str
    unit: str
    dimension: Literal["performance", "reliability", "resources"]
    selector: str
    why: str


class Catalogue(msgspec.Struct, frozen=True, dict=True):
    """All indicators and readings in the order of the file."""

    slis: tuple[Sli, ...]
    readings: tuple[Reading, ...] = ()

    @cached_property
    def _by_id(self) -> dict[str, Sli]:
        return {sli.id: sli for sli in self.slis}

    @cached_property
    def _by_role(self) -> dict[Role, Sli]:
        return {sli.role: sli for sli in self.slis if sli.role is not None}

    def get(self, sli: str) -> Sli:
        """Return the indicator of an id; KeyError for an unknown id."""
        return self._by_id[sli]

    def find(self, sli: str) -> Sli | None:
        """Return the indicator of an id; None for an unknown id."""
        return self._by_id.get(sli)

    def of_role(self, role: Role) -> Sli | None:
        """Return the indicator that has a role; None when no indicator of this catalogue has it."""
        return self._by_role.get(role)

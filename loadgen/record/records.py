"""The files of a run: what the load generator writes and every later stage reads.

A run is one folder, ``runs/<run_id>/``::

    run.json        one `RunRecord`, replaced atomically at every change of state
    plan.jsonl      one planned job per line; its sha256 is the plan hash
    jobs.jsonl      one `JobRecord` per line, appended as jobs end
    requests.jsonl  one `RequestRecord` per line, appended as requests end
    calls.jsonl     one `CallRecord` per line, of the cases with faults and of resources; absent when there were none

All instants are Unix time in seconds (float); all durations are seconds. Instants of one run come from one
anchor of the wall clock plus the monotonic clock, so that differences between them are exact even when the
wall clock is stepped.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

SCHEMA_VERSION = 1
"""Version of the run directory. A reader refuses any other, rather than guess."""

RUN_FILE = "run.json"
PLAN_FILE = "plan.jsonl"
JOBS_FILE = "jobs.jsonl"
REQUESTS_FILE = "requests.jsonl"
CALLS_FILE = "calls.jsonl"
TRACES_DIR = "traces"


class RecordError(Exception):
    """A run directory that cannot be read; the message is one sentence for the user."""


class Outcome(StrEnum):
    """How a job ended, as the client saw it."""

    COMPLETED = "completed"
    """The video was completed and, where the steps ask for it, downloaded."""
    FAILED = "failed"
    """The service accepted the job and reported it failed."""
    REJECTED = "rejected"
    """The service refused the job (4xx or 503 on create)."""
    ERROR = "error"
    """No valid answer: connection lost, 5xx, or an answer that is not of the API."""
    TIMEOUT = "timeout"
    """Not terminal within the scenario's time limit for a job, or when an open case was cut off; right-censored at
    `JobRecord.done`, as is ABORTED."""
    CANCELLED = "cancelled"
    """Cancelled by the plan."""
    ABORTED = "aborted"
    """Cut off because the user stopped the run; right-censored at `JobRecord.done`."""


class RunState(StrEnum):
    """The state of a run or of a scenario within it."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


class JobRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One job, from its due time to its end."""

    scenario: str
    case: str
    index: int
    """Position in the case's plan, from 0; warm-up jobs come first."""
    warmup: bool
    """True for a declared warm-up job: recorded, but left out of the statistics."""
    due: float
    """When the plan wanted the job sent. In a closed loop: when its slot became free."""
    sent: float
    """When it was sent; equal to `done` for a job that was never sent."""
    accepted: float | None
    """When the create request was answered with a video object."""
    done: float
    """When the client knew the end; response time is ``done - due``."""
    outcome: Outcome
    job_id: str | None
    trace_id: str
    """32 hexadecimal digits; the root span of the job has this trace id."""
    bytes: int
    """Bytes of video content downloaded."""
    deleted: bool
    """True when a step of the plan removed the video from the store."""
    integrity: Literal["ok", "corrupt", "missing"] | None
    """Result of checking every downloaded file and the metadata against the manifest; None when not checked."""
    error: str | None
    """One line, at most 200 characters, when the outcome is not `completed`; what is wrong, when it is not intact."""
    files: int | None = None
    """Files downloaded and compared with the manifest's sha256 and size; None when not checked."""
    scenes: int | None = None
    """Scenes that the manifest names; None when it was not read."""
    scenes_completed: int | None = None
    """Those of them with sound and picture; fewer than `scenes`: the video is partial."""
    cancel_sent: float | None = None
    """When the plan's cancellation was sent; `done` is when it was answered."""
    leftover: bool | None = None
    """True when the service still showed the video after its cancellation was answered; None when not looked at."""
    released: float | None = None
    """When the limit of jobs in flight of an open case let it go; None when it did not have to wait for that."""


class RequestRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One HTTP request of a job."""

    scenario: str
    case: str
    index: int
    warmup: bool
    operation: str
    """create, retrieve, wait, list, manifest, content or delete."""
    sent: float
    duration: float
    status: int | None
    """HTTP status code; None when no answer came."""
    bytes: int
    """Bytes of the answer's body."""


class StoreCount(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the service's own list of videos said after a scenario, for reconciliation."""

    expected: int
    """Jobs that the client saw accepted and did not delete."""
    found: int
    """Those of them that the list holds."""
    by_status: dict[str, int]
    """The found ones by the status word in the list."""
    error: str | None
    """Why the list could not be read; the counts are then 0."""


class ArrivalsRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How jobs arrive in an open case. Rates are those of this generator's share, in jobs per second."""

    process: Literal["constant", "poisson"]
    rate: float
    seconds: float
    """How long jobs arrive, from `CaseRecord.started` on."""
    drain: float
    """Seconds after that at which jobs that are not finished are cut off."""
    max_in_flight: int
    burst_rate: float | None = None
    """From `burst_at` for `burst_seconds` instead of `rate`; None: there is no burst."""
    burst_at: float | None = None
    burst_seconds: float | None = None


class CaseRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One case of a scenario: a level of load with its window and the generator's own health."""

    name: str
    model: Literal["closed", "open", "idle"]
    """How jobs are sent; an idle case sends none."""
    concurrency: int
    """Jobs kept in flight (closed model); 0 in the others."""
    pace: float | None = None
    """Least seconds between the due times of two jobs of a slot; None: due when the last one has ended."""
    planned: int
    """Measured jobs in the plan, without warm-up."""
    warmup: int
    started: float | None
    """When the first job was due; None if the case did not begin."""
    ended: float | None
    """When the last job ended."""
    generator_cpu: float | None
    """CPU seconds of the generator's process per second of the window (1.0 = one core)."""
    loop_lag_p99: float | None
    """P99 of the event loop's lag in seconds, sampled through the window."""
    loop_lag_p99_lower: float | None = None
    """Lower limit of its 95 % interval in seconds, by order statistics; None where it was not recorded."""
    switches: dict[str, bool] = {}
    """Switches of the service that were changed for this case, warm-up included."""
    breakers_read: bool | None = None
    """False when the service's breakers were asked for their changes and did not answer; None when nobody asked."""
    calls_read: bool | None = None
    """False when a provider was asked for its log of calls and did not answer; None when nobody asked."""
    prompts: Literal["unique", "repeated", "half_new"] = "unique"
    """Whether the prompts are new, those of the case before, or half and half."""
    arrivals: ArrivalsRecord | None = None
    """Of an open case; None in the others."""


class ScenarioRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One scenario of a run."""

    name: str
    dimension: str
    """performance, reliability or resources."""
    title: str
    why: str
    steps: list[str]
    state: RunState
    started: float | None
    ended: float | None
    cases: list[CaseRecord]
    objectives: dict[str, float]
    """Overrides of the catalogue's objectives: SLI id to value."""
    store: StoreCount | None
    audit: AuditRecord | None = None
    """None when the service offers none."""
    rest: float = 0.0
    """Seconds before each case and after the last in which nothing is sent, so that gauges can be read."""


class DocumentRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The document that jobs upload."""

    name: str
    sha256: str
    bytes: int


class FaultRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One fault that the runner applied, with its real times."""

    scenario: str
    case: str
    target: Literal["llm", "tts", "image", "store"]
    """The provider that failed, or the service's job store."""
    kind: str
    """outage, stall, error, corrupt or latency."""
    rate: float
    """Planned share of the calls that are hit."""
    status: int | None
    """HTTP status of an error."""
    seconds: float | None
    """Length of a stall, or added latency."""
    started: float
    """When the injecting side confirmed it."""
    ended: float | None
    """When the injecting side confirmed that it was lifted; None when it was not reached any more."""
    seen: int | None
    """Calls that the fault's rule saw, counted where it was injected."""
    hit: int | None
    """Those of them that it hit."""


class TransitionRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A change of state of one of the service's circuit breakers (closed, open, half_open)."""

    scenario: str
    case: str
    provider: str
    at: float
    before: str
    after: str


class CallRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One call that reached a provider, as the provider counted it."""

    scenario: str
    case: str
    provider: str
    sent: float | None
    """When the caller sent it, by its ``X-Request-Start`` header."""
    arrived: float
    outcome: str
    """What the provider did with it: ok, or the kind of fault it met."""
    connection: str | None = None
    """The caller's address and port; distinct ones of a case are its connections. None when not known."""


class AuditRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the service says of its own state after a scenario; zero everywhere is a clean end."""

    live: int
    """Jobs that wait or run."""
    unsaved: int
    """Jobs whose state waits for the store."""
    orphans: int
    """Folders of files without a record in the store."""
    missing: int
    """Completed records without their files."""
    error: str | None
    """Why it could not be read; the counts are then 0."""


class LimitsRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the generator's container allows; None where there is no limit."""

    cpu_cores: float | None
    """CPU quota over its period."""
    memory_bytes: int | None


class EnvironmentRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the generator ran."""

    cpu_model: str
    cpu_count: int
    memory_bytes: int
    os: str
    python: str
    packages: dict[str, str]
    """Versions of the libraries that the measurement depends on."""
    commit: str | None
    """Git commit of the checkout, None outside one."""
    dirty: bool
    """True when the checkout had uncommitted changes."""
    lock_sha256: str | None
    limits: LimitsRecord | None = None
    """None where no container limits it, or on a system without control groups."""


class RunRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The head of a run."""

    schema_version: int
    run_id: str
    profile: str
    seed: int
    plan_hash: str
    """Of the whole plan, also where this generator ran a share of it."""
    replica: int = 1
    """Which of the load generators that share the plan this one was, from 1."""
    replicas: int = 1
    target: str
    """Base URL of the service under test."""
    state: RunState
    started: float
    ended: float | None
    document: DocumentRecord
    environment: EnvironmentRecord
    scenarios: list[ScenarioRecord]
    faults: list[FaultRecord]
    transitions: list[TransitionRecord] = []
    switches: dict[str, bool] | None = None
    """The service's switches (retries, breaker, ...): off in a baseline. None when the service does not say."""


R = TypeVar("R", bound=msgspec.Struct)


def read_run(folder: Path) -> RunRecord:
    """Read ``run.json`` of a run directory.

    Raises:
        RecordError: the folder or file is missing, is not a run, is cut off, or is of another schema version.
    """
    path = folder / RUN_FILE
    try:
        raw = path.read_bytes()
    except OSError as error:
        msg = f"{folder} is not a run directory: cannot read {RUN_FILE} ({error.strerror}); name a folder under runs/"
        raise RecordError(msg) from error
    try:
        version = msgspec.json.decode(raw, type=_Version).schema_version
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        msg = f"{path} is damaged or cut off ({error}); the run cannot be read, run the suite again"
        raise RecordError(msg) from error
    if version != SCHEMA_VERSION:
        msg = (
            f"{path} has schema version {version}, this Reelbench reads version {SCHEMA_VERSION}; "
            "use the Reelbench that wrote it"
        )
        raise RecordError(msg)
    try:
        return msgspec.json.decode(raw, type=RunRecord)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        msg = f"{path} is not a run of schema version {SCHEMA_VERSION}: {error}; run the suite again"
        raise RecordError(msg) from error


def read_jobs(folder: Path) -> list[JobRecord]:
    """Read ``jobs.jsonl``; an unfinished last line (the writer was killed) is left out.

    Raises:
        RecordError: the file is missing or a line other than an unfinished last one is damaged.
    """
    return list(_read_lines(folder / JOBS_FILE, JobRecord))


def read_requests(folder: Path) -> list[RequestRecord]:
    """Read ``requests.jsonl``, with the rules of `read_jobs`."""
    return list(_read_lines(folder / REQUESTS_FILE, RequestRecord))


def read_calls(folder: Path) -> list[CallRecord]:
    """Read ``calls.jsonl``, with the rules of `read_jobs`; empty when the run has none."""
    return list(_read_lines(folder / CALLS_FILE, CallRecord)) if (folder / CALLS_FILE).exists() else []


def write_run(folder: Path, run: RunRecord) -> None:
    """Replace ``run.json`` atomically: a reader sees the old or the new record, never a part."""
    write_atomically(folder / RUN_FILE, msgspec.json.format(msgspec.json.encode(run), indent=2) + b"\n")


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that no reader and no crash ever sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def to_line(record: msgspec.Struct) -> bytes:
    """Encode one record as a line of a JSON Lines file."""
    return msgspec.json.encode(record) + b"\n"


class _Version(msgspec.Struct):
    schema_version: int


def _read_lines(path: Path, kind: type[R]) -> Iterator[R]:
    try:
        raw = path.read_bytes()
    except OSError as error:
        msg = f"cannot read {path} ({error.strerror}); the run directory is incomplete, run the suite again"
        raise RecordError(msg) from error
    decoder = msgspec.json.Decoder(kind)
    lines = raw.split(b"\n")
    finished, rest = lines[:-1], lines[-1]
    for number, line in enumerate(finished, start=1):
        try:
            yield decoder.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            msg = f"{path}, line {number} is damaged ({error}); run the suite again"
            raise RecordError(msg) from error
    if rest:  # no newline: the writer was cut off in the middle of this line
        try:
            yield decoder.decode(rest)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return

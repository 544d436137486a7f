"""``run.json``: the head of a run, with its scenarios and cases, faults, and the environment of the load generator."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Literal

import msgspec

from reelbench.loadgen.record.conditions import ClockRecord
from reelbench.loadgen.record.rate_rule import Process, RateLimits
from reelbench.loadgen.record.run_files import RUN_FILE, RecordError, VersionedFile


class RunState(StrEnum):
    """The state of a run or of a scenario within it."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


class StoreCount(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The service's own list of videos after a scenario, for reconciliation."""

    expected: int
    """Jobs that the client saw accepted and did not delete."""
    found: int
    """Those of them that the list contains."""
    by_status: dict[str, int]
    """The found jobs by their status in the list."""
    error: str | None
    """Why the list could not be read; the counts are then 0."""
    offered: bool = True
    """False: the server has no list of jobs, or one that does not show them all; the counts then say nothing."""


class ArrivalsRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Arrivals of an open case. Rates are this generator's share, in jobs per second."""

    process: Process
    """``trace``: the times of a file; the rate is then their mean."""
    rate: float
    seconds: float
    """How long jobs arrive, from `CaseRecord.started` on."""
    drain: float
    """Seconds after that at which jobs that are not finished are cut off."""
    max_in_flight: int
    burst_rate: float | None = None
    """Rate from `burst_at` for `burst_seconds` instead of `rate`; None without a burst."""
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
    """Minimum seconds between the due times of two jobs of a slot; None: due when the last one has ended."""
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
    stood_still: float | None = None
    """Seconds of the window in which the event loop stood still: the process was stopped, or the machine slept. None
    where it was not recorded."""
    switches: dict[str, bool] = {}
    """Switches of the service that were changed for this case, warm-up included."""
    breakers_read: bool | None = None
    """False when the state changes of the service's breakers could not be read; None when not requested."""
    calls_read: bool | None = None
    """False when the call log of a provider could not be read; None when not requested."""
    prompts: Literal["unique", "repeated", "half_new"] = "unique"
    """Whether the prompts are new, those of the case before, or half and half."""
    arrivals: ArrivalsRecord | None = None
    """Of an open case; None in the others."""
    agreed: float | None = None
    """When all load generators had agreed to begin, on the clock of this one; None: it was the only one."""
    min_duration: float | None = None
    """Shortest length in seconds that the case was planned for; None: none."""
    idle_seconds: float | None = None
    """Planned length of an idle case; None in the others, and in runs of versions that did not record it."""
    not_needed: bool = False
    """True for a rate of a search that other rates have decided: its planned jobs were not sent."""


class AuditRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The service's own audit after a scenario; zero everywhere is a clean end."""

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


class SearchRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A search for the highest sustained arrival rate, which runs a part of the planned rates."""

    limits: RateLimits
    """Limits of a rate that holds."""
    exhaustive: bool
    """True where every rate is run in order: a share of several load generators cannot decide alone."""


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
    search: SearchRecord | None = None
    """None when the scenario is no search."""


class DocumentRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file that jobs upload: the document, an image or a video."""

    name: str
    sha256: str
    bytes: int


class InputRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of the user with a row for each job."""

    name: str
    """Name without folders."""
    sha256: str
    bytes: int
    rows: int


class WorkloadRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the jobs come from; the plan has each of them."""

    builtin: Literal["document", "text_to_video"]
    """Built-in prompts, of the jobs whose row has no prompt."""
    prompts: InputRecord | None = None
    """The user's prompts; None: the built-in ones."""
    order: Literal["file", "drawn"] = "file"
    """Order of the user's prompts."""
    arrivals: InputRecord | None = None
    """The trace whose arrivals are replayed."""
    speed: float = 1.0
    """Speed of the replay."""
    references: list[DocumentRecord] = []
    """Images and videos that jobs upload, by the name that the plan has for them."""


class FaultRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One fault that the runner applied, with its real times."""

    scenario: str
    case: str
    target: Literal["llm", "tts", "image", "store", "command", "network"]
    """The provider that failed, or the service's job store; command: a program of the user's, network: the proxy."""
    kind: str
    """outage, stall, error, corrupt or latency; bandwidth, timeout, reset or down of the network; the program."""
    rate: float
    """Planned share of the calls that are hit; of the network, of connections."""
    status: int | None
    """HTTP status of an error."""
    seconds: float | None
    """Length of a stall, or added latency."""
    started: float
    """When the injecting side confirmed it; of a command, when it had ended."""
    ended: float | None
    """When the injecting side confirmed its end; None when that side could not be reached."""
    seen: int | None
    """Calls that the fault's rule saw, counted where it was injected."""
    hit: int | None
    """Those of them that the rule hit."""
    asked: float | None = None
    """When the injecting side was asked to begin; None where it was not recorded."""
    asked_to_end: float | None = None
    """When the injecting side was asked to end it; None where it was not recorded, or nothing had to be ended."""
    command: list[str] = []
    """Arguments of the program that began it."""
    stop: list[str] = []
    """Arguments of the program that ended it; empty: the fault ended with its beginning."""
    output: str | None = None
    """File of the run's folder with what the programs printed."""
    error: str | None = None
    """Why the fault did not begin; the case is then not one with this fault."""
    jitter: float | None = None
    """Most deviation of a latency of the network in seconds."""
    kilobytes_per_second: int | None = None
    """Rate to which the network was limited."""
    direction: Literal["upstream", "downstream"] | None = None
    """Of a fault of the network: requests or answers."""

    @property
    def outside(self) -> bool:
        """Whether the fault needs nothing of the server: a program of the user's, or the network."""
        return self.target in {"command", "network"}


class ProxyRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The proxy between load generator and target in the scenarios with faults of the network."""

    version: str
    scenarios: list[str]
    """Scenarios whose whole traffic passed the proxy."""
    direct: list[float]
    """Seconds of small requests without the proxy, before the first scenario."""
    through: list[float]
    """Seconds of the same requests through the proxy."""


class TransitionRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A change of state of one of the service's circuit breakers (closed, open, half_open)."""

    scenario: str
    case: str
    provider: str
    at: float
    before: str
    after: str


class LimitsRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits of the generator's container; None where there is no limit."""

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
    """Git commit of the checkout; None: see `no_commit`."""
    dirty: bool
    """True when the checkout had uncommitted changes."""
    lock_sha256: str | None
    no_commit: str | None = None
    """Why there is no commit: not a checkout, or git refuses to read it."""
    limits: LimitsRecord | None = None
    """None where no container limits it, or on a system without control groups."""


class ServerRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The server under test, as the target file, the preset and its answers describe it."""

    name: str
    """Name of the target file or preset; ``found`` when neither was given."""
    title: str
    ours: bool
    """True for the instrumented service of this project, which reports metrics and spans by our contract."""
    model: str | None
    """Model that every job named."""
    offers: dict[str, bool | None] = {}
    """Operation (list, wait, manifest, delete, cancel) to whether the server has it; None: not tried."""
    synchronous: bool = False
    """True: the answer to the create request comes when the video is made."""
    metrics: list[str] = []
    """Addresses of the server's own metrics, without credentials."""
    notes: list[str] = []
    """What was left out or adapted, one sentence each."""


class GeneratorCaseRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One case as one of several load generators ran its share of it."""

    scenario: str
    case: str
    planned: int
    """Measured jobs of its share."""
    started: float | None
    ended: float | None
    agreed: float | None
    """When all had agreed to begin, on its own clock; None: the case did not begin."""
    generator_cpu: float | None
    loop_lag_p99: float | None


class GeneratorRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of the load generators that made a run together."""

    number: int
    """From 1. The first one controlled faults and toggles."""
    environment: EnvironmentRecord
    clock: list[ClockRecord]
    """Readings of the clock that all have in common, on its own clock."""
    cases: list[GeneratorCaseRecord]


class BudgetRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The time budget by which a run was planned."""

    seconds: float
    """The budget, calibration included."""
    job_seconds: float
    """Length of the calibration job, until its file was read."""
    expected: float
    """Expected length of the planned load, for a server that makes one video at a time."""
    jobs: int
    """Planned jobs, warm-up included."""
    left_out: list[str]
    """Scenarios and cases that do not fit, one sentence each."""
    default: bool = False
    """True: the user gave no budget, and the default for servers of other makers was used."""


class RunRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The head of a run."""

    schema_version: int
    run_id: str
    profile: str
    seed: int
    plan_hash: str
    """Hash of the whole plan, also where this generator ran a share of it."""
    replica: int = 1
    """Number of this load generator among those that share the plan, from 1."""
    replicas: int = 1
    target: str
    """Base URL of the service under test."""
    state: RunState
    started: float
    ended: float | None
    document: DocumentRecord | None
    """The document that jobs without a reference upload; None: such jobs upload nothing."""
    environment: EnvironmentRecord
    scenarios: list[ScenarioRecord]
    faults: list[FaultRecord]
    transitions: list[TransitionRecord] = []
    switches: dict[str, bool] | None = None
    """The service's switches (retries, breaker, ...): off in a baseline. None when the service does not report them."""
    server: ServerRecord | None = None
    """None in runs of versions that recorded nothing of the server: it is then the service of this project."""
    service_replicas: int = 1
    """Processes of the service of this project that answered at its address before the load; 1 for another server."""
    objectives: dict[str, float] = {}
    """Objectives of this run, from the command line or the target file: SLI id to value."""
    budget: BudgetRecord | None = None
    """None: the profile alone decided how much was planned."""
    check_videos: Literal["all"] | int | None = None
    """Most downloaded files of a case that were opened, drawn by the seed; None: a version that opened none."""
    proxy: ProxyRecord | None = None
    """None when no scenario has faults of the network."""
    generators: list[GeneratorRecord] = []
    """The load generators whose shares were merged into this run; empty in a run of one, and in a share."""
    workload: WorkloadRecord | None = None
    """None in runs of versions that knew only the built-in prompts for documents."""

    @property
    def load_generators(self) -> int:
        """Number of load generators that drove the run, also where this is the record of one share."""
        return max(self.replicas, len(self.generators))


_FILE = VersionedFile(RUN_FILE, RunRecord)


def read_run(folder: Path) -> RunRecord:
    """Read ``run.json`` of a run directory.

    Raises:
        RecordError: the folder or file is missing, is not a run, is cut off, or is of another schema version.
    """
    path = folder / RUN_FILE
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise RecordError(
            f"{folder} is not a run directory: cannot read {RUN_FILE} ({error.strerror}); name a folder under runs/"
        ) from error
    return _FILE.decode(path, raw)


def write_run(folder: Path, run: RunRecord) -> None:
    """Replace ``run.json`` atomically."""
    _FILE.write(folder, run)

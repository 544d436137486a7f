"""Scenarios as frozen data: load, cases, steps of a job, faults. Field descriptions are those of the documentation."""

from __future__ import annotations

import shlex
from typing import Annotated, Any, Generic, Literal, TypeGuard, TypeVar, get_args

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from reelbench.loadgen.strict_model import Strict, is_model

Profile = Literal["quick", "standard", "paper"]
PROFILES: tuple[Profile, ...] = get_args(Profile)
MLPERF_LIKE = "mlperf-like"
"""Name of the profile whose scenarios are shaped like those of MLPerf Inference; their sizes are those of standard."""

Dimension = Literal["performance", "reliability", "resources"]
DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)

Step = Literal["create", "retrieve", "list", "wait", "manifest", "content", "assets", "delete", "cancel"]
STEPS: tuple[Step, ...] = get_args(Step)

Arrivals = Literal["constant", "poisson"]

FaultTarget = Literal["llm", "tts", "image", "store"]
FaultKind = Literal["outage", "stall", "error", "corrupt", "latency"]
NetworkKind = Literal["latency", "bandwidth", "timeout", "reset", "down"]

MOST_PER_SECOND = 10_000
N = TypeVar("N", bound=float)


class PerProfile(Strict, Generic[N]):
    """A number for each profile."""

    quick: N
    standard: N
    paper: N

    def of(self, profile: Profile) -> N:
        """Return the number for one profile."""
        return {"quick": self.quick, "standard": self.standard, "paper": self.paper}[profile]


def by_profile(kind: Any) -> TypeGuard[type[PerProfile[Any]]]:
    """Return whether a type is a number for each profile."""
    return is_model(kind) and issubclass(kind, PerProfile)


def _one_for_all(value: Any) -> Any:
    """Accept one number for all profiles, with one error instead of three."""
    if isinstance(value, dict | PerProfile):
        return value
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise PydanticCustomError("rate", "write a number of jobs per second, or one for each profile")
    if not 0 < value <= MOST_PER_SECOND:
        raise PydanticCustomError("rate", f"write a number above 0 and up to {MOST_PER_SECOND:,} jobs per second")
    return dict.fromkeys(PROFILES, value)


Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,47}$")]
"""Short enough for a baggage value and a label."""
Iterations = PerProfile[Annotated[int, Field(ge=1, le=100_000)]]
Warmup = PerProfile[Annotated[int, Field(ge=0, le=10_000)]]
Times = PerProfile[Annotated[int, Field(ge=1, le=100)]]
Seconds = PerProfile[Annotated[int, Field(ge=1, le=3_600)]]
WarmupSeconds = PerProfile[Annotated[int, Field(ge=0, le=600)]]
Rates = PerProfile[Annotated[int, Field(ge=3, le=63)]]
SearchJobs = PerProfile[Annotated[int, Field(ge=20, le=100_000)]]
Rate = Annotated[PerProfile[Annotated[float, Field(gt=0, le=MOST_PER_SECOND)]], BeforeValidator(_one_for_all)]


class Burst(Strict):
    """Part of an open case in which jobs arrive at another rate."""

    rate: Rate = Field(description="Arrivals per second; one number, or one by profile.")
    at: Seconds = Field(description="Start of the burst, in seconds after the start of the measured part.")
    seconds: Seconds = Field(description="Length of the burst in seconds.")


class Toggles(Strict):
    """Switches of the service that a case changes; switches that are not given stay unchanged."""

    retries: bool = Field(default=True, description="Transient failures of a provider are retried.")
    breaker: bool = Field(default=True, description="Each provider has a circuit breaker.")
    cache: bool = Field(default=True, description="Answers of the providers are cached.")
    pooling: bool = Field(default=True, description="Connections to the providers are reused.")
    scene_concurrency: bool = Field(default=True, description="All scenes of a job are made concurrently.")

    def given(self) -> dict[str, bool]:
        """Return the toggles that the file names."""
        return self.model_dump(exclude_unset=True)


def _argv(value: Any) -> Any:
    """Return the arguments of a command line; text is split as a shell would, without its other syntax."""
    if not isinstance(value, str):
        if isinstance(value, list | tuple) and any(not isinstance(word, str) for word in value):
            raise PydanticCustomError("command", "write text, or a list of texts (numbers in quotes)")
        return value
    try:
        return shlex.split(value)
    except ValueError as error:
        raise PydanticCustomError("command", "close every quotation mark") from error


Argv = Annotated[
    tuple[Annotated[str, Field(max_length=4_000)], ...], BeforeValidator(_argv), Field(strict=False, max_length=100)
]
Variables = tuple[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")], ...]


class CommandSpec(Strict):
    """Programs that begin and end a fault, run without a shell in the folder of the scenario file.

    They run only with `--allow-commands`. Write no secret here: the arguments are kept in the run's folder.
    """

    start: Argv = Field(description="Command line that begins the fault: text, or a list of arguments.")
    stop: Argv | None = Field(
        default=None,
        description="Command line that ends it; it always runs. Without it, the fault ends with `start`.",
    )
    timeout: float = Field(default=30.0, gt=0, le=600, description="Seconds after which a command is ended.")
    environment: Variables = Field(
        default=(),
        strict=False,
        description="Environment variables with secrets that the commands need; others are withheld.",
    )


class FaultSpec(Strict):
    """What fails: `target` and `kind` for the bundled service, or a `command`, or the `network` to any target."""

    target: FaultTarget | None = Field(
        default=None, description="One of the providers, or the job store of the bundled service."
    )
    kind: FaultKind | None = Field(
        default=None, description="Calls are refused, delayed, answered with an error, corrupted, or slowed down."
    )
    command: CommandSpec | None = Field(default=None, description="Programs that begin and end the fault.")
    network: NetworkKind | None = Field(
        default=None,
        description="Fault between load generator and target, made by Toxiproxy: data is delayed, limited to a rate, "
        "withheld until the connection closes after `seconds`, connections are reset, or refused.",
    )
    rate: float = Field(
        default=1.0, gt=0, le=1, description="Share of calls hit, on an exact seeded schedule; of connections, drawn."
    )
    status: int | None = Field(default=None, ge=400, le=599, description="HTTP status of an error.")
    seconds: float | None = Field(
        default=None, gt=0, le=600, description="Longest stall, the added latency, or the time until a connection ends."
    )
    jitter: float | None = Field(default=None, gt=0, le=60, description="Network latency: most deviation in seconds.")
    kilobytes_per_second: int | None = Field(
        default=None, ge=1, le=100_000, description="Network bandwidth: rate of each connection."
    )
    direction: Literal["upstream", "downstream"] | None = Field(
        default=None, description="Network: requests (upstream) or answers (downstream, the default)."
    )

    @property
    def instant(self) -> bool:
        """Whether the fault ends with its own beginning."""
        return self.command is not None and self.command.stop is None


class Fault(Strict):
    """One entry of the fault plan of a case; seconds count from the start of the measured part."""

    at: float = Field(ge=0, le=3_600, description="Start of the first strike.")
    until: float | None = Field(
        default=None, gt=0, le=3_600, description="End of the first strike; without it, the end of the case."
    )
    every: float | None = Field(
        default=None, gt=0, le=3_600, description="Seconds between the starts of two strikes of a repeated fault."
    )
    times: Times = Field(default=Times(quick=1, standard=1, paper=1), description="Number of strikes, by profile.")
    what: FaultSpec = Field(description="Target and kind of the fault.")


class SlowClients(Strict):
    """Some jobs of a case have a slow client: in a closed case with as many virtual users, always the same ones."""

    every: int = Field(ge=1, le=1_000, description="Every job of this number has a slow client, from the first on.")
    send: int | None = Field(default=None, ge=1, le=100_000, description="Rate of sending the body, in kB per second.")
    read: int | None = Field(default=None, ge=1, le=100_000, description="Rate of reading answers, in kB per second.")


class Case(Strict):
    """One level of load.

    Closed: `concurrency` virtual users, each sending its next job when its last one has ended. Open: jobs arrive at a
    rate, independent of the jobs before. Idle: no jobs for some seconds.
    """

    name: Name = Field(description="Name of the case in reports; a label of metrics and spans.")
    model: Literal["closed", "open", "idle"] = Field(description="How jobs are sent.")
    concurrency: int = Field(default=0, ge=1, le=1_000, description="Closed: virtual users, that is, jobs in flight.")
    iterations: Iterations = Field(
        default=Iterations.model_construct(quick=0, standard=0, paper=0), description="Closed: measured jobs."
    )
    warmup: Warmup = Field(
        default=Warmup(quick=0, standard=0, paper=0),
        description="Closed: jobs sent before the measured ones; recorded, but left out of the statistics.",
    )
    seconds: Seconds | None = Field(default=None, description="Open and idle: length of the measured part in seconds.")
    rate: Rate | None = Field(default=None, description="Open: arrivals per second; one number, or one by profile.")
    arrivals: Arrivals | None = Field(
        default=None,
        description="Open: constant is evenly spaced; poisson has exponential gaps from the seed (independent users).",
    )
    warmup_seconds: WarmupSeconds = Field(
        default=WarmupSeconds(quick=0, standard=0, paper=0),
        description="Open: seconds of arrivals before the measured ones; recorded, but left out of the statistics.",
    )
    burst: Burst | None = Field(default=None, description="Open: part of the case with another rate.")
    graceful_stop: float = Field(
        default=10.0,
        alias="drain",
        gt=0,
        le=3_600,
        description="Open: seconds after the last arrival at which unfinished jobs are cut off.",
    )
    max_in_flight: int = Field(
        default=500,
        ge=1,
        le=1_000,
        description="Open: jobs above this limit wait; their response time counts from their intended start.",
    )
    toggles: Toggles = Field(
        default=Toggles(), alias="switches", description="Switches of the service that the case changes."
    )
    prompts: Literal["unique", "repeated", "half_new"] = Field(
        default="unique",
        description="repeated: the prompts of the case before, in the same order; half_new: every second one repeated.",
    )
    pace: float | None = Field(
        default=None,
        gt=0,
        le=600,
        description="Closed: minimum seconds between the intended starts of two jobs of a virtual user.",
    )
    min_duration: float | None = Field(
        default=None,
        gt=0,
        le=86_400,
        description="Closed: shortest length in seconds. One job is measured before the run, and as many jobs are "
        "planned as last so long; `iterations` is then the least number.",
    )
    faults: tuple[Fault, ...] = Field(default=(), strict=False, description="Fault plan of the case.")
    slow_clients: SlowClients | None = Field(default=None, description="Clients that send or read slowly.")
    profiles: tuple[Profile, ...] = Field(
        default=PROFILES,
        strict=False,
        min_length=1,
        description="Profiles that have the case. A case whose prompts another one repeats is in all of them.",
    )
    steps: tuple[Step, ...] | None = Field(
        default=None, strict=False, description="Requests of a job in this case instead of those of the scenario."
    )


class Search(Strict):
    """Search for the highest arrival rate that the server sustains: the only case of the scenario is run at some rates.

    The rates between both bounds are evenly spaced on a logarithmic scale. The first one in the middle is sent; each
    result halves the rest, so that 7 rates need about 3 cases, 15 need 4, and 31 need 5.
    """

    lowest: float = Field(gt=0, le=MOST_PER_SECOND, description="Lowest arrival rate in jobs per second.")
    highest: float = Field(gt=0, le=MOST_PER_SECOND, description="Highest arrival rate in jobs per second.")
    rates: Rates = Field(description="Number of rates, both bounds included, by profile.")
    jobs: SearchJobs = Field(
        description="Least jobs at a rate, by profile: where the `seconds` of the case give fewer, it lasts longer. "
        "Below 180 (800 with arrivals poisson) the rule has no proven error rates.",
    )
    success: float = Field(default=0.95, gt=0, le=1, description="Least share of completed jobs of a rate that holds.")
    response_p95: float | None = Field(
        default=None,
        gt=0,
        le=86_400,
        description="Most seconds of the P95 of the response time of a rate that holds; without it, any.",
    )


class CancelAfter(Strict):
    """Time of the step `cancel`: a seeded moment between two bounds, in seconds after the job was accepted."""

    earliest: float = Field(ge=0, le=3_600, description="Lower bound.")
    latest: float = Field(ge=0, le=3_600, description="Upper bound, not below the lower one.")


class VideoSpec(Strict):
    """The video that every job requests."""

    seconds: Literal["4", "8", "12"] = Field(description="Length, as text: a string in the API.")
    size: str = Field(pattern=r"^[1-9][0-9]{1,3}x[1-9][0-9]{1,3}$", description="Width and height in pixels.")
    num_frames: int | None = Field(default=None, ge=1, le=10_000, description="Frames, for servers that take them.")
    fps: float | None = Field(default=None, gt=0, le=240, description="Frames per second, for servers that take them.")
    num_inference_steps: int | None = Field(
        default=None, ge=1, le=1_000, description="Denoising steps, for servers that take them."
    )
    seed: int | None = Field(
        default=None, ge=0, le=2**63 - 1, description="Seed of the model, for servers that take it."
    )
    guidance_scale: float | None = Field(
        default=None, ge=0, le=100, description="Weight of the prompt, for servers that take it."
    )


class Scenario(Strict):
    """One scenario file."""

    name: Name = Field(description="The file name without .yaml; a label of metrics and spans.")
    dimension: Dimension = Field(description="Report of the scenario; reliability and resources run after performance.")
    title: str = Field(min_length=1, max_length=100, description="Title in tables.")
    why: str = Field(min_length=1, max_length=500, description="Question that the scenario answers; in the report.")
    default_for: Literal["every_target", "other_servers"] = Field(
        default="every_target",
        description="Targets at which the scenario runs when none is named: all, or all but the bundled service.",
    )
    steps: tuple[Step, ...] = Field(
        strict=False,
        description="Requests of one job, in order. Response time ends with `content`, without it with `wait`. "
        "`assets` downloads and compares every file of the manifest; `cancel` deletes the job during its work.",
    )
    encoding: Literal["multipart", "json", "alternate"] = Field(
        description="multipart uploads the document, json sends only the prompt, alternate changes per job."
    )
    video: VideoSpec = Field(description="The video that every job requests.")
    time_limit: float = Field(gt=0, le=86_400, description="Seconds from sending a job to its outcome `timeout`.")
    poll_interval: float = Field(ge=0.01, le=600, description="Seconds between polls of a target without `/wait`.")
    refused: Literal["retry", "record"] = Field(
        default="retry",
        description="What follows a create request that is answered with 429 or 503 and `Retry-After`: retry waits and "
        "sends it again within the time limit, record ends the job as rejected, for scenarios that measure overload. "
        "Without `Retry-After`, and on the service of this project, the job is always rejected.",
    )
    cancel_after: CancelAfter | None = Field(
        default=None, description="Required by the step `cancel`, and only allowed with it."
    )
    cooldown: float = Field(
        default=0.0,
        alias="rest",
        ge=0,
        le=600,
        description="Seconds without load before the measured part of each case and after the last case.",
    )
    cases: tuple[Case, ...] = Field(strict=False, description="Levels of load, run in order.")
    search: Search | None = Field(
        default=None,
        description="Search for the highest sustained arrival rate; `cases` then has one open case, without a rate.",
    )
    rank: int = Field(
        default=5, ge=1, le=9, description="Importance under a time budget: scenarios of rank 1 are planned first."
    )
    objectives: dict[str, float] = Field(description="Overrides of objectives in the catalogue: SLI id to value.")

    def of(self, profile: Profile) -> Scenario:
        """Return the scenario with the cases of a profile."""
        return self.model_copy(update={"cases": tuple(case for case in self.cases if profile in case.profiles)})

    @property
    def every_step(self) -> frozenset[Step]:
        """The steps of all cases."""
        return frozenset(self.steps).union(*(case.steps or () for case in self.cases))

"""Scenarios as frozen data: load, cases, steps of a job, faults. Field descriptions are those of the documentation."""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, TypeVar, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

Profile = Literal["quick", "standard", "paper"]
PROFILES: tuple[Profile, ...] = get_args(Profile)

Dimension = Literal["performance", "reliability", "resources"]
DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)

Step = Literal["create", "retrieve", "list", "wait", "manifest", "content", "assets", "delete", "cancel"]
STEPS: tuple[Step, ...] = get_args(Step)

Arrivals = Literal["constant", "poisson"]

FaultTarget = Literal["llm", "tts", "image", "store"]
FaultKind = Literal["outage", "stall", "error", "corrupt", "latency"]

MOST_PER_SECOND = 1_000
N = TypeVar("N", bound=float)


class _Strict(BaseModel):
    """No unknown keys, no conversion between types, no change after loading."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class PerProfile(_Strict, Generic[N]):
    """A number for each profile."""

    quick: N
    standard: N
    paper: N

    def of(self, profile: Profile) -> N:
        """Return the number for one profile."""
        return {"quick": self.quick, "standard": self.standard, "paper": self.paper}[profile]


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
Rate = Annotated[PerProfile[Annotated[float, Field(gt=0, le=MOST_PER_SECOND)]], BeforeValidator(_one_for_all)]


class Burst(_Strict):
    """Part of an open case in which jobs arrive at another rate."""

    rate: Annotated[Rate, Field(description="Arrivals per second; one number, or one by profile.")]
    at: Annotated[Seconds, Field(description="Start of the burst, in seconds after the start of the measured part.")]
    seconds: Annotated[Seconds, Field(description="Length of the burst in seconds.")]


class Toggles(_Strict):
    """Switches of the service that a case changes; switches that are not given stay unchanged."""

    retries: Annotated[bool, Field(description="Transient failures of a provider are retried.")] = True
    breaker: Annotated[bool, Field(description="Each provider has a circuit breaker.")] = True
    cache: Annotated[bool, Field(description="Answers of the providers are cached.")] = True
    pooling: Annotated[bool, Field(description="Connections to the providers are reused.")] = True
    scene_concurrency: Annotated[bool, Field(description="All scenes of a job are made concurrently.")] = True

    def given(self) -> dict[str, bool]:
        """Return the toggles that the file names."""
        return self.model_dump(exclude_unset=True)


class FaultSpec(_Strict):
    """Target and kind of a fault."""

    target: Annotated[FaultTarget, Field(description="One of the providers, or the job store of the service.")]
    kind: Annotated[
        FaultKind, Field(description="Calls are refused, delayed, answered with an error, corrupted, or slowed down.")
    ]
    rate: Annotated[float, Field(gt=0, le=1, description="Share of calls hit, on an exact seeded schedule.")] = 1.0
    status: Annotated[int | None, Field(ge=400, le=599, description="HTTP status of an error.")] = None
    seconds: Annotated[
        float | None, Field(gt=0, le=600, description="Longest duration of a stall, or the latency that is added.")
    ] = None


class Fault(_Strict):
    """One entry of the fault plan of a case; seconds count from the start of the measured part."""

    at: Annotated[float, Field(ge=0, le=3_600, description="Start of the first strike.")]
    until: Annotated[
        float | None, Field(gt=0, le=3_600, description="End of the first strike; without it, the end of the case.")
    ] = None
    every: Annotated[
        float | None,
        Field(gt=0, le=3_600, description="Seconds between the starts of two strikes of a repeated fault."),
    ] = None
    times: Annotated[Times, Field(description="Number of strikes, by profile.")] = Times(quick=1, standard=1, paper=1)
    what: Annotated[FaultSpec, Field(description="Target and kind of the fault.")]


class Case(_Strict):
    """One level of load.

    Closed: `concurrency` virtual users, each sending its next job when its last one has ended. Open: jobs arrive at a
    rate, independent of the jobs before. Idle: no jobs for some seconds.
    """

    name: Annotated[Name, Field(description="Name of the case in reports; a label of metrics and spans.")]
    model: Annotated[Literal["closed", "open", "idle"], Field(description="How jobs are sent.")]
    concurrency: Annotated[
        int, Field(ge=1, le=1_000, description="Virtual users, which is the number of jobs in flight (closed).")
    ] = 0
    iterations: Annotated[Iterations, Field(description="Measured jobs, by profile (closed).")] = (
        Iterations.model_construct(quick=0, standard=0, paper=0)
    )
    warmup: Annotated[
        Warmup,
        Field(
            description="Jobs sent before the measured ones, by profile; recorded, but left out of the statistics "
            "(closed)."
        ),
    ] = Warmup(quick=0, standard=0, paper=0)
    seconds: Annotated[
        Seconds | None, Field(description="Length of the measured part in seconds, by profile (open and idle).")
    ] = None
    rate: Annotated[Rate | None, Field(description="Arrivals per second; one number, or one by profile (open).")] = None
    arrivals: Annotated[
        Arrivals | None,
        Field(
            description="constant: evenly spaced; poisson: independent users, with exponential gaps from the seed "
            "(open)."
        ),
    ] = None
    warmup_seconds: Annotated[
        WarmupSeconds,
        Field(
            description="Seconds of arrivals before the measured ones, by profile; recorded, but left out of the "
            "statistics. The measured part follows without a pause (open)."
        ),
    ] = WarmupSeconds(quick=0, standard=0, paper=0)
    burst: Annotated[Burst | None, Field(description="Part of the case with another rate (open).")] = None
    graceful_stop: Annotated[
        float,
        Field(
            alias="drain",
            gt=0,
            le=3_600,
            description="Seconds after the last arrival at which unfinished jobs are cut off (open).",
        ),
    ] = 10.0
    max_in_flight: Annotated[
        int,
        Field(
            ge=1,
            le=1_000,
            description="Limit that protects the generator: jobs above it wait, and their response time counts from "
            "their intended start (open).",
        ),
    ] = 500
    toggles: Annotated[
        Toggles, Field(alias="switches", description="Switches of the service that the case changes.")
    ] = Toggles()
    prompts: Annotated[
        Literal["unique", "repeated", "half_new"],
        Field(
            description="repeated: the measured jobs have the prompts of the case before, in the same order; half_new: "
            "every second job has."
        ),
    ] = "unique"
    pace: Annotated[
        float | None,
        Field(
            gt=0,
            le=600,
            description="Minimum seconds between the intended starts of two jobs of a virtual user; without it, a job "
            "starts when the last one has ended.",
        ),
    ] = None
    faults: Annotated[tuple[Fault, ...], Field(strict=False, description="Fault plan of the case.")] = ()


class CancelAfter(_Strict):
    """Time of the step `cancel`: a seeded moment between two bounds, in seconds after the job was accepted."""

    earliest: Annotated[float, Field(ge=0, le=3_600, description="Lower bound.")]
    latest: Annotated[float, Field(ge=0, le=3_600, description="Upper bound, not below the lower one.")]


class VideoSpec(_Strict):
    """The video that every job requests."""

    seconds: Annotated[Literal["4", "8", "12"], Field(description="Length, as text: a string in the API.")]
    size: Annotated[str, Field(pattern=r"^[1-9][0-9]{1,3}x[1-9][0-9]{1,3}$", description="Width and height in pixels.")]


class Scenario(_Strict):
    """One scenario file."""

    name: Annotated[Name, Field(description="The file name without .yaml; a label of metrics and spans.")]
    dimension: Annotated[
        Dimension,
        Field(description="Report that shows the scenario; reliability and resources run after performance."),
    ]
    title: Annotated[str, Field(min_length=1, max_length=100, description="Title in tables.")]
    why: Annotated[
        str, Field(min_length=1, max_length=500, description="Question that the scenario answers; shown in the report.")
    ]
    steps: Annotated[
        tuple[Step, ...],
        Field(
            strict=False,
            description="Requests of one job, in order. Response time ends with `content`, without it with `wait`. "
            "`assets` downloads and compares every file of the manifest; `cancel` deletes the job during its work.",
        ),
    ]
    encoding: Annotated[
        Literal["multipart", "json", "alternate"],
        Field(description="multipart uploads the document, json sends only the prompt, alternate changes per job."),
    ]
    video: Annotated[VideoSpec, Field(description="The video that every job requests.")]
    time_limit: Annotated[
        float,
        Field(gt=0, le=3_600, description="Seconds from sending a job until it ends with outcome `timeout`."),
    ]
    poll_interval: Annotated[
        float, Field(ge=0.01, le=60, description="Seconds between polls of a target without the long poll `/wait`.")
    ]
    cancel_after: Annotated[
        CancelAfter | None, Field(description="Required by the step `cancel`, and only allowed with it.")
    ] = None
    cooldown: Annotated[
        float,
        Field(
            alias="rest",
            ge=0,
            le=600,
            description="Seconds without load before the measured part of each case and after the last case.",
        ),
    ] = 0.0
    cases: Annotated[tuple[Case, ...], Field(strict=False, description="Levels of load, run in order.")]
    objectives: Annotated[
        dict[str, float], Field(description="Overrides of objectives in the catalogue: SLI id to value.")
    ]

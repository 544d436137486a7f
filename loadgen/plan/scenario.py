"""Scenarios as frozen data: which load, in which cases, with which steps per job."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator
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

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,47}$")]
"""Short enough for a baggage value and a label."""


class _Strict(BaseModel):
    """No unknown keys, no conversion between types, no change after loading."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class PerProfile(_Strict):
    """A number for each profile."""

    quick: int
    standard: int
    paper: int

    def of(self, profile: Profile) -> int:
        """Give the number for one profile."""
        return {"quick": self.quick, "standard": self.standard, "paper": self.paper}[profile]


class Iterations(PerProfile):
    """Measured jobs of a case, by profile."""

    quick: Annotated[int, Field(ge=1, le=100_000)]
    standard: Annotated[int, Field(ge=1, le=100_000)]
    paper: Annotated[int, Field(ge=1, le=100_000)]


class Warmup(PerProfile):
    """Jobs sent before the measured ones, by profile; recorded, but left out of the statistics."""

    quick: Annotated[int, Field(ge=0, le=10_000)]
    standard: Annotated[int, Field(ge=0, le=10_000)]
    paper: Annotated[int, Field(ge=0, le=10_000)]


class Times(PerProfile):
    """How often a fault strikes, by profile."""

    quick: Annotated[int, Field(ge=1, le=100)]
    standard: Annotated[int, Field(ge=1, le=100)]
    paper: Annotated[int, Field(ge=1, le=100)]


class Seconds(PerProfile):
    """Length in seconds, by profile."""

    quick: Annotated[int, Field(ge=1, le=3_600)]
    standard: Annotated[int, Field(ge=1, le=3_600)]
    paper: Annotated[int, Field(ge=1, le=3_600)]


class WarmupSeconds(PerProfile):
    """Seconds of arrivals before the measured ones, by profile; recorded, but left out of the statistics."""

    quick: Annotated[int, Field(ge=0, le=600)]
    standard: Annotated[int, Field(ge=0, le=600)]
    paper: Annotated[int, Field(ge=0, le=600)]


class Rate(_Strict):
    """Arrivals per second by profile; in the file also one number for all profiles."""

    quick: Annotated[float, Field(gt=0, le=1_000)]
    standard: Annotated[float, Field(gt=0, le=1_000)]
    paper: Annotated[float, Field(gt=0, le=1_000)]

    @model_validator(mode="before")
    @classmethod
    def _one_for_all(cls, value: Any) -> Any:
        if isinstance(value, dict | Rate):
            return value
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise PydanticCustomError("rate", "write a number of jobs per second, or one for each profile")
        if not 0 < value <= 1_000:  # noqa: PLR2004 - the bounds of the fields, as one line instead of three
            raise PydanticCustomError("rate", "write a number above 0 and up to 1,000 jobs per second")
        return dict.fromkeys(PROFILES, value)

    def of(self, profile: Profile) -> float:
        """Give the rate for one profile."""
        return {"quick": self.quick, "standard": self.standard, "paper": self.paper}[profile]


class Burst(_Strict):
    """Part of an open case in which jobs arrive at another rate."""

    rate: Rate
    at: Seconds
    """From the beginning of the measured part."""
    seconds: Seconds


class Switches(_Strict):
    """Switches of the service that a case changes; those that are not given stay as they are."""

    retries: bool = True
    """Transient failures of a provider are tried again."""
    breaker: bool = True
    """Each provider has a circuit breaker."""
    cache: bool = True
    """Answers of the providers are kept and given again."""
    pooling: bool = True
    """Connections to the providers are kept and used again."""
    scene_concurrency: bool = True
    """All scenes of a job are made at once."""

    def given(self) -> dict[str, bool]:
        """Those of the file, by name."""
        return self.model_dump(exclude_unset=True)


class FaultSpec(_Strict):
    """What fails, and how."""

    target: FaultTarget
    """One of the providers, or the service's job store."""
    kind: FaultKind
    """Refused, held back, answered with an error, damaged, or late."""
    rate: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the calls that is hit, on an exact seeded schedule."""
    status: Annotated[int, Field(ge=400, le=599)] | None = None
    """HTTP status of an error."""
    seconds: Annotated[float, Field(gt=0, le=600)] | None = None
    """Length of a stall at most, or what a latency adds."""


class Fault(_Strict):
    """One entry of a case's fault timeline; seconds count from the start of the measured part."""

    at: Annotated[float, Field(ge=0, le=3_600)]
    """Begin of the first strike."""
    until: Annotated[float, Field(gt=0, le=3_600)] | None = None
    """None: to the end of the case."""
    every: Annotated[float, Field(gt=0, le=3_600)] | None = None
    """Seconds from one start to the next, when it strikes more than once."""
    times: Times = Times(quick=1, standard=1, paper=1)
    what: FaultSpec


class Case(_Strict):
    """One level of load.

    Closed: `concurrency` slots, each sending its next job when the last one ended. Open: jobs arrive at a rate,
    whatever became of those before. Idle: nothing for so many seconds.
    """

    name: Name
    model: Literal["closed", "open", "idle"]
    concurrency: Annotated[int, Field(ge=1, le=1_000)] = 0
    """Slots, which is the number of jobs in flight."""
    iterations: Iterations = Iterations.model_construct(quick=0, standard=0, paper=0)
    warmup: Warmup = Warmup(quick=0, standard=0, paper=0)
    """These three belong to the model closed, which needs them."""
    seconds: Seconds | None = None
    """Belongs to the models open and idle, which need it."""
    rate: Rate | None = None
    arrivals: Arrivals | None = None
    """constant: evenly spaced; poisson: independent users, by exponential gaps from the seed."""
    warmup_seconds: WarmupSeconds = WarmupSeconds(quick=0, standard=0, paper=0)
    """These three belong to the model open, which needs them; the measured part follows the warm-up without a pause."""
    burst: Burst | None = None
    drain: Annotated[float, Field(gt=0, le=3_600)] = 10.0
    """Seconds after the end of the arrivals at which jobs that are not finished are cut off."""
    max_in_flight: Annotated[int, Field(ge=1, le=1_000)] = 500
    """Protects the generator: jobs beyond it wait, and their response time counts from when they were due."""
    switches: Switches = Switches()
    prompts: Literal["unique", "repeated", "half_new"] = "unique"
    """repeated: the measured jobs have the prompts of the case before, in its order; half_new: every second one has."""
    pace: Annotated[float, Field(gt=0, le=600)] | None = None
    """Least seconds between the due times of two jobs of a slot; None: the next one is due when the last has ended."""
    faults: Annotated[tuple[Fault, ...], Field(strict=False)] = ()


class CancelAfter(_Strict):
    """When the step ``cancel`` strikes: a seeded moment between two bounds, in seconds after the acceptance."""

    earliest: Annotated[float, Field(ge=0, le=3_600)]
    """Lower bound."""
    latest: Annotated[float, Field(ge=0, le=3_600)]
    """Upper bound, not before the lower one."""


class VideoSpec(_Strict):
    """The video every job asks for."""

    seconds: Literal["4", "8", "12"]
    """Length, as text: the API wants it so."""
    size: Annotated[str, Field(pattern=r"^[1-9][0-9]{1,3}x[1-9][0-9]{1,3}$")]
    """Width and height in pixels."""


class Scenario(_Strict):
    """One scenario file."""

    name: Name
    """As the file is called, without .yaml; a label of metrics and spans."""
    dimension: Dimension
    """The report that shows it; reliability and resources run after performance."""
    title: Annotated[str, Field(min_length=1, max_length=100)]
    """As it stands in tables."""
    why: Annotated[str, Field(min_length=1, max_length=500)]
    """The question that it answers; it stands in the report."""
    steps: Annotated[tuple[Step, ...], Field(strict=False)]
    """Requests of one job, in this order; response time ends with ``content``, without it with ``wait``.

    ``assets`` downloads and compares every file of the manifest; ``cancel`` deletes the job in the middle of its work.
    """
    encoding: Literal["multipart", "json", "alternate"]
    """Multipart uploads the document, json sends the prompt alone, alternate does both by turns."""
    video: VideoSpec
    time_limit: Annotated[float, Field(gt=0, le=3_600)]
    """Seconds from sending a job until it ends with outcome ``timeout``."""
    poll_interval: Annotated[float, Field(ge=0.01, le=60)]
    """Seconds between polls of a target without the long poll ``/wait``."""
    cancel_after: CancelAfter | None = None
    """Needed by the step ``cancel``, and only by it."""
    rest: Annotated[float, Field(ge=0, le=600)] = 0.0
    """Seconds before the measured part of each case and after the last, in which nothing is sent."""
    cases: Annotated[tuple[Case, ...], Field(strict=False)]
    objectives: dict[str, float]
    """Overrides of the catalogue's objectives: SLI id to value."""

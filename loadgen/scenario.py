"""Scenarios as frozen data: which load, in which cases, with which steps per job."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

Profile = Literal["quick", "standard"]
PROFILES: tuple[Profile, ...] = get_args(Profile)

Step = Literal["create", "retrieve", "list", "wait", "manifest", "content", "delete"]
STEPS: tuple[Step, ...] = get_args(Step)

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,47}$")]
"""Short enough for a baggage value and a label."""


class _Strict(BaseModel):
    """No unknown keys, no conversion between types, no change after loading."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Iterations(_Strict):
    """Measured jobs of a case, by profile."""

    quick: Annotated[int, Field(ge=1, le=100_000)]
    standard: Annotated[int, Field(ge=1, le=100_000)]

    def of(self, profile: Profile) -> int:
        """Give the number for one profile."""
        return self.quick if profile == "quick" else self.standard


class Warmup(_Strict):
    """Jobs sent before the measured ones, by profile; recorded, but left out of the statistics."""

    quick: Annotated[int, Field(ge=0, le=10_000)]
    standard: Annotated[int, Field(ge=0, le=10_000)]

    def of(self, profile: Profile) -> int:
        """Give the number for one profile."""
        return self.quick if profile == "quick" else self.standard


class Case(_Strict):
    """One level of load: `concurrency` slots, each sending its next job when the last one ended."""

    name: Name
    model: Literal["closed"]
    concurrency: Annotated[int, Field(ge=1, le=1_000)]
    iterations: Iterations
    warmup: Warmup


class VideoSpec(_Strict):
    """The video every job asks for."""

    seconds: Literal["4", "8", "12"]
    size: Annotated[str, Field(pattern=r"^[1-9][0-9]{1,3}x[1-9][0-9]{1,3}$")]


class Scenario(_Strict):
    """One scenario file."""

    name: Name
    dimension: Literal["performance", "reliability", "resources"]
    title: Annotated[str, Field(min_length=1, max_length=100)]
    why: Annotated[str, Field(min_length=1, max_length=500)]
    steps: Annotated[tuple[Step, ...], Field(strict=False)]
    """Requests of one job, in this order; response time ends with ``content``, without it with ``wait``."""
    encoding: Literal["multipart", "json", "alternate"]
    """Multipart uploads the document, json sends the prompt alone, alternate does both by turns."""
    video: VideoSpec
    time_limit: Annotated[float, Field(gt=0, le=3_600)]
    """Seconds from sending a job until it ends with outcome ``timeout``."""
    poll_interval: Annotated[float, Field(ge=0.01, le=60)]
    """Seconds between polls of a target without the long poll ``/wait``."""
    cases: Annotated[tuple[Case, ...], Field(strict=False)]
    objectives: dict[str, float]
    """Overrides of the catalogue's objectives: SLI id to value."""

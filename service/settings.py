"""Settings of the service from environment variables ``SERVICE_*``, and the toggles among them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SecretStr, TypeAdapter, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from reelbench.service.data_folder import default_folder
from reelbench.service.domain.errors import RequestError
from reelbench.service.faults.guard import read_token
from reelbench.service.json_keys import repeated_key
from reelbench.telemetry.instance import INSTANCE
from reelbench.telemetry.running import Running, environment, flat, versions

MAX_CHANGE = 4096
"""Bytes of a change of toggles."""
_SHOWN = 40


@dataclass(slots=True)
class Toggles:
    """The optimizations and protections, each of which a baseline run can turn off; the admin API calls them switches.

    A call reads its toggle once at its begin, so a change does not affect calls in progress.
    """

    retries: bool = True
    breaker: bool = True
    cache: bool = True
    pooling: bool = True
    scene_concurrency: bool = True

    def change(self, values: Mapping[str, bool]) -> None:
        """Set some toggles by name, after `read_toggles` has checked the names."""
        for name, value in values.items():
            setattr(self, name, value)

    def values(self) -> dict[str, bool]:
        """Return all toggles by name."""
        return asdict(self)


NAMES = tuple(field.name for field in fields(Toggles))
_name: Any = Literal[NAMES]
_CHANGE: TypeAdapter[dict[str, bool]] = TypeAdapter(dict[_name, bool])


def read_toggles(body: bytes) -> dict[str, bool]:
    """Read a change from JSON such as ``{"pooling": false}``.

    Raises:
        RequestError: the body is not JSON or not a change; the message lists all errors.
    """
    if len(body) > MAX_CHANGE:
        raise RequestError("invalid_value", f"A change of switches has at most {MAX_CHANGE} bytes.")
    try:
        change = _CHANGE.validate_json(body, strict=True)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        first = problems[0]
        if first["type"] == "json_invalid":
            raise RequestError("invalid_json", f"The body is not valid JSON: {first['ctx']['error']}.") from error
        if first["type"] == "dict_type":
            raise RequestError("invalid_value", 'The body must be an object like {"pooling": false}.') from error
        count = f"{len(problems)} error{'s' if len(problems) > 1 else ''}"
        text = "; ".join(f"{str(problem['loc'][0])[:_SHOWN]}: {problem['msg']}" for problem in problems)
        param = str(first["loc"][0])[:_SHOWN]
        raise RequestError("invalid_switches", f"The switches have {count}: {text}.", param=param) from error
    if (name := repeated_key(body)) is not None:
        message = f"The switches have 1 error: {name[:_SHOWN]}: The name occurs twice."
        raise RequestError("invalid_switches", message, param=name[:_SHOWN])
    return change


def _listed(value: object) -> object:
    return tuple(name.strip() for name in value.split(",") if name.strip()) if isinstance(value, str) else value


ModelName = Annotated[str, Field(min_length=1, max_length=100)]
BaseUrl = Annotated[str, Field(pattern=r"^https?://[^\s/?#]+(/[^\s?#]*)?$")]
Seconds = Annotated[float, Field(gt=0, le=3600)]

MIB = 1024 * 1024


class Settings(BaseSettings):
    """Settings of the service. Times are seconds, sizes bytes."""

    model_config = SettingsConfigDict(env_prefix="SERVICE_", frozen=True)

    redis_url: Annotated[str, Field(pattern=r"^((redis|rediss|unix)://.+)?$")] = ""
    """URL of the job store; empty: a store inside this process that ends with it."""
    redis_timeout: Seconds = 2.0
    store_backlog: Annotated[int, Field(ge=0, le=100_000)] = 1000
    """Limit of jobs kept on disk while the store is away: above it new jobs are refused, accepted ones are still kept.
    0: no job is accepted without the store."""
    lease_seconds: Annotated[float, Field(ge=0.1, le=3600)] = 10.0
    """An instance without a heartbeat for this time is regarded as dead; only with a shared store."""
    data_dir: Path = Field(default_factory=default_folder)
    """Folder of the jobs' files; it must belong to the user of the process."""

    keep_seconds: Annotated[float, Field(ge=1)] = 86_400.0
    """Time for which an ended job is kept."""
    keep_jobs: Annotated[int, Field(ge=1)] = 10_000
    """Ended jobs that are kept; the oldest are removed first."""
    keep_bytes: Annotated[int, Field(ge=1)] = 4096 * MIB
    """Bytes of the files of ended jobs that are kept; the oldest are removed first."""

    llm_url: BaseUrl = "http://127.0.0.1:9000"
    llm_model: str = "gpt-4o-mini"
    tts_url: BaseUrl = "http://127.0.0.1:9000"
    tts_model: str = "gpt-4o-mini-tts"
    tts_voice: str = "alloy"
    image_url: BaseUrl = "http://127.0.0.1:9000"
    image_model: str = "gpt-image-1"
    provider_api_key: SecretStr = SecretStr("")
    """Bearer token for the providers; the mock providers do not need it."""
    provider_timeout: Seconds = 30.0
    """One attempt of a provider call, from waiting for a connection to the last byte."""
    provider_connections: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Connections per provider; further calls wait for a free one."""

    retries: bool = True
    """Whether transient failures of providers are retried; off only for a baseline."""
    retry_attempts: Annotated[int, Field(ge=1, le=10)] = 4
    """Attempts of one call, including the first."""
    retry_wait_initial: Seconds = 0.05
    """Upper limit of the random wait before the second attempt; it doubles with each further attempt."""
    retry_wait_max: Seconds = 1.0
    """Upper limit of all waits, also of ``Retry-After``."""
    breaker: bool = True
    """Whether each provider has a circuit breaker; off only for a baseline."""
    breaker_failures: Annotated[int, Field(ge=1, le=10_000)] = 10
    """Transient failures in a row that open it. Random failures of 30 % of the calls are a case for retries: with these
    defaults they open the breaker in 1 of 1,000 runs of 143 calls; with 5 failures in a row, or half of the last 20
    calls, in 2 of 3 runs."""
    breaker_window: Annotated[int, Field(ge=1, le=10_000)] = 20
    """Number of latest calls for the failure rate, which is not evaluated before that many calls."""
    breaker_failure_rate: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Share of failures in the window that opens it."""
    breaker_open_time: Seconds = 2.0
    """Time from the opening to the first probe."""

    cache: bool = True
    """Whether answers of the providers are cached; off only for a baseline."""
    cache_entries: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    """Maximum number of answers in each of the three caches (script, audio, visual)."""
    cache_bytes: Annotated[int, Field(ge=1)] = 32 * MIB
    """Maximum bytes of the answers in each cache."""
    pooling: bool = True
    """Whether connections to the providers are reused; off (one connection per attempt) only for a baseline."""

    control_token: SecretStr = SecretStr("")
    """What callers of ``/v1/admin`` and ``/faults`` must send in the header ``X-Reelbench-Token``; with it they may be
    anywhere. Empty: no token, and the callers must be on this host."""
    control_token_file: Path | None = None
    """File with the token, in place of `control_token`."""
    admin: bool = False
    """Whether ``/v1/admin`` exists; without a token it answers only callers on this host."""
    admin_remote: bool = False
    """Whether it also answers callers on other machines."""
    faults: bool = False
    """Whether ``/faults`` exists, which makes the store fail."""
    faults_remote: bool = False
    """Whether it also answers callers on other machines."""

    workers: Annotated[int, Field(ge=1, le=1000)] = 16
    """Jobs that run concurrently."""
    queue_size: Annotated[int, Field(ge=0, le=100_000)] = 200
    """Jobs that may wait for a worker; the next one is refused with 429."""
    scenes: Annotated[int, Field(ge=1, le=20)] = 5
    scene_concurrency: bool = True
    """Whether the scenes of a job are made concurrently; off (one after another) only for a baseline."""
    job_timeout: Seconds = 300.0
    """One job, from its start in a worker to its end."""

    max_upload_bytes: Annotated[int, Field(ge=1)] = 20 * MIB
    max_pending_bytes: Annotated[int, Field(ge=1)] = 128 * MIB
    """Bytes of all bodies that are being received or checked at one time; above it, they are refused with 503. At
    least one upload is always taken."""
    max_pages: Annotated[int, Field(ge=1)] = 100
    """Pages of a document that are read; further pages are ignored."""
    max_characters: Annotated[int, Field(ge=1)] = 24_000
    """Characters of a document that go into the script's prompt (about 6,000 tokens)."""
    media_processes: Annotated[int, Field(ge=1, le=64)] = 2
    """Processes that read documents and encode videos."""
    media_memory: Annotated[int, Field(ge=64 * MIB)] = 512 * MIB
    """Memory that each of them may allocate after its start (on Linux)."""
    inspect_timeout: Seconds = 5.0
    """Check of an upload. This and the next two time limits start with the work of a process, and kill it."""
    parse_timeout: Seconds = 10.0
    """Reading a document."""
    compose_timeout: Seconds = 30.0
    """Encoding a video."""

    api_key: SecretStr = SecretStr("")
    """Bearer token that every request needs, except ``/health`` and ``/ready``; empty: none is needed."""
    models: Annotated[tuple[ModelName, ...], NoDecode, BeforeValidator(_listed)] = ()
    """Names of the offered models, with commas; requests for others are refused, and the first is the default. Empty:
    any name is accepted, and sora-2 is the default."""

    full_size: bool = False
    """Whether the sizes of the Videos API are those of the file; else the longest side of the file is 320 pixels."""
    seconds_per_step: Annotated[float, Field(ge=0, le=3600)] = 0.0
    """Time of one inference step, as on an accelerator; it passes before the encoding. 0: none."""
    inference_steps: Annotated[int, Field(ge=1, le=1000)] = 20
    """Steps of a request without `num_inference_steps`."""
    peak_memory_mb: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Peak memory in MiB that completed videos report; 0: none."""

    leak_bytes_per_job: Annotated[int, Field(ge=0, le=64 * MIB)] = 0
    """Memory that each job leaks: only to prove that a leak is detected."""

    def token(self) -> str:
        """Return the control token; ValueError for a file that cannot be used."""
        return read_token(self.control_token, self.control_token_file)

    def toggles(self) -> Toggles:
        """Return the toggles at the start of the service."""
        return Toggles(**{name: getattr(self, name) for name in NAMES})

    def running(self, now: float) -> Running:
        """Return what this process runs with, without secrets and without places on this machine.

        Args:
            now: Unix time.
        """
        values, defaults = (flat(one.model_dump(exclude=_PLACES), "SERVICE_") for one in (self, _defaults()))
        return Running(
            name="service",
            settings=values,
            changed=tuple(name for name, value in values.items() if value != defaults.get(name)),
            environment=environment(),
            versions=versions(PACKAGES),
            time=now,
            instance=INSTANCE,
        )


def _defaults() -> Settings:
    """Return the settings of a process whose environment sets none."""
    return Settings.model_construct()


_PLACES = {"data_dir", "control_token_file"}
PACKAGES = ("reelbench", "av", "fakeredis", "fastapi", "fluxgate", "orjson", "pydantic", "redis", "uvicorn", "uvloop")
"""Libraries on which the behaviour of the service depends."""

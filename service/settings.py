"""Settings of the service, read from environment variables with the prefix ``SERVICE_``."""

from __future__ import annotations

from pathlib import Path
from tempfile import gettempdir
from typing import Annotated

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from reelbench.service.toggles import Switches

BaseUrl = Annotated[str, Field(pattern=r"^https?://[^\s/?#]+(/[^\s?#]*)?$")]
Seconds = Annotated[float, Field(gt=0, le=3600)]

MIB = 1024 * 1024


class Settings(BaseSettings):
    """All that can be set. Times are seconds, sizes bytes."""

    model_config = SettingsConfigDict(env_prefix="SERVICE_", frozen=True)

    redis_url: Annotated[str, Field(pattern=r"^((redis|rediss|unix)://.+)?$")] = ""
    """Job store; empty: one that lives in this process and ends with it."""
    redis_timeout: Seconds = 2.0
    store_backlog: Annotated[int, Field(ge=0, le=100_000)] = 1000
    """Jobs kept on disk while the store is away, from which on further ones are refused; accepted ones are kept beyond
    it. 0: nothing is accepted without the store."""
    lease_seconds: Annotated[float, Field(ge=0.1, le=3600)] = 10.0
    """An instance that has not renewed its heartbeat for so long has lost its jobs; only with a shared store."""
    data_dir: Path = Path(gettempdir()) / "reelbench"

    llm_url: BaseUrl = "http://127.0.0.1:9000"
    llm_model: str = "gpt-4o-mini"
    tts_url: BaseUrl = "http://127.0.0.1:9000"
    tts_model: str = "gpt-4o-mini-tts"
    tts_voice: str = "alloy"
    image_url: BaseUrl = "http://127.0.0.1:9000"
    image_model: str = "gpt-image-1"
    provider_api_key: SecretStr = SecretStr("")
    """Bearer token for the providers; the mock providers need none."""
    provider_timeout: Seconds = 30.0
    """One attempt of a provider call, from waiting for a connection to the last byte."""
    provider_connections: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Connections kept per provider; further calls wait for one."""

    retries: bool = True
    """Whether a transient failure of a provider is tried again; off only for a baseline."""
    retry_attempts: Annotated[int, Field(ge=1, le=10)] = 4
    """Attempts of one call, the first included."""
    retry_wait_initial: Seconds = 0.05
    """Longest wait before the second attempt; it doubles with each further one, and the real wait is drawn below it."""
    retry_wait_max: Seconds = 1.0
    """No wait is longer, whatever ``Retry-After`` asks for."""
    breaker: bool = True
    """Whether each provider has a circuit breaker; off only for a baseline."""
    breaker_failures: Annotated[int, Field(ge=1, le=10_000)] = 10
    """Transient failures in a row that open it. A provider that fails 30 % of its calls at random is a case for
    retries: with these defaults it opens the breaker once in a thousand runs of 143 calls, with 5 failures in a row
    or half of the last 20 calls in two of three."""
    breaker_window: Annotated[int, Field(ge=1, le=10_000)] = 20
    """Latest calls whose share of failures is looked at, as soon as there are so many."""
    breaker_failure_rate: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Share of failures in the window that opens it."""
    breaker_open_time: Seconds = 2.0
    """From its opening to the first probe."""

    cache: bool = True
    """Whether the answers of the providers are kept and given again; off only for a baseline."""
    cache_entries: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    """Answers that each of the three caches (script, audio, visual) keeps at most."""
    cache_bytes: Annotated[int, Field(ge=1)] = 32 * MIB
    """Bytes of the answers that each of them keeps at most."""
    pooling: bool = True
    """Whether connections to the providers are kept and used again; off, one for each attempt, only for a baseline."""

    admin: bool = False
    """Whether ``/v1/admin`` exists; it answers callers on this host only."""
    admin_remote: bool = False
    """Whether it also answers callers on other machines."""
    faults: bool = False
    """Whether ``/faults`` exists, which makes the store fail."""
    faults_remote: bool = False
    """Whether it also answers callers on other machines."""

    workers: Annotated[int, Field(ge=1, le=1000)] = 16
    """Jobs that run at once."""
    queue_size: Annotated[int, Field(ge=0, le=100_000)] = 200
    """Jobs that may wait for a worker; the next one is refused with 429."""
    scenes: Annotated[int, Field(ge=1, le=20)] = 5
    scene_concurrency: bool = True
    """Whether all scenes of a job are made at once; off, one after another, only for a baseline."""
    job_timeout: Seconds = 300.0
    """One job, from its start in a worker to its end."""

    max_upload_bytes: Annotated[int, Field(ge=1)] = 20 * MIB
    max_pages: Annotated[int, Field(ge=1)] = 100
    """Pages of a document that are read; later ones are left out."""
    max_characters: Annotated[int, Field(ge=1)] = 24_000
    """Characters of a document that go into the script's prompt (about 6,000 tokens)."""
    media_processes: Annotated[int, Field(ge=1, le=64)] = 2
    """Processes that read documents and compose videos."""
    media_memory: Annotated[int, Field(ge=64 * MIB)] = 512 * MIB
    """Memory that each may take beyond what it has when it is ready (on Linux)."""
    inspect_timeout: Seconds = 5.0
    """Check of an upload; then its process is killed. These three count from when a process takes up the work."""
    parse_timeout: Seconds = 10.0
    """Reading a document."""
    compose_timeout: Seconds = 30.0
    """Composing a video."""

    leak_bytes_per_job: Annotated[int, Field(ge=0, le=64 * MIB)] = 0
    """Memory that each job leaves behind for ever: only to prove that a leak is found."""

    def switches(self) -> Switches:
        """What of the optimizations and protections is on at the start."""
        return Switches(
            retries=self.retries,
            breaker=self.breaker,
            cache=self.cache,
            pooling=self.pooling,
            scene_concurrency=self.scene_concurrency,
        )

"""Settings of the mock providers, from environment variables with the prefix ``PROVIDERS_``."""

from __future__ import annotations

from pydantic_settings import BaseSettings, SettingsConfigDict

from reelbench.service.providers.latency import Lognormal


class Settings(BaseSettings):
    """Seed, latencies and fault injection.

    Latencies are lognormal: ``median`` in seconds, ``sigma`` of the logarithm. Two underscores separate nested names,
    for example ``PROVIDERS_LLM__MEDIAN=0.2``.
    """

    model_config = SettingsConfigDict(env_prefix="PROVIDERS_", env_nested_delimiter="__", frozen=True)

    seed: int = 1
    faults: bool = False
    """Whether ``/faults`` and ``/faults/calls`` exist."""
    faults_remote: bool = False
    """Whether these endpoints also answer callers on other machines."""
    llm: Lognormal = Lognormal(median=0.12)
    tts: Lognormal = Lognormal(median=0.05)
    image: Lognormal = Lognormal(median=0.08)

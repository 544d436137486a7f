"""Retries of provider calls, around the circuit breaker of the provider."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from opentelemetry import trace

from reelbench.service.domain.clock import Clock
from reelbench.service.domain.correlation import Correlation
from reelbench.service.domain.errors import ProviderError
from reelbench.service.metrics import Metrics
from reelbench.service.provider_client.breaker import Breaker
from reelbench.service.settings import Settings, Toggles

_Value = TypeVar("_Value")


class Resilience:
    """Retries and breaker of one provider.

    An attempt that the breaker rejects counts as failed and backs off like the others. By default all waits of a call
    together are shorter than a breaker stays open, so a job fails early instead of waiting for a provider that is down.
    """

    def __init__(
        self,
        provider: str,
        settings: Settings,
        toggles: Toggles,
        metrics: Metrics,
        clock: Clock,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._provider = provider
        self._settings = settings
        self._toggles = toggles
        self._metrics = metrics
        self._clock = clock
        self._sleep = sleep
        # Created when it is first turned on: without a breaker there are no series of its state.
        self._breaker = self._made() if toggles.breaker else None

    @property
    def breaker(self) -> Breaker | None:
        """The breaker of the provider; None while it is turned off, which does not reset its state."""
        if not self._toggles.breaker:
            return None
        if self._breaker is None:
            self._breaker = self._made()
        return self._breaker

    async def call(self, attempt: Callable[[int], Awaitable[_Value]], correlation: Correlation) -> _Value:
        """Return the result of `attempt`, called with its number (from 1) until it succeeds.

        Raises the last ProviderError when the attempts are exhausted or an error is permanent.
        """
        breaker = self.breaker
        attempts = self._settings.retry_attempts if self._toggles.retries else 1
        number = 0
        while True:
            number += 1
            self._metrics.retry_attempt(self._provider, correlation)
            numbered = partial(attempt, number)
            try:
                value = await (numbered() if breaker is None else breaker.call(numbered, correlation))
            except ProviderError as error:
                if not error.transient or number >= attempts:
                    self._ended("failed", number, correlation)
                    raise
                wait = self._wait(error, number)
                self._note_retry(error, number, wait, correlation)
            else:
                self._ended("successful", number, correlation)
                return value
            await self._sleep(wait)

    def _made(self) -> Breaker:
        return Breaker(self._provider, self._settings, self._metrics, self._clock)

    def _ended(self, outcome: str, attempts: int, correlation: Correlation) -> None:
        kind = f"{outcome}_{'with' if attempts > 1 else 'without'}_retry"
        self._metrics.retry_call(self._provider, kind, correlation)

    def _wait(self, error: ProviderError, number: int) -> float:
        longest = self._settings.retry_wait_max
        if error.retry_after is not None:
            return min(error.retry_after, longest)
        # Full jitter, from zero to the exponential wait, so that callers that failed together do not retry together.
        return random.uniform(0, min(longest, self._settings.retry_wait_initial * 2 ** (number - 1)))

    def _note_retry(self, error: ProviderError, number: int, wait: float, correlation: Correlation) -> None:
        self._metrics.retry_backoff(self._provider, wait, correlation)
        trace.get_current_span().add_event(
            "resilience.retry",
            {"provider": self._provider, "attempt": number, "error.type": error.error_type, "backoff": wait},
        )

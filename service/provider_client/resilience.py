"""Retries of provider calls, around the circuit breaker of the provider."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

# tenacity, not stamina: the process-wide hooks of stamina would log each retry and add a second counter, and stamina
# hides the jittered waits that are measured here.
import tenacity
from opentelemetry import trace

from reelbench.service.domain.clock import Clock
from reelbench.service.domain.correlation import Correlation
from reelbench.service.domain.errors import ProviderError
from reelbench.service.metrics import Metrics
from reelbench.service.provider_client.breaker import Breaker
from reelbench.service.settings import Settings
from reelbench.service.toggles import Toggles

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
        self._longest = settings.retry_wait_max
        # Created when it is first turned on: without a breaker there are no series of its state.
        self._breaker = self._made() if toggles.breaker else None
        # Full jitter, from zero to the exponential wait, so that callers that failed together do not retry together.
        self._backoff = tenacity.wait_random_exponential(settings.retry_wait_initial, settings.retry_wait_max)

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
        number = 0

        async def once() -> _Value:
            nonlocal number
            number += 1
            self._metrics.retry_attempt(self._provider, correlation)
            numbered = partial(attempt, number)
            return await (numbered() if breaker is None else breaker.call(numbered, correlation))

        # One per call: a tenacity object holds the state of its loop.
        retrying = tenacity.AsyncRetrying(
            sleep=self._sleep,
            stop=tenacity.stop_after_attempt(self._settings.retry_attempts if self._toggles.retries else 1),
            wait=self._wait,
            retry=tenacity.retry_if_exception(_transient),
            before_sleep=partial(self._before_sleep, correlation),
            reraise=True,
        )
        try:
            value: _Value = await retrying(once)
        except ProviderError:
            self._ended("failed", number, correlation)
            raise
        self._ended("successful", number, correlation)
        return value

    def _made(self) -> Breaker:
        return Breaker(self._provider, self._settings, self._metrics, self._clock)

    def _ended(self, outcome: str, attempts: int, correlation: Correlation) -> None:
        kind = f"{outcome}_{'with' if attempts > 1 else 'without'}_retry"
        self._metrics.retry_call(self._provider, kind, correlation)

    def _wait(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, ProviderError) and error.retry_after is not None:
            return min(error.retry_after, self._longest)
        return self._backoff(state)

    def _before_sleep(self, correlation: Correlation, state: tenacity.RetryCallState) -> None:
        self._metrics.retry_backoff(self._provider, state.upcoming_sleep, correlation)
        error = state.outcome.exception() if state.outcome else None
        trace.get_current_span().add_event(
            "resilience.retry",
            {
                "provider": self._provider,
                "attempt": state.attempt_number,
                "error.type": error.error_type if isinstance(error, ProviderError) else "",
                "backoff": state.upcoming_sleep,
            },
        )


def _transient(error: BaseException) -> bool:
    return isinstance(error, ProviderError) and error.transient

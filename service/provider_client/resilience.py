"""Retries of provider calls, around the provider's circuit breaker."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

# tenacity rather than stamina: stamina reports through process-wide hooks, which would add a log line for each retry
# and a second counter to the scraped registry, and it hides the jittered waits that are measured here.
import tenacity
from opentelemetry import trace

from reelbench.service.clock import Clock
from reelbench.service.jobs.correlation import Correlation
from reelbench.service.jobs.job import ProviderError
from reelbench.service.metrics import Metrics
from reelbench.service.provider_client.breaker import Breaker
from reelbench.service.settings import Settings
from reelbench.service.toggles import Switches

_Value = TypeVar("_Value")


class Resilience:
    """How the calls of one provider are protected.

    An attempt the breaker rejects counts as a failed one and backs off like the others. The waits together are
    shorter than a breaker stays open by default, so a job ends early instead of waiting for a provider that is down.
    """

    def __init__(self, provider: str, settings: Settings, switches: Switches, metrics: Metrics, clock: Clock) -> None:
        self._provider = provider
        self._settings = settings
        self._switches = switches
        self._metrics = metrics
        self._clock = clock
        self._longest = settings.retry_wait_max
        # Made when it is first switched on, so that without it there are no series of its state.
        self._breaker = self._made() if switches.breaker else None
        # Full jitter: anything between zero and the exponential wait, so that callers who failed together part.
        self._backoff = tenacity.wait_random_exponential(settings.retry_wait_initial, settings.retry_wait_max)

    @property
    def breaker(self) -> Breaker | None:
        """The provider's breaker, which keeps its state while it is switched off; None then."""
        if not self._switches.breaker:
            return None
        if self._breaker is None:
            self._breaker = self._made()
        return self._breaker

    async def call(self, attempt: Callable[[int], Awaitable[_Value]], correlation: Correlation) -> _Value:
        """Await `attempt` with its number (from 1) until it succeeds; raises the last ProviderError otherwise."""
        breaker = self.breaker
        attempts = self._settings.retry_attempts if self._switches.retries else 1
        number = 1
        failed: ProviderError | None = None
        try:
            value = await self._attempt(attempt, number, breaker, correlation)
        except ProviderError as error:
            failed = error
        if failed is None:
            self._ended("successful", number, correlation)
            return value

        async def once() -> _Value:
            # Nearly all calls succeed at once and are spared tenacity's loop; it begins with the failure of the others.
            nonlocal failed, number
            if failed is not None:
                first, failed = failed, None
                raise first
            number += 1
            return await self._attempt(attempt, number, breaker, correlation)

        # One for each call: a tenacity object holds the state of the loop it runs.
        retrying = tenacity.AsyncRetrying(
            sleep=asyncio.sleep,
            stop=tenacity.stop_after_attempt(attempts),
            wait=self._wait,
            retry=tenacity.retry_if_exception(_transient),
            before_sleep=partial(self._before_sleep, correlation),
            reraise=True,
        )
        try:
            value = await retrying(once)
        except ProviderError:
            self._ended("failed", number, correlation)
            raise
        self._ended("successful", number, correlation)
        return value

    def _made(self) -> Breaker:
        return Breaker(self._provider, self._settings, self._metrics, self._clock)

    async def _attempt(
        self,
        attempt: Callable[[int], Awaitable[_Value]],
        number: int,
        breaker: Breaker | None,
        correlation: Correlation,
    ) -> _Value:
        self._metrics.retry_attempt(self._provider, correlation)
        numbered = partial(attempt, number)
        return await (numbered() if breaker is None else breaker.call(numbered, correlation))

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

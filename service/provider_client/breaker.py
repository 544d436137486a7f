"""Circuit breaker of a provider: rejects calls while the provider fails."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
from fluxgate import AsyncCircuitBreaker, CallNotPermittedError
from fluxgate.permits import All
from fluxgate.retries import Retry
from fluxgate.trackers import Custom
from fluxgate.trippers import Closed, FailureRate, FailureStreak, HalfOpened, MinRequests
from fluxgate.windows import CountWindow
from opentelemetry import trace

from reelbench.service.domain.clock import Clock
from reelbench.service.domain.correlation import Correlation
from reelbench.service.domain.errors import ProviderError
from reelbench.service.metrics import Metrics
from reelbench.service.settings import Settings

_Value = TypeVar("_Value")
_KEPT = 1000
"""Number of transitions that a breaker keeps; older ones are dropped."""


class Transition(msgspec.Struct, frozen=True, rename={"before": "from", "after": "to"}):
    """A change of state at a Unix time; the states are closed, open and half_open."""

    at: float
    before: str
    after: str


class BreakerState(msgspec.Struct, frozen=True):
    """A breaker as the API shows it, with its latest transitions in order of time."""

    provider: str
    state: str
    since: float
    transitions: tuple[Transition, ...]


class _Cooldown(Retry):
    """When an open breaker may probe; fluxgate's own class depends on the wall clock, which can be stepped."""

    def __init__(self, over: Callable[[], bool]) -> None:
        self._over = over

    def __call__(self, changed_at: float, reopens: int) -> bool:  # noqa: ARG002 - fluxgate's signature
        return self._over()


class Breaker:
    """The breaker of one provider.

    It opens after a number of transient failures in a row, or at a share of failures among the latest calls. After the
    open time the next call is the only probe: success closes the breaker, a transient failure opens it again, and a
    cancelled probe or a permanent error changes nothing, so the next call is the probe.
    """

    def __init__(self, provider: str, settings: Settings, metrics: Metrics, clock: Clock) -> None:
        too_many = FailureStreak(settings.breaker_failures) | (
            MinRequests(settings.breaker_window) & FailureRate(settings.breaker_failure_rate)
        )
        self._fluxgate = AsyncCircuitBreaker(
            window=CountWindow(settings.breaker_window),
            tracker=Custom(_counts),
            tripper=(Closed() & too_many) | (HalfOpened() & FailureStreak(1)),
            retry=_Cooldown(lambda: clock.now() >= self._since + settings.breaker_open_time),
            permit=All(),
            max_half_open_calls=1,
        )
        self._provider = provider
        self._metrics = metrics
        self._clock = clock
        self._since = clock.now()
        self._probing = False
        self._seen = "closed"
        self._last_failure = ""
        self._transitions: deque[Transition] = deque(maxlen=_KEPT)
        metrics.breaker_state(provider, "closed", 1)
        for state in ("open", "half_open"):
            metrics.breaker_state(provider, state, 0)

    def state(self) -> BreakerState:
        """Return the current state. After the open time a breaker stays open until the next call."""
        return BreakerState(self._provider, self._seen, self._since, tuple(self._transitions))

    async def call(self, attempt: Callable[[], Awaitable[_Value]], correlation: Correlation) -> _Value:
        """Return the result of `attempt`, or raise ProviderError at once when no call is permitted."""
        # In the half-open state fluxgate lets further calls wait for the probe; here they are rejected.
        probe = self._seen != "closed"
        if probe and self._probing:
            raise self._rejection(correlation)
        if probe:
            self._probing = True
        try:
            return await self._fluxgate.call(self._observe, attempt)
        except CallNotPermittedError as error:
            raise self._rejection(correlation) from error
        finally:
            if probe:
                self._probing = False
            self._note()

    async def _observe(self, attempt: Callable[[], Awaitable[_Value]]) -> _Value:
        if self._seen != "closed":
            self._note()
        kind = "ignored"
        try:
            value = await attempt()
            kind = "successful"
        except ProviderError as error:
            if error.transient:
                kind = "failed"
                self._last_failure = error.message
            raise
        finally:
            self._metrics.breaker_call(self._provider, kind)
        return value

    def _note(self) -> None:
        # Not a listener of fluxgate: listeners run as tasks, and a cancellation at that moment would lose the event.
        before, after = self._seen, self._fluxgate.info().state
        if after == before:
            return
        self._seen, self._since = after, self._clock.now()
        self._transitions.append(Transition(self._since, before, after))
        self._metrics.breaker_state(self._provider, before, -1)
        self._metrics.breaker_state(self._provider, after, 1)
        self._metrics.breaker_transition(self._provider, before, after)
        trace.get_current_span().add_event(
            "resilience.circuitbreaker.transition",
            {"provider": self._provider, "from": before, "to": after},
            timestamp=int(self._since * 1e9),
        )

    def _rejection(self, correlation: Correlation) -> ProviderError:
        self._metrics.breaker_not_permitted(self._provider, correlation)
        return ProviderError(
            "provider_circuit_open",
            f"The {self._provider} provider was not called, as its circuit breaker is open. "
            f"The cause: {self._last_failure}",
            "circuit_open",
            transient=True,
        )


def _counts(error: Exception) -> bool:
    return isinstance(error, ProviderError) and error.transient

"""The instruments of the service, as ``metrics.yaml`` declares them, and what is recorded with them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from threading import Lock

from opentelemetry.metrics import Meter, Observation

from reelbench.service.domain.correlation import Correlation, Correlations
from reelbench.telemetry.bound import Series
from reelbench.telemetry.registry import Instruments

METRICS_FILE = Path(__file__).with_name("metrics.yaml")
_JOB = ("run_id", "scenario", "case")
"""Attributes of a `Correlation`, in the order of `Correlation.values`."""


class Tally:
    """A counter for events of every provider call, kept in a dictionary of which the changes go to the SDK.

    An addition updates a dictionary, which takes a third of the time of a bound counter. What changed is written before
    each collection: to observe every total would take the SDK longer, since most totals belong to ended cases. A tally
    has no exemplars. Add and remove from one thread only.
    """

    def __init__(self, instruments: Instruments, name: str, *keys: str) -> None:
        self._totals: dict[tuple[str, ...], float] = {}
        self._written: dict[tuple[str, ...], float] = {}
        self._series = Series(instruments.counter(name), *keys)
        self.keys = keys
        """Names of the attributes."""
        self._writing = Lock()
        instruments.before_collection(self._write)

    def add(self, amount: float, *values: str) -> None:
        """Add `amount`; `values` are those of the keys, in their order."""
        self._totals[values] = self._totals.get(values, 0) + amount

    def remove(self, over: Callable[[tuple[str | int | None, ...]], bool]) -> None:
        """Remove the totals of whose values `over` returns true."""
        with self._writing:  # else the totals that are being written would make their series again
            for values in [values for values in self._totals if over(values)]:
                del self._totals[values]
                self._written.pop(values, None)
            self._series.remove(over)

    def _write(self) -> None:
        with self._writing:
            # Copied in one step, because the event loop may add a place meanwhile.
            for values, total in list(self._totals.items()):
                written = self._written.get(values)
                if written != total:
                    self._written[values] = total
                    self._series.record(total - (written or 0), *values)


class Metrics:
    """The instruments; each method takes the values of one measurement and adds the attribute names."""

    def __init__(self, meter: Meter) -> None:
        self._instruments = made = Instruments(meter, METRICS_FILE)
        self._jobs = Series(made.counter("video.jobs"), "outcome", *_JOB)
        self._rejected = Series(made.counter("video.jobs.rejected"), "reason", *_JOB)
        self._accepted = Series(made.counter("video.jobs.accepted"), *_JOB)
        self._duration = Series(made.histogram("video.job.duration"), "outcome", *_JOB)
        self._queue = Series(made.histogram("video.job.queue.duration"), *_JOB)
        self._stage = Series(made.histogram("video.job.stage.duration"), "stage", "outcome", *_JOB)
        self._active = Series(made.up_down_counter("video.jobs.active"), "state")
        self._call = Series(
            made.histogram("gen_ai.client.operation.duration"),
            "gen_ai.operation.name",
            "gen_ai.provider.name",
            "gen_ai.request.model",
            "error.type",
        )
        self._tokens = Series(
            made.histogram("gen_ai.client.token.usage"),
            "gen_ai.token.type",
            "gen_ai.operation.name",
            "gen_ai.provider.name",
        )
        self._store = Series(
            made.histogram("db.client.operation.duration"), "db.system.name", "db.operation.name", "error.type"
        )
        self._cancelled = Series(made.histogram("video.jobs.cancelled.duration"), *_JOB)
        self._deferred = Series(made.counter("video.store.deferred"), *_JOB)
        self._written_back = Series(made.counter("video.store.written_back"), *_JOB)
        self._unsaved = Series(made.up_down_counter("video.jobs.unsaved"), *_JOB)
        self._lost = Series(made.counter("video.jobs.lost"))
        self._retry_calls = Series(made.counter("resilience.retry.calls"), "kind", "provider", *_JOB)
        self._retry_attempts = Series(made.counter("resilience.retry.attempts"), "provider", *_JOB)
        self._retry_backoff = Series(made.counter("resilience.retry.backoff"), "provider", *_JOB)
        self._breaker_calls = Series(made.counter("resilience.circuitbreaker.calls"), "kind", "provider")
        self._breaker_rejected = Series(
            made.counter("resilience.circuitbreaker.not_permitted.calls"), "provider", *_JOB
        )
        self._breaker_state = Series(made.up_down_counter("resilience.circuitbreaker.state"), "provider", "state")
        self._breaker_transitions = Series(
            made.counter("resilience.circuitbreaker.transitions"), "provider", "from", "to"
        )
        self._connect = Series(made.histogram("http.client.connect.duration"), "provider")
        self._pool_wait = Series(made.histogram("http.client.pool.wait.duration"), "provider")
        self._cache_requests = Tally(made, "cache.requests", "cache", "result", *_JOB)
        self._cache_io = Tally(made, "cache.io_saved", "cache", *_JOB)
        self._cache_time = Tally(made, "cache.time_saved", "cache", *_JOB)
        self._opened = Tally(made, "http.client.connections.opened", "provider", *_JOB)
        self._reused = Tally(made, "http.client.connections.reused", "provider", *_JOB)
        self._io = Tally(made, "dependency.io", "dependency", "direction", *_JOB)
        self._usage = Tally(made, "video.usage", "kind", "provider", *_JOB)
        self._overflow = Series(made.counter("video.cases.overflow"))
        self.correlations = Correlations(on_ended=self._remove, on_refused=lambda: self._overflow.record(1))
        """The cases that have series of their own."""

    def accepted(self, correlation: Correlation) -> None:
        """A job was accepted."""
        self._accepted.record(1, *correlation.values)

    def rejected(self, reason: str, correlation: Correlation) -> None:
        """A job was refused although its request was valid."""
        self._rejected.record(1, reason, *correlation.values)

    def ended(self, outcome: str, seconds: float, correlation: Correlation) -> None:
        """A job ended, `seconds` after its acceptance."""
        self._jobs.record(1, outcome, *correlation.values)
        self._duration.record(seconds, outcome, *correlation.values)

    def queued(self, seconds: float, correlation: Correlation) -> None:
        """A job left the queue for a worker after `seconds`."""
        self._queue.record(seconds, *correlation.values)

    def stage(self, stage: str, outcome: str, seconds: float, correlation: Correlation) -> None:
        """A stage ended; `outcome` is ok or error."""
        self._stage.record(seconds, stage, outcome, *correlation.values)

    def active(self, state: str, change: int) -> None:
        """The number of jobs in `state` (queued or running) changed."""
        self._active.record(change, state)

    def call(self, operation: str, provider: str, model: str, seconds: float, error: str | None) -> None:
        """A provider was called; `error` is the error type, None after a success."""
        self._call.record(seconds, operation, provider, model, error)

    def tokens(self, operation: str, provider: str, kind: str, count: int) -> None:
        """Tokens of one call; `kind` is input or output."""
        self._tokens.record(count, kind, operation, provider)

    def store(self, operation: str, seconds: float, error: str | None) -> None:
        """A round trip to the store; `error` is the error type, None after a success."""
        self._store.record(seconds, "redis", operation, error)

    def cancelled(self, seconds: float, correlation: Correlation) -> None:
        """A job was cancelled; its work had stopped and its files were removed after `seconds`."""
        self._cancelled.record(seconds, *correlation.values)

    def deferred(self, correlation: Correlation) -> None:
        """A state was kept on disk for the store."""
        self._deferred.record(1, *correlation.values)

    def written_back(self, correlation: Correlation) -> None:
        """A kept state was written to the store, or found to be superseded there."""
        self._written_back.record(1, *correlation.values)

    def unsaved(self, change: int, correlation: Correlation) -> None:
        """The number of jobs whose latest state waits for the store changed."""
        self._unsaved.record(change, *correlation.values)

    def lost(self) -> None:
        """A job of a dead instance was failed here; its run is not known."""
        self._lost.record(1)

    def retry_call(self, provider: str, kind: str, correlation: Correlation) -> None:
        """A provider call ended; `kind` is successful or failed, with or without retry."""
        self._retry_calls.record(1, kind, provider, *correlation.values)

    def retry_attempt(self, provider: str, correlation: Correlation) -> None:
        """An attempt of a provider call began."""
        self._retry_attempts.record(1, provider, *correlation.values)

    def retry_backoff(self, provider: str, seconds: float, correlation: Correlation) -> None:
        """A wait of `seconds` before the next attempt began."""
        self._retry_backoff.record(seconds, provider, *correlation.values)

    def breaker_call(self, provider: str, kind: str) -> None:
        """An attempt that the breaker permitted ended; `kind` is successful, failed or ignored."""
        self._breaker_calls.record(1, kind, provider)

    def breaker_not_permitted(self, provider: str, correlation: Correlation) -> None:
        """The breaker rejected an attempt."""
        self._breaker_rejected.record(1, provider, *correlation.values)

    def breaker_state(self, provider: str, state: str, change: int) -> None:
        """A breaker entered (1) or left (-1) `state`."""
        self._breaker_state.record(change, provider, state)

    def breaker_transition(self, provider: str, before: str, after: str) -> None:
        """A breaker changed its state."""
        self._breaker_transitions.record(1, provider, before, after)

    def cache_request(self, cache: str, result: str, correlation: Correlation) -> None:
        """A cache was requested; `result` is hit, miss or coalesced."""
        self._cache_requests.add(1, cache, result, *correlation.values)

    def cache_saved(self, cache: str, size: int, seconds: float, correlation: Correlation) -> None:
        """A provider call of `size` bytes and `seconds` was not needed."""
        self._cache_io.add(size, cache, *correlation.values)
        self._cache_time.add(seconds, cache, *correlation.values)

    def caches(self, state: Callable[[], Iterable[tuple[str, int, int]]]) -> None:
        """Observe the caches: `state` returns name, entries and bytes of each."""
        self._instruments.observe(
            "cache.entries", lambda: [Observation(count, {"cache": name}) for name, count, _ in state()]
        )
        self._instruments.observe(
            "cache.size", lambda: [Observation(size, {"cache": name}) for name, _, size in state()]
        )

    def media(self, cpu_time: Callable[[], float], memory: Callable[[], int]) -> None:
        """Observe the worker processes: seconds of CPU since the start, bytes in RAM now."""
        self._instruments.observe("media.process.cpu.time", lambda: [Observation(cpu_time())])
        self._instruments.observe("media.process.memory.usage", lambda: [Observation(memory())])

    def connection_opened(self, provider: str, seconds: float, correlation: Correlation) -> None:
        """A connection to `provider` was established in `seconds`."""
        self._opened.add(1, provider, *correlation.values)
        self._connect.record(seconds, provider)

    def connection_reused(self, provider: str, correlation: Correlation) -> None:
        """An attempt found an open connection."""
        self._reused.add(1, provider, *correlation.values)

    def pool_waited(self, provider: str, seconds: float) -> None:
        """An attempt waited `seconds` for a free connection."""
        self._pool_wait.record(seconds, provider)

    def io(self, dependency: str, direction: str, size: int, correlation: Correlation) -> None:
        """Bytes went to (`direction` sent) or came from (received) llm, tts, image or store."""
        self._io.add(size, dependency, direction, *correlation.values)

    def _remove(self, ended: Collection[Correlation]) -> None:
        """Remove all series of some cases."""
        cases = {correlation.values for correlation in ended}

        def over(values: tuple[str | int | None, ...]) -> bool:
            return values[-len(_JOB) :] in cases

        for one in vars(self).values():
            if isinstance(one, Series | Tally) and one.keys[-len(_JOB) :] == _JOB:
                one.remove(over)

    def usage(self, provider: str, kind: str, count: int, correlation: Correlation) -> None:
        """A successful call is charged for `count` input_tokens, output_tokens, characters or images."""
        self._usage.add(count, kind, provider, *correlation.values)

"""The instruments of the service, as ``metrics.yaml`` declares them, and what is recorded with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from opentelemetry.metrics import Meter, Observation

from reelbench.service.domain.correlation import Correlation
from reelbench.telemetry.registry import Instruments

METRICS_FILE = Path(__file__).with_name("metrics.yaml")


class Tally:
    """A counter for events of every provider call, kept in a dictionary of which the changes go to the SDK.

    An addition to a counter of the SDK takes about 8 us, half a millisecond for the calls of one job; an addition here
    updates a dictionary. What changed is written before each collection: to observe every total would take the SDK
    longer, since most totals belong to ended cases. A tally has no exemplars. Add from one thread only.
    """

    def __init__(self, instruments: Instruments, name: str, *keys: str) -> None:
        self._keys = keys
        self._totals: dict[tuple[tuple[str, ...], Correlation], float] = {}
        self._written: dict[tuple[tuple[str, ...], Correlation], float] = {}
        self._counter = instruments.counter(name)
        instruments.before_collection(self._write)

    def add(self, amount: float, values: tuple[str, ...], correlation: Correlation) -> None:
        """Add `amount`; `values` are those of the keys, in their order."""
        place = values, correlation
        self._totals[place] = self._totals.get(place, 0) + amount

    def _write(self) -> None:
        # Copied in one step, because the event loop may add a place meanwhile.
        for place, total in list(self._totals.items()):
            written = self._written.get(place)
            if written != total:
                self._written[place] = total
                values, correlation = place
                attributes = dict(zip(self._keys, values, strict=True)) | correlation.attributes()
                self._counter.add(total - (written or 0), attributes)


class Metrics:
    """The instruments; each method takes the values of one measurement and adds the attribute names."""

    def __init__(self, meter: Meter) -> None:
        self._instruments = made = Instruments(meter, METRICS_FILE)
        self._jobs = made.counter("video.jobs")
        self._rejected = made.counter("video.jobs.rejected")
        self._accepted = made.counter("video.jobs.accepted")
        self._duration = made.histogram("video.job.duration")
        self._queue = made.histogram("video.job.queue.duration")
        self._stage = made.histogram("video.job.stage.duration")
        self._active = made.up_down_counter("video.jobs.active")
        self._call = made.histogram("gen_ai.client.operation.duration")
        self._tokens = made.histogram("gen_ai.client.token.usage")
        self._store = made.histogram("db.client.operation.duration")
        self._cancelled = made.histogram("video.jobs.cancelled.duration")
        self._deferred = made.counter("video.store.deferred")
        self._written_back = made.counter("video.store.written_back")
        self._unsaved = made.up_down_counter("video.jobs.unsaved")
        self._lost = made.counter("video.jobs.lost")
        self._retry_calls = made.counter("resilience.retry.calls")
        self._retry_attempts = made.counter("resilience.retry.attempts")
        self._retry_backoff = made.counter("resilience.retry.backoff")
        self._breaker_calls = made.counter("resilience.circuitbreaker.calls")
        self._breaker_rejected = made.counter("resilience.circuitbreaker.not_permitted.calls")
        self._breaker_state = made.up_down_counter("resilience.circuitbreaker.state")
        self._breaker_transitions = made.counter("resilience.circuitbreaker.transitions")
        self._connect = made.histogram("http.client.connect.duration")
        self._pool_wait = made.histogram("http.client.pool.wait.duration")
        self._cache_requests = Tally(made, "cache.requests", "cache", "result")
        self._cache_io = Tally(made, "cache.io_saved", "cache")
        self._cache_time = Tally(made, "cache.time_saved", "cache")
        self._opened = Tally(made, "http.client.connections.opened", "provider")
        self._reused = Tally(made, "http.client.connections.reused", "provider")
        self._io = Tally(made, "dependency.io", "dependency", "direction")
        self._usage = Tally(made, "video.usage", "kind", "provider")

    def accepted(self, correlation: Correlation) -> None:
        """A job was accepted."""
        self._accepted.add(1, correlation.attributes())

    def rejected(self, reason: str, correlation: Correlation) -> None:
        """A job was refused although its request was valid."""
        self._rejected.add(1, {"reason": reason, **correlation.attributes()})

    def ended(self, outcome: str, seconds: float, correlation: Correlation) -> None:
        """A job ended, `seconds` after its acceptance."""
        attributes = {"outcome": outcome, **correlation.attributes()}
        self._jobs.add(1, attributes)
        self._duration.record(seconds, attributes)

    def queued(self, seconds: float, correlation: Correlation) -> None:
        """A job left the queue for a worker after `seconds`."""
        self._queue.record(seconds, correlation.attributes())

    def stage(self, stage: str, outcome: str, seconds: float, correlation: Correlation) -> None:
        """A stage ended; `outcome` is ok or error."""
        self._stage.record(seconds, {"stage": stage, "outcome": outcome, **correlation.attributes()})

    def active(self, state: str, change: int) -> None:
        """The number of jobs in `state` (queued or running) changed."""
        self._active.add(change, {"state": state})

    def call(self, operation: str, provider: str, model: str, seconds: float, error: str | None) -> None:
        """A provider was called; `error` is the error type, None after a success."""
        attributes = {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": provider,
            "gen_ai.request.model": model,
        }
        if error is not None:
            attributes["error.type"] = error
        self._call.record(seconds, attributes)

    def tokens(self, operation: str, provider: str, kind: str, count: int) -> None:
        """Tokens of one call; `kind` is input or output."""
        self._tokens.record(
            count,
            {"gen_ai.token.type": kind, "gen_ai.operation.name": operation, "gen_ai.provider.name": provider},
        )

    def store(self, operation: str, seconds: float, error: str | None) -> None:
        """A round trip to the store; `error` is the error type, None after a success."""
        attributes = {"db.system.name": "redis", "db.operation.name": operation}
        if error is not None:
            attributes["error.type"] = error
        self._store.record(seconds, attributes)

    def cancelled(self, seconds: float, correlation: Correlation) -> None:
        """A job was cancelled; its work had stopped and its files were removed after `seconds`."""
        self._cancelled.record(seconds, correlation.attributes())

    def deferred(self, correlation: Correlation) -> None:
        """A state was kept on disk for the store."""
        self._deferred.add(1, correlation.attributes())

    def written_back(self, correlation: Correlation) -> None:
        """A kept state was written to the store, or found to be superseded there."""
        self._written_back.add(1, correlation.attributes())

    def unsaved(self, change: int, correlation: Correlation) -> None:
        """The number of jobs whose latest state waits for the store changed."""
        self._unsaved.add(change, correlation.attributes())

    def lost(self) -> None:
        """A job of a dead instance was failed here; its run is not known."""
        self._lost.add(1)

    def retry_call(self, provider: str, kind: str, correlation: Correlation) -> None:
        """A provider call ended; `kind` is successful or failed, with or without retry."""
        self._retry_calls.add(1, {"kind": kind, "provider": provider, **correlation.attributes()})

    def retry_attempt(self, provider: str, correlation: Correlation) -> None:
        """An attempt of a provider call began."""
        self._retry_attempts.add(1, {"provider": provider, **correlation.attributes()})

    def retry_backoff(self, provider: str, seconds: float, correlation: Correlation) -> None:
        """A wait of `seconds` before the next attempt began."""
        self._retry_backoff.add(seconds, {"provider": provider, **correlation.attributes()})

    def breaker_call(self, provider: str, kind: str) -> None:
        """An attempt that the breaker permitted ended; `kind` is successful, failed or ignored."""
        self._breaker_calls.add(1, {"kind": kind, "provider": provider})

    def breaker_not_permitted(self, provider: str, correlation: Correlation) -> None:
        """The breaker rejected an attempt."""
        self._breaker_rejected.add(1, {"provider": provider, **correlation.attributes()})

    def breaker_state(self, provider: str, state: str, change: int) -> None:
        """A breaker entered (1) or left (-1) `state`."""
        self._breaker_state.add(change, {"provider": provider, "state": state})

    def breaker_transition(self, provider: str, before: str, after: str) -> None:
        """A breaker changed its state."""
        self._breaker_transitions.add(1, {"provider": provider, "from": before, "to": after})

    def cache_request(self, cache: str, result: str, correlation: Correlation) -> None:
        """A cache was requested; `result` is hit, miss or coalesced."""
        self._cache_requests.add(1, (cache, result), correlation)

    def cache_saved(self, cache: str, size: int, seconds: float, correlation: Correlation) -> None:
        """A provider call of `size` bytes and `seconds` was not needed."""
        self._cache_io.add(size, (cache,), correlation)
        self._cache_time.add(seconds, (cache,), correlation)

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
        self._opened.add(1, (provider,), correlation)
        self._connect.record(seconds, {"provider": provider})

    def connection_reused(self, provider: str, correlation: Correlation) -> None:
        """An attempt found an open connection."""
        self._reused.add(1, (provider,), correlation)

    def pool_waited(self, provider: str, seconds: float) -> None:
        """An attempt waited `seconds` for a free connection."""
        self._pool_wait.record(seconds, {"provider": provider})

    def io(self, dependency: str, direction: str, size: int, correlation: Correlation) -> None:
        """Bytes went to (`direction` sent) or came from (received) llm, tts, image or store."""
        self._io.add(size, (dependency, direction), correlation)

    def usage(self, provider: str, kind: str, count: int, correlation: Correlation) -> None:
        """A successful call is charged for `count` input_tokens, output_tokens, characters or images."""
        self._usage.add(count, (kind, provider), correlation)

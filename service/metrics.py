"""Every instrument of the service, declared once: name, unit, description, bounds, attributes."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from reelbench.service.domain.correlation import Correlation
from reelbench.service.tally import Tally

SLO_THRESHOLDS = (0.5, 2.0)
"""Seconds; exact bucket bounds, so that "share of jobs within the objective" is exact too."""


def geometric_bounds(start: float, stop: float, ratio: float) -> list[float]:
    """Bounds from `start` to `stop`, both included, whose neighbours are at most `ratio` apart."""
    bounds = [start]
    while bounds[-1] * ratio < stop:
        bounds.append(float(f"{bounds[-1] * ratio:.4g}"))
    return [*bounds, stop]


JOB_BOUNDS = sorted({*geometric_bounds(0.05, 60.0, 1.25), *geometric_bounds(60.0, 900.0, 1.5), *SLO_THRESHOLDS})
"""Seconds. Every scrape renders all buckets of all series in Python, about 20 us each, so they are no finer than a
dashboard needs; the exact durations of a job are in its spans, and the client's percentiles in its own histogram."""
STAGE_BOUNDS = [0.001, 0.0025, *geometric_bounds(0.005, 60.0, 1.3), 120.0, 300.0]
"""Seconds; each job has five stages."""
CALL_BOUNDS = STAGE_BOUNDS
STORE_BOUNDS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]
TOKEN_BOUNDS = [1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864]
"""As the OpenTelemetry semantic conventions of generative AI ask."""

CONNECT_BOUNDS = [0.0005, 0.001, 0.0025, 0.01, 0.05, 0.25, 1.0, 5.0]
POOL_WAIT_BOUNDS = [0.001, 0.01, 0.05, 0.25, 1.0, 5.0, 30.0]
"""Seconds; few, as nobody reads quantiles of them to the percent."""


class Metrics:
    """The instruments; methods take what a measurement needs and add the attribute names."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._jobs = meter.create_counter("video.jobs", "{job}", "Accepted jobs that ended, by outcome.")
        self._rejected = meter.create_counter("video.jobs.rejected", "{job}", "Jobs refused at creation, by reason.")
        self._accepted = meter.create_counter("video.jobs.accepted", "{job}", "Jobs accepted.")
        self._duration = meter.create_histogram(
            "video.job.duration", "s", "From acceptance to the end.", explicit_bucket_boundaries_advisory=JOB_BOUNDS
        )
        self._queue = meter.create_histogram(
            "video.job.queue.duration",
            "s",
            "From acceptance to the start in a worker.",
            explicit_bucket_boundaries_advisory=JOB_BOUNDS,
        )
        self._stage = meter.create_histogram(
            "video.job.stage.duration",
            "s",
            "One stage; speech and visual are observed once per scene.",
            explicit_bucket_boundaries_advisory=STAGE_BOUNDS,
        )
        self._active = meter.create_up_down_counter("video.jobs.active", "{job}", "Jobs that wait or run.")
        self._call = meter.create_histogram(
            "gen_ai.client.operation.duration",
            "s",
            "One call of a provider.",
            explicit_bucket_boundaries_advisory=CALL_BOUNDS,
        )
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            "{token}",
            "Tokens of one call, as the provider counts them.",
            explicit_bucket_boundaries_advisory=TOKEN_BOUNDS,
        )
        self._store = meter.create_histogram(
            "db.client.operation.duration",
            "s",
            "One round trip to the job store.",
            explicit_bucket_boundaries_advisory=STORE_BOUNDS,
        )

        self._cancelled = meter.create_histogram(
            "video.jobs.cancelled.duration",
            "s",
            "From the request to delete a job that had not ended until its work has stopped and its files are gone.",
            explicit_bucket_boundaries_advisory=STAGE_BOUNDS,
        )
        self._deferred = meter.create_counter(
            "video.store.deferred", "{write}", "States kept on disk because the store was away."
        )
        self._written_back = meter.create_counter(
            "video.store.written_back", "{write}", "Kept states that were settled with the store when it was back."
        )
        self._unsaved = meter.create_up_down_counter(
            "video.jobs.unsaved", "{job}", "Jobs whose latest state waits for the store."
        )
        self._lost = meter.create_counter(
            "video.jobs.lost", "{job}", "Jobs of an instance that was lost, ended here in its place."
        )
        # Names and meanings of the next seven follow resilience4j.
        self._retry_calls = meter.create_counter(
            "resilience.retry.calls", "{call}", "Provider calls that ended, by kind; cancelled ones are left out."
        )
        self._retry_attempts = meter.create_counter(
            "resilience.retry.attempts",
            "{attempt}",
            "Attempts of provider calls; less the calls not permitted, those that reached the provider.",
        )
        self._retry_backoff = meter.create_counter("resilience.retry.backoff", "s", "Waits between attempts.")
        self._breaker_calls = meter.create_counter(
            "resilience.circuitbreaker.calls",
            "{call}",
            "Attempts a breaker let through, by kind; ignored: cancelled, or refused for a fault of ours.",
        )
        self._breaker_rejected = meter.create_counter(
            "resilience.circuitbreaker.not_permitted.calls", "{call}", "Attempts a breaker rejected."
        )
        self._breaker_state = meter.create_up_down_counter(
            "resilience.circuitbreaker.state", "{breaker}", "1 for the state a breaker is in, 0 for the others."
        )
        self._breaker_transitions = meter.create_counter(
            "resilience.circuitbreaker.transitions", "{transition}", "Changes of a breaker's state."
        )
        self._cache_requests = Tally(
            meter,
            "cache.requests",
            "{request}",
            "Questions to a cache, by result; coalesced: shared the call of another one. Only misses cost a call.",
            ("cache", "result"),
        )
        # Not "bytes_saved": OTLP and the scraped exporter would make two different Prometheus names of it.
        self._cache_io = Tally(
            meter,
            "cache.io_saved",
            "By",
            "Bodies of requests and answers that hits and coalesced requests did not need.",
            ("cache",),
        )
        self._cache_time = Tally(
            meter,
            "cache.time_saved",
            "s",
            "Time of the good provider attempts that hits and coalesced requests did not need.",
            ("cache",),
        )
        self._opened = Tally(
            meter,
            "http.client.connections.opened",
            "{connection}",
            "Connections established to a provider.",
            ("provider",),
        )
        self._reused = Tally(
            meter,
            "http.client.connections.reused",
            "{connection}",
            "Attempts that found an open connection to a provider.",
            ("provider",),
        )
        self._connect = meter.create_histogram(
            "http.client.connect.duration",
            "s",
            "Name resolution and connection of an opened connection.",
            explicit_bucket_boundaries_advisory=CONNECT_BOUNDS,
        )
        self._pool_wait = meter.create_histogram(
            "http.client.pool.wait.duration",
            "s",
            "Waits for a free connection; attempts that need not wait are left out.",
            explicit_bucket_boundaries_advisory=POOL_WAIT_BOUNDS,
        )
        self._io = Tally(
            meter,
            "dependency.io",
            "By",
            "Providers: bodies of HTTP requests and answers as on the wire, without headers; of answers, what arrived. "
            "Store: payloads given to and taken from its client, without keys and protocol.",
            ("dependency", "direction"),
        )
        self._usage = Tally(
            meter,
            "video.usage",
            "{unit}",
            "What providers charge for in answers that were good, by kind.",
            ("kind", "provider"),
        )

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
        """A provider was called; `error` is the error type, None when the answer was good."""
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
        """A round trip to the store; `error` is the error type, None when it succeeded."""
        attributes = {"db.system.name": "redis", "db.operation.name": operation}
        if error is not None:
            attributes["error.type"] = error
        self._store.record(seconds, attributes)

    def cancelled(self, seconds: float, correlation: Correlation) -> None:
        """A job was cancelled; all of it had stopped and was removed after `seconds`."""
        self._cancelled.record(seconds, correlation.attributes())

    def deferred(self, correlation: Correlation) -> None:
        """A state was kept on disk for the store."""
        self._deferred.add(1, correlation.attributes())

    def written_back(self, correlation: Correlation) -> None:
        """A kept state was settled with the store: written, or found to be superseded there."""
        self._written_back.add(1, correlation.attributes())

    def unsaved(self, change: int, correlation: Correlation) -> None:
        """The number of jobs whose latest state waits for the store changed."""
        self._unsaved.add(change, correlation.attributes())

    def lost(self) -> None:
        """A job of a lost instance was ended here; whose run it belonged to is not known."""
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
        """An attempt the breaker let through ended; `kind` is successful, failed or ignored."""
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
        """A cache was asked; `result` is hit, miss or coalesced."""
        self._cache_requests.add(1, (cache, result), correlation)

    def cache_saved(self, cache: str, size: int, seconds: float, correlation: Correlation) -> None:
        """A provider call of `size` bytes and `seconds` was not needed."""
        self._cache_io.add(size, (cache,), correlation)
        self._cache_time.add(seconds, (cache,), correlation)

    def caches(self, observe: Callable[[], Iterable[tuple[str, int, int]]]) -> None:
        """Watch the caches: `observe` gives name, entries and bytes of each."""

        def entries(_: CallbackOptions) -> Iterable[Observation]:
            return [Observation(count, {"cache": name}) for name, count, _size in observe()]

        def size(_: CallbackOptions) -> Iterable[Observation]:
            return [Observation(size, {"cache": name}) for name, _count, size in observe()]

        self._meter.create_observable_up_down_counter("cache.entries", [entries], "{entry}", "Answers kept.")
        self._meter.create_observable_up_down_counter("cache.size", [size], "By", "Bytes of the answers kept.")

    def media(self, cpu_time: Callable[[], float], memory: Callable[[], int]) -> None:
        """Watch the worker processes: seconds of CPU since the start, bytes in RAM now."""
        self._meter.create_observable_counter(
            "media.process.cpu.time",
            [lambda _: [Observation(cpu_time())]],
            "s",
            "CPU time, user and system, of all worker processes; of lost ones up to the last reading.",
        )
        self._meter.create_observable_up_down_counter(
            "media.process.memory.usage",
            [lambda _: [Observation(memory())]],
            "By",
            "Resident memory of the worker processes together; pages they share count for each.",
        )

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
        """A good answer is charged for `count` input_tokens, output_tokens, characters or images."""
        self._usage.add(count, (kind, provider), correlation)

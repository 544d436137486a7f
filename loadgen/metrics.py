"""Every instrument of the load generator, each declared once."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from opentelemetry.context import Context
from opentelemetry.metrics import Histogram, Meter, Observation

from reelbench.loadgen.bound_histogram import Series
from reelbench.loadgen.record.jobs import JobRecord, RequestRecord


def geometric(edges: Sequence[float], ratios: Sequence[float]) -> tuple[float, ...]:
    """Give bucket bounds that hold every edge exactly, with at most `ratios[i]` between neighbours after ``edges[i]``.

    A quantile estimated from the buckets is off by at most the ratio of its bucket.
    """
    bounds = [edges[0]]
    for low, high, ratio in zip(edges[:-1], edges[1:], ratios, strict=True):
        steps = math.ceil(math.log(high / low) / math.log(ratio))
        bounds += [float(f"{low * (high / low) ** (step / steps):.5g}") for step in range(1, steps)]
        bounds.append(high)
    return tuple(bounds)


JOB_SECONDS = geometric((0.02, 0.5, 2.0, 30.0, 600.0), (1.05, 1.05, 1.05, 1.25))
"""Jobs: quantiles within 5 % up to 30 s; the objectives 0.5 s and 2 s are bounds."""

REQUEST_SECONDS = geometric((0.001, 0.5, 2.0, 60.0), (1.2, 1.25, 1.5))
"""Requests: within 20 %, because there is one series per operation, and every scrape renders all buckets in Python,
about 20 us each; requests.jsonl has the exact values."""

LATENESS_SECONDS = geometric((0.0001, 1.0, 60.0), (1.5, 2.0))
"""Lateness is compared with a limit, never reported as a quantile to the percent."""


class Metrics:
    """Records what the load generator measures; values are those of the records, to the last bit."""

    def __init__(self, meter: Meter) -> None:
        # Counts are kept here and read when they are asked for: an addition costs twenty times one of Python's own.
        self._ended: Counter[tuple[str, ...]] = Counter()
        self._flying = 0
        self._bound: dict[tuple[Histogram, tuple[str, ...]], Series] = {}
        meter.create_observable_counter(
            "loadgen.jobs",
            [lambda _: (Observation(count, _attributes(key)) for key, count in dict(self._ended).items())],
            unit="{job}",
            description="Measured jobs that ended.",
        )
        self._duration = meter.create_histogram(
            "loadgen.job.duration",
            unit="s",
            description="Response time of a measured job: from its due time to its end.",
            explicit_bucket_boundaries_advisory=JOB_SECONDS,
        )
        self._lateness = meter.create_histogram(
            "loadgen.job.lateness",
            unit="s",
            description="Delay of the generator itself: from a job's due time to its sending.",
            explicit_bucket_boundaries_advisory=LATENESS_SECONDS,
        )
        self._request = meter.create_histogram(
            "loadgen.request.duration",
            unit="s",
            description="Time of one request of a measured job, with the wait for a connection and the body.",
            explicit_bucket_boundaries_advisory=REQUEST_SECONDS,
        )
        meter.create_observable_up_down_counter(
            "loadgen.jobs.in_flight",
            [lambda _: [Observation(self._flying)]],
            unit="{job}",
            description="Jobs sent and not yet ended, warm-up included.",
        )

    def job_started(self) -> None:
        """Count a job in flight."""
        self._flying += 1

    def job_ended(self, run_id: str, job: JobRecord, context: Context) -> None:
        """Count an ended job; `context` holds its root span, for exemplars."""
        self._flying -= 1
        if job.warmup:
            return
        place = (run_id, job.scenario, job.case)
        outcome = (*place, job.outcome.value)
        self._ended[outcome] += 1
        self._series(self._duration, outcome).record(job.done - job.due, context)
        self._series(self._lateness, place).record(max(0.0, job.sent - job.due), context)

    def request_ended(self, run_id: str, request: RequestRecord, context: Context) -> None:
        """Record one request; its outcome is ok for a status of 2xx, else error."""
        if request.warmup:
            return
        outcome = "ok" if request.status is not None and 200 <= request.status < 300 else "error"  # noqa: PLR2004 - HTTP's own classes
        key = (run_id, request.scenario, request.case, outcome, request.operation)
        self._series(self._request, key).record(request.duration, context)

    def _series(self, histogram: Histogram, key: tuple[str, ...]) -> Series:
        found = self._bound.get((histogram, key))
        if found is None:
            found = self._bound[histogram, key] = Series(histogram, _attributes(key))
        return found


def _attributes(key: tuple[str, ...]) -> dict[str, str]:
    """Attributes, of which as many are given as the key has."""
    return dict(zip(("run_id", "scenario", "case", "outcome", "operation"), key, strict=False))

"""Advice on scalability, each sentence with the numbers that it follows from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from reelbench.reporting.analysis.load_levels import Level
from reelbench.reporting.document import text
from reelbench.reporting.statistics.intervals import Proportion, Summary

KNEE_EFFICIENCY = 0.5
"""A step of load that brings less than half of the throughput in proportion has passed the knee."""
QUEUE_SHARE = 0.2
"""From this share of the response time on, waiting for a worker is worth naming as the first thing to change."""


@dataclass(frozen=True, slots=True)
class Part:
    """One component of a job: summed seconds and executions."""

    name: str
    seconds: float
    executions: int


@dataclass(frozen=True, slots=True)
class _Point:
    """A level of load where everything that advice needs is known."""

    concurrency: int
    throughput: float
    times: Summary
    success: Proportion
    queue: float | None


def recommend(levels: Sequence[Level], parts: Sequence[Part], *, min_success: float, max_p95: float) -> tuple[str, ...]:
    """All advice that the numbers support; empty when there are too few of them."""
    points = sorted(
        (
            _Point(level.concurrency, level.throughput, level.times, level.success, level.queue_average)
            for level in levels
            if level.throughput and level.times and level.success
        ),
        key=lambda point: point.concurrency,
    )
    advice = (_knee(points), _capacity(points, min_success, max_p95), _queueing(points), _largest(parts))
    return tuple(sentence for sentence in advice if sentence)


def _knee(points: Sequence[_Point]) -> str:
    for low, high in pairwise(points):
        load = high.concurrency / low.concurrency
        gain = high.throughput / low.throughput
        if load > 1 and (gain - 1) / (load - 1) < KNEE_EFFICIENCY:
            return (
                f"**Throughput knee between {low.concurrency} and {high.concurrency} jobs in flight:** {load:.3g} "
                f"times the load changes throughput from {low.throughput:.2f} to {high.throughput:.2f} jobs/s "
                f"({gain:.2f} times) and P95 from {low.times.p95.value:.3f} to {high.times.p95.value:.3f} s. Admit "
                f"between {low.concurrency} and {high.concurrency} jobs per instance at once; beyond that add "
                "capacity, as more load mostly waits."
            )
    if len(points) > 1:
        low, high = points[0], points[-1]
        return (
            f"**No throughput knee up to {high.concurrency} jobs in flight:** throughput grows from "
            f"{low.throughput:.2f} jobs/s at {low.concurrency} to {high.throughput:.2f} jobs/s. Test higher levels "
            "before sizing the service."
        )
    return ""


def _capacity(points: Sequence[_Point], min_success: float, max_p95: float) -> str:
    if not points:
        return ""
    held = [p for p in points if p.success.value >= min_success and p.times.p95.value <= max_p95]
    if not held:
        least = points[0]
        return (
            f"**No level tested holds P95 <= {max_p95:g} s and success >= {min_success * 100:g} %:** already "
            f"{least.concurrency} in flight gives {least.times.p95.value:.3f} s and {least.success.value * 100:.1f} %."
        )
    best = held[-1]
    return (
        f"**Highest level tested with P95 <= {max_p95:g} s and success >= {min_success * 100:g} %:** "
        f"{best.concurrency} jobs in flight ({best.throughput:.2f} jobs/s, P95 {best.times.p95.value:.3f} s, success "
        f"{best.success.value * 100:.1f} %)."
    )


def _queueing(points: Sequence[_Point]) -> str:
    if not points or points[-1].queue is None:
        return ""
    top, queue, average = points[-1], points[-1].queue, points[-1].times.average
    share = queue / average
    start = (
        f"**Queueing at {top.concurrency} in flight:** a job waits {text.with_unit(queue, 's')} of its "
        f"{text.with_unit(average, 's')} on average ({share * 100:.0f} %)"
    )
    if share < QUEUE_SHARE:
        return f"{start}, so more workers alone would gain little; make the stages faster."
    if queue >= average:
        return f"{start}; raise the number of workers or replicas if processor and providers have room."
    return (
        f"{start}; raise the number of workers or replicas if processor and providers have room. With no wait, and "
        "work that takes no longer for more jobs side by side, the same load would give at most "
        f"{top.concurrency / (average - queue):.1f} jobs/s instead of {top.throughput:.1f} (Little's law); where they "
        "share a processor, it does take longer, as the scalability fit shows."
    )


def _largest(parts: Sequence[Part]) -> str:
    total = sum(part.seconds for part in parts)
    if not total:
        return ""
    part = max(parts, key=lambda part: part.seconds)
    share = part.seconds / total
    return (
        f"**Most stage time: {part.name}** with {text.with_unit(part.seconds, 's')} of "
        f"{text.with_unit(total, 's')} of summed stage time ({share * 100:.0f} %; {part.executions} executions of "
        f"{text.with_unit(part.seconds / part.executions, 's')} on average). Halving it saves {share * 50:.0f} % of "
        f"that sum: a speed-up of {1 / (1 - share / 2):.2f} by Amdahl's law if stages ran one after another. Scenes "
        "run concurrently, so a job's response time can gain less: what its end waits for is the critical path, under "
        "Where the time goes."
    )

"""The bucket that a quantile falls in: the error bound of a PromQL percentile."""

from __future__ import annotations

import math

import msgspec

from reelbench.reporting.evidence.limits import Limits
from reelbench.reporting.evidence.prometheus import Sample, Vector


class Bound(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The true sample quantile lies above `lower` and at most at `upper`."""

    lower: float
    upper: float | None
    """None: the last, unbounded bucket. Prometheus then answers `lower`; the true value is anywhere above."""


def bound_of(vector: Vector, quantile: float) -> Bound | None:
    """Return the bucket of a quantile, from the answer of a `buckets` query; None when nothing was observed.

    Classic buckets come as one cumulative sample for each ``le``, a native histogram as one sample that holds all.
    """
    buckets = _buckets(vector)
    return _holding(buckets, quantile * sum(count for _, _, count in buckets))


def limits_of(vector: Vector, quantile: float) -> Limits | None:
    """Return the interval of a quantile by order statistics, as wide as the buckets make it; None without samples.

    The observations that are the limits are not known, but their buckets are: the lower end of the one and the upper
    end of the other enclose them.
    """
    from reelbench.reporting.statistics.intervals import ORDER, quantile_ranks  # noqa: PLC0415 - numpy and scipy take longer to load than the catalogue

    buckets = _buckets(vector)
    n = round(sum(count for _, _, count in buckets))
    if not n:
        return None
    first, last = quantile_ranks(n, quantile)
    least = None if first is None else _holding(buckets, first + 1)
    most = None if last is None else _holding(buckets, last + 1)
    return Limits(
        lower=None if least is None else least.lower,
        upper=None if most is None else most.upper,
        method=f"{ORDER} within buckets",
    )


def _buckets(vector: Vector) -> list[tuple[float, float, float]]:
    """Return lower end, upper end and count of each bucket, ascending."""
    return _classic(vector) or _native(vector)


def _holding(buckets: list[tuple[float, float, float]], rank: float) -> Bound | None:
    """Return the bucket of the observation of a rank, which counts from 1; None without observations."""
    reached = 0.0
    for lower, upper, count in buckets:
        reached += count
        if count and reached >= rank * (1 - 1e-12):  # 0.95 * n is not always exact
            return Bound(lower, None if math.isinf(upper) else upper)
    return None


def _classic(vector: Vector) -> list[tuple[float, float, float]]:
    points = sorted((float(s.metric["le"]), float(s.value[1])) for s in vector if "le" in s.metric and s.value)
    lower, before = 0.0, 0.0
    buckets = []
    for upper, cumulative in points:
        buckets.append((lower, upper, cumulative - before))
        lower, before = upper, cumulative
    return buckets


def _native(vector: Vector) -> list[tuple[float, float, float]]:
    sample = next((s for s in vector if s.histogram), None)
    return _parse(sample) if sample else []


def _parse(sample: Sample) -> list[tuple[float, float, float]]:
    assert sample.histogram is not None
    return [(float(lower), float(upper), float(count)) for _, lower, upper, count in sample.histogram[1].buckets]

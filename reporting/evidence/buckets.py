"""The bucket that a quantile falls in: the error bound of a PromQL percentile."""

from __future__ import annotations

import math

import msgspec

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
    buckets = _classic(vector) or _native(vector)
    total = sum(count for _, _, count in buckets)
    if not total:
        return None
    reached = 0.0
    for lower, upper, count in buckets:
        reached += count
        if count and reached >= quantile * total * (1 - 1e-12):  # 0.95 * n is not always exact
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

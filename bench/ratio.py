"""Ratios of paired measurements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from reelbench.reporting.statistics.intervals import mean_interval


@dataclass(frozen=True, slots=True)
class Ratio:
    """A geometric mean of ratios with its 95 % interval; no limits for a single pair."""

    value: float
    lower: float | None
    upper: float | None

    def __str__(self) -> str:
        """Return the ratio with its interval."""
        limits = ""
        if self.lower is not None and self.upper is not None:
            limits = f" (95 % interval {self.lower:.3f} to {self.upper:.3f})"
        return f"{self.value:.3f}{limits}"


def ratio(values: Sequence[float], references: Sequence[float]) -> Ratio:
    """Compare pair by pair with Student's t of the logarithms, so a ratio and its inverse have the same weight."""
    logs = [math.log(value / reference) for value, reference in zip(values, references, strict=True)]
    limits = mean_interval(logs)
    return Ratio(
        math.exp(math.fsum(logs) / len(logs)),
        None if limits.lower is None else math.exp(limits.lower),
        None if limits.upper is None else math.exp(limits.upper),
    )

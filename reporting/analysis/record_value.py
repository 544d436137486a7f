"""The value of an indicator that is computed from records."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RecordValue:
    """A number with its sample size."""

    value: float
    n: int

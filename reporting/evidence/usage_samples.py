"""Readings of CPU time and memory of the processes of a run, as columns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import numpy as np

from reelbench.loadgen.record.processes import Part, UsageSample

LEAST = 5
"""Samples within a case from which on the readings are used."""
LONGEST_GAP = 1.0
"""Seconds between two readings from which on they do not show the case."""

Column = np.ndarray[Any, np.dtype[np.float64]]


def _empty() -> Column:
    return np.empty(0)


@dataclass(frozen=True, slots=True)
class UsageSamples:
    """All readings of a run."""

    times: Column = field(default_factory=_empty)
    cpu: dict[Part, Column] = field(default_factory=dict)
    """CPU seconds; 0 before a part was seen."""
    memory: dict[Part, Column] = field(default_factory=dict)

    @classmethod
    def of(cls, samples: Iterable[UsageSample]) -> Self:
        """Return the readings of a file as columns."""
        kept = list(samples)
        seen = [part for part in Part if any(part in one.parts for one in kept)]
        return cls(
            times=np.array([one.at for one in kept]),
            cpu={part: np.array([one.parts[part].cpu if part in one.parts else 0.0 for one in kept]) for part in seen},
            memory={
                part: np.array([float(one.parts[part].memory) if part in one.parts else 0.0 for one in kept])
                for part in seen
            },
        )

    def of_case(
        self, kind: Literal["cpu", "memory"], started: float, ended: float, rest: float, *parts: Part
    ) -> tuple[tuple[float, float], ...] | None:
        """Return times and sums of some parts through a case and its rests; None where the readings do not show it.

        Args:
            kind: what is added up.
            started: begin of the case.
            ended: its end.
            rest: seconds around it without load.
            parts: workers need not exist, all others must have been seen.
        """
        columns = self.cpu if kind == "cpu" else self.memory
        if any(part not in columns and part is not Part.WORKERS for part in parts):
            return None
        inner = slice(*np.searchsorted(self.times, (started, ended)))
        first, last = (int(found) for found in np.searchsorted(self.times, (started - rest, ended + rest)))
        first, last = min(first, max(inner.start - 1, 0)), max(last, inner.stop + 1)
        times = self.times[first:last]
        within = self.times[max(inner.start - 1, 0) : inner.stop + 1]
        if inner.stop - inner.start < LEAST or within[0] > started or within[-1] < ended:
            return None
        if float(np.max(np.diff(within))) > LONGEST_GAP:
            return None
        summed = sum((columns[part][first:last] for part in parts if part in columns), np.zeros(len(times)))
        return tuple(zip(times.tolist(), summed.tolist(), strict=True))

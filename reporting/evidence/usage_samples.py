"""Readings of CPU time and memory of the processes of a run, as columns."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from itertools import repeat
from operator import sub
from typing import Literal, Self

import msgspec

from reelbench.loadgen.record.processes import Part, UsageSample

LEAST = 5
"""Samples within a case from which on the readings are used."""
LONGEST_GAP = 1.0
"""Seconds between two readings from which on they do not show the case."""


class UsageSamples(msgspec.Struct, frozen=True):
    """All readings of a run."""

    times: tuple[float, ...] = ()
    cpu: dict[Part, tuple[float, ...]] = msgspec.field(default_factory=dict)
    """CPU seconds; 0 before a part was seen."""
    memory: dict[Part, tuple[float, ...]] = msgspec.field(default_factory=dict)

    @classmethod
    def of(cls, samples: Iterable[UsageSample]) -> Self:
        """Return the readings of a file as columns."""
        kept = list(samples)
        seen = [part for part in Part if any(part in one.parts for one in kept)]
        return cls(
            times=tuple(one.at for one in kept),
            cpu={part: tuple(one.parts[part].cpu if part in one.parts else 0.0 for one in kept) for part in seen},
            memory={
                part: tuple(float(one.parts[part].memory) if part in one.parts else 0.0 for one in kept)
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
        begin, end = bisect_left(self.times, started), bisect_left(self.times, ended)
        within = self.times[max(begin - 1, 0) : end + 1]
        if end - begin < LEAST or within[0] > started or within[-1] < ended:
            return None
        if max(map(sub, within[1:], within)) > LONGEST_GAP:
            return None
        first = min(bisect_left(self.times, started - rest), max(begin - 1, 0))
        last = max(bisect_left(self.times, ended + rest), end + 1)
        chosen = [columns[part][first:last] for part in parts if part in columns]
        totals = map(sum, zip(*chosen, strict=True)) if chosen else repeat(0.0)
        return tuple(zip(self.times[first:last], totals, strict=False))

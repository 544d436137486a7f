"""The workload of a run: which prompt, wishes and reference each job has, in file order or drawn by the seed."""

from __future__ import annotations

import bisect
import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Final, Literal, Protocol, get_args

import msgspec

from reelbench.loadgen.plan.prompts import Builtin
from reelbench.loadgen.plan.row import Row
from reelbench.loadgen.plan.row_file import RowFile
from reelbench.loadgen.record.run import DocumentRecord, WorkloadRecord

Order = Literal["file", "drawn"]
ORDERS: tuple[Order, ...] = get_args(Order)

_STEP: Final = (math.sqrt(5) - 1) / 2
"""Golden ratio: multiples of it, modulo 1, fill the unit interval evenly at every length."""
_NO_WISHES: Final = Row(number=0)


class Placed(Protocol):
    """A job of a plan."""

    @property
    def scenario(self) -> str:
        """Name of its scenario."""

    @property
    def case(self) -> str:
        """Name of its case."""


@dataclass(frozen=True)
class Workload:
    """Where jobs get their prompts, wishes and references from.

    Each case begins with the first row, so cases of different load do the same work. Warm-up jobs have the rows at the
    end of the file.
    """

    builtin: Builtin
    """Prompts of jobs whose row has none."""
    prompts: RowFile | None = None
    order: Order = "file"
    images: tuple[str, ...] = ()
    """Names of the references that jobs upload, in order; a row can name another one."""
    arrivals: RowFile | None = None
    """Trace of the scenario `replay`."""
    speed: float = 1.0

    def row(self, place: str, number: int) -> Row:
        """Return what a job asks for.

        Args:
            place: seed, scenario and case as text, the seed of the draw.
            number: position of the job among the measured ones, negative in the warm-up.
        """
        if self.prompts is None:
            return _NO_WISHES
        rows = self.prompts.rows
        return rows[self._drawn(place, number) if self.order == "drawn" else number % len(rows)]

    def arrival(self, index: int, base: Row) -> Row:
        """Return what an arrival of the trace asks for; wishes that it does not have are those of `base`."""
        assert self.arrivals is not None, "a replay has a trace"
        return self.arrivals.rows[index].over(base)

    def image(self, number: int) -> str | None:
        """Return the name of the reference that a job uploads; None without references."""
        return self.images[number % len(self.images)] if self.images else None

    def repetitions(self, plan: Iterable[Placed]) -> Iterator[str]:
        """Yield a sentence if a case of a plan has more jobs than the file has prompts."""
        most = max(Counter((job.scenario, job.case) for job in plan).values(), default=0)
        if self.prompts is not None and most > self.prompts.record.rows:
            yield (
                f"{self.prompts.record.name} has {self.prompts.record.rows:,} rows and the largest case {most:,} jobs: "
                "rows are used more than once"
            )

    def record(self, references: tuple[DocumentRecord, ...]) -> WorkloadRecord:
        """Return the description for ``run.json``; `references` are all images and videos."""
        return WorkloadRecord(
            builtin=self.builtin,
            prompts=self.prompts.record if self.prompts is not None else None,
            order=self.order,
            arrivals=self.arrivals.record if self.arrivals is not None else None,
            speed=self.speed,
            references=list(references),
        )

    def _drawn(self, place: str, number: int) -> int:
        """Return the index of the row that a job draws.

        Draws are evenly spread instead of independent, so the weights hold in a case of ten jobs, too. The draw of a
        job depends on the place and on its own number only.
        """
        begin = int.from_bytes(hashlib.sha256(f"{place}:rows".encode()).digest()[:6]) / 2**48
        share = (begin + number * _STEP) % 1.0
        found = bisect.bisect_right(self._bounds, share * self._bounds[-1])
        return min(found, self._last)

    @cached_property
    def _bounds(self) -> list[float]:
        """Upper bound of each row in the sum of weights."""
        assert self.prompts is not None, "only the rows of a file are drawn"
        return list(accumulate(row.weight for row in self.prompts.rows))

    @cached_property
    def _last(self) -> int:
        """Index of the last row with a weight, for the rounding of sums."""
        assert self.prompts is not None, "only the rows of a file are drawn"
        return max(index for index, row in enumerate(self.prompts.rows) if row.weight > 0)


def with_names(file: RowFile, names: dict[str, str]) -> RowFile:
    """Return a file whose rows have the names of references instead of paths."""
    rows = tuple(
        msgspec.structs.replace(row, image=names[row.image]) if row.image is not None else row for row in file.rows
    )
    return RowFile(file.record, file.folder, rows)


DOCUMENT: Final = Workload("document")
"""Prompts around a document: the workload of this project's own service."""

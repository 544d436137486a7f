"""The part of a case from which its rates and its response times are taken: its steady part, or all of it."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

import msgspec

from reelbench.loadgen.record.jobs import JobRecord, Outcome
from reelbench.reporting.statistics.steady_part import TOO_FEW, NoSteadyPart


class Basis(StrEnum):
    """What part of a case gives its rates and its response times."""

    WHOLE = "whole case"
    """There is no burst and no drain to leave out, or the jobs are not meant to be steady."""
    STEADY = "steady part"
    NO_STEADY_PART = "whole case, as it has no steady part"
    """All jobs, with the burst at the start and the drain at the end."""


class Stretch(msgspec.Struct, frozen=True):
    """The part of a case from which its rates and its response times are taken."""

    basis: Basis
    started: float | None
    ended: float | None
    """None for a case that did not end."""
    jobs: tuple[JobRecord, ...]
    """Measured jobs of any outcome that end in it."""
    missing: NoSteadyPart = TOO_FEW
    """Why there is no steady part, where the basis says so."""

    @property
    def seconds(self) -> float | None:
        """Length."""
        return self.ended - self.started if self.started is not None and self.ended is not None else None

    @property
    def completed(self) -> list[JobRecord]:
        """The jobs that ended with a video."""
        return [job for job in self.jobs if job.outcome is Outcome.COMPLETED]

    def within(self, instants: Iterable[float]) -> list[float]:
        """Return the instants that belong to the part; all of them where it is the whole case."""
        if self.basis is not Basis.STEADY or self.started is None or self.ended is None:
            return list(instants)
        started, ended = self.started, self.ended
        return [instant for instant in instants if started < instant <= ended]

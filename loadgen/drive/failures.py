"""The failures of a run, grouped as they happen: a new kind is shown at once, repeats are counted."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from reelbench.loadgen.record.jobs import JobRecord, Outcome

MOST_KINDS: Final = 20
"""Kinds of one scenario that are kept apart: a server may give each job an error of its own."""
LONGEST: Final = 160
"""Characters of an error that are shown."""
_VARIES = re.compile(r"\b[0-9a-f]{8,}\b|\b[0-9a-f]{8}-[0-9a-f-]{27}\b|\d+(?:\.\d+)?", re.IGNORECASE)
"""Parts of an error that differ from job to job: ids and numbers."""
_OTHER: Final = ("", "", "other failures")
_COMPLETED: Final = Outcome.COMPLETED
_NO_FAILURES = frozenset({Outcome.COMPLETED, Outcome.CANCELLED, Outcome.ABORTED})


@dataclass(frozen=True, slots=True)
class Failure:
    """A kind of failure, and how many of it are new."""

    scenario: str
    case: str
    """Where the first of them happened."""
    outcome: str
    operation: str
    error: str
    count: int
    repeated: bool
    """False: the first one of its kind."""

    @property
    def line(self) -> str:
        """One line of text."""
        where = f" in {self.operation}" if self.operation else ""
        what = f"{self.outcome}{where}: {self.error}" if self.outcome else self.error
        times = f"{self.count} more" if self.repeated else "failure"
        return f"{times}, {self.scenario} {self.case}: {what}"


class Failures:
    """Groups the failed jobs of one scenario after the other."""

    def __init__(self) -> None:
        self._scenario = ""
        self._shown: dict[tuple[str, str, str], Failure] = {}
        """The first failure of each kind, by its kind."""
        self._repeats: dict[tuple[str, str, str], int] = {}
        """Failures of each kind since they were shown last."""

    def add(self, job: JobRecord) -> Failure | None:
        """Count a job; return the failure if its kind is new in the scenario, else None."""
        outcome, integrity = job.outcome, job.integrity
        if outcome is _COMPLETED and (integrity is None or integrity == "ok"):  # most jobs
            return None
        if job.scenario != self._scenario:
            self._scenario = job.scenario
            self._shown.clear()
            self._repeats.clear()
        corrupt = integrity not in {None, "ok"}
        if outcome in _NO_FAILURES and not corrupt:
            return None
        error = job.error or "no reason given"
        kind = (str(integrity if outcome is _COMPLETED else outcome), operation_of(job), _VARIES.sub("#", error))
        if kind not in self._shown and len(self._shown) >= MOST_KINDS:
            kind = _OTHER
        if kind in self._shown:
            self._repeats[kind] = self._repeats.get(kind, 0) + 1
            return None
        shown = error if len(error) <= LONGEST else f"{error[: LONGEST - 3]}..."
        found = Failure(
            job.scenario, job.case, kind[0], kind[1], kind[2] if kind == _OTHER else shown, 1, repeated=False
        )
        self._shown[kind] = found
        return found

    def repeats(self, case: str) -> list[Failure]:
        """Return the kinds that happened again since they were shown last; they count from zero then.

        Args:
            case: the case that runs.
        """
        again, self._repeats = self._repeats, {}
        return [
            Failure(self._scenario, case, one.outcome, one.operation, one.error, count, repeated=True)
            for one, count in ((self._shown[kind], count) for kind, count in again.items())
        ]


def operation_of(job: JobRecord) -> str:
    """Return the operation at which a job failed."""
    if job.outcome is Outcome.FAILED:
        return "the job"
    if job.accepted is None:
        return "create"
    return "poll" if job.ended is None and job.outcome is not Outcome.COMPLETED else "content"

"""Progress of a run: a live line per case on a terminal, else plain lines."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from reelbench.loadgen.record.jobs import JobRecord, Outcome

_COMPLETED: Final = Outcome.COMPLETED
REFRESHES: Final = 4
"""Updates of the live line per second."""


@dataclass(slots=True)
class _Case:
    title: str
    total: int
    task: TaskID | None
    in_flight: int = 0
    responses: list[float] = field(default_factory=list)
    """Of completed jobs."""
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    first_start: float = math.inf
    last_done: float = -math.inf
    shown: float = -math.inf
    """When the live line was updated last."""


class ProgressView:
    """Shows the progress of a run; use as a context manager."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._case: _Case | None = None
        self._live: Progress | None = None
        if console.is_terminal:
            self._live = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=20),
                MofNCompleteColumn(),
                TextColumn("{task.fields[numbers]}"),
                TextColumn("ETA"),
                TimeRemainingColumn(compact=True),
                console=console,
                refresh_per_second=REFRESHES,
                redirect_stdout=False,  # standard output is the trace stream
                redirect_stderr=False,
            )

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, line: str) -> None:
        """Show one line of text."""
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def begin(self, scenario: str, case: str, total: int) -> None:
        """Start the line of a case with `total` jobs, warm-up included."""
        title = f"{scenario} {case}"
        task = self._live.add_task(title, total=total, numbers="") if self._live is not None else None
        self._case = _Case(title=title, total=total, task=task)

    def job_started(self) -> None:
        """Count a job in flight."""
        if self._case is not None:
            self._case.in_flight += 1

    def job_ended(self, job: JobRecord) -> None:
        """Count an ended job."""
        case = self._case
        if case is None:
            return
        case.in_flight -= 1
        case.outcomes[job.outcome] += 1
        if not job.warmup:
            due, done = job.due, job.done
            if job.outcome is _COMPLETED:  # a refusal is fast, and says nothing of the time that a video takes
                case.responses.append(done - due)
            # Not by min and max, whose calls take most of the time of this method.
            if due < case.first_start:  # noqa: PLR1730
                case.first_start = due
            if done > case.last_done:  # noqa: PLR1730
                case.last_done = done
        # Sorting thousands of values at every end of a job would take CPU time from the load.
        if self._live is not None and job.done - case.shown >= 1 / REFRESHES:
            case.shown = job.done
            self._show(case)

    def end(self) -> None:
        """Close the line of the case."""
        case, self._case = self._case, None
        if case is None:
            return
        if self._live is not None:
            self._show(case)
            return
        if not case.total:
            self.say(f"{case.title}  no jobs")
            return
        window = case.last_done - case.first_start
        rate = f"  {_rate(len(case.responses) / window)}" if window > 0 and case.responses else ""
        done = sum(case.outcomes.values())
        self.say(f"{case.title}  {done}/{case.total} jobs  P95 {_p95(case.responses)}{rate}{_troubles(case.outcomes)}")

    def _show(self, case: _Case) -> None:
        """Update the live line of a case."""
        if self._live is not None and case.task is not None:
            numbers = f"{case.in_flight} in flight  P95 {_p95(case.responses)}{_troubles(case.outcomes)}"
            self._live.update(case.task, completed=sum(case.outcomes.values()), numbers=numbers)


def _p95(responses: list[float]) -> str:
    """Return the nearest-rank P95 of responses, which it sorts: sorted again, they cost little."""
    if not responses:
        return "- (none completed)"
    responses.sort()
    return f"{responses[math.ceil(0.95 * len(responses)) - 1]:.2f} s"


def _troubles(outcomes: Counter[Outcome]) -> str:
    return "".join(
        f"  {count} {outcome.value}" for outcome, count in sorted(outcomes.items()) if outcome is not Outcome.COMPLETED
    )


def _rate(per_second: float) -> str:
    """Return a rate of jobs per second, or per hour where that would round to nothing."""
    return f"{per_second:.1f} jobs/s" if per_second >= 0.1 else f"{per_second * 3_600:.3g} jobs/h"  # noqa: PLR2004 - one digit

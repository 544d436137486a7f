"""Progress of a run: counts of the case that runs, the share of the plan that is done, and the failures."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

from rich.console import Console

from reelbench.loadgen.drive.display import REPEAT_SECONDS, Seen, display
from reelbench.loadgen.drive.failures import Failures
from reelbench.loadgen.drive.style import Style
from reelbench.loadgen.record.jobs import JobRecord, Outcome
from reelbench.loadgen.record.remaining import Remaining
from reelbench.loadgen.record.run import ScenarioRecord

_COMPLETED: Final = Outcome.COMPLETED


@dataclass(slots=True)
class _Case:
    scenario: str
    name: str
    total: int
    in_flight: int = 0
    responses: list[float] = field(default_factory=list)
    """Of completed jobs."""
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    first_start: float = math.inf
    last_done: float = -math.inf
    shown: float = -math.inf
    """When the case was shown last."""
    repeated: float = -math.inf
    """When repeats of failures were shown last."""


class ProgressView:
    """Shows the progress of a run; use as a context manager."""

    def __init__(self, console: Console, style: Style = Style.AUTO, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._remaining = Remaining(())
        self._failures = Failures()
        self._case: _Case | None = None
        self._display = display(style, console, self._left)

    def __enter__(self) -> Self:
        self._display.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._display.stop()

    def plan(self, scenarios: Sequence[ScenarioRecord]) -> None:
        """Take the plan, of which the view shows how much is done."""
        self._remaining = Remaining(scenarios)

    def say(self, line: str) -> None:
        """Show one line of text."""
        self._display.say(line)

    def error(self, line: str) -> None:
        """Show why the run ends."""
        self._display.error(line)

    def begin(self, scenario: str, case: str, total: int) -> None:
        """Start a case with `total` jobs, warm-up included."""
        now = self._clock()
        self._remaining.begin(scenario, case, now)
        self._case = _Case(scenario, case, total, shown=now, repeated=now)
        self._display.begin(self._seen(self._case))

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
        self._remaining.ended(job)
        if not job.warmup:
            due, done = job.due, job.done
            if job.outcome is _COMPLETED:  # a refusal is fast, and says nothing of the time that a video takes
                case.responses.append(done - due)
            # Not by min and max, whose calls take most of the time of this method.
            if due < case.first_start:  # noqa: PLR1730
                case.first_start = due
            if done > case.last_done:  # noqa: PLR1730
                case.last_done = done
        if (new := self._failures.add(job)) is not None:
            self._display.failure(new)
        # Sorting thousands of values at every end of a job would take CPU time from the load.
        if job.done - case.shown >= self._display.due:
            case.shown = job.done
            self._display.going(self._seen(case))
        if job.done - case.repeated >= REPEAT_SECONDS:
            self._repeats(case, job.done)

    def end(self) -> None:
        """Close the case."""
        case, self._case = self._case, None
        if case is None:
            return
        self._repeats(case, self._clock())
        window = case.last_done - case.first_start
        rate = len(case.responses) / window if window > 0 and case.responses else None
        self._display.over(self._seen(case, rate))

    def _repeats(self, case: _Case, now: float) -> None:
        case.repeated = now
        for failure in self._failures.repeats(case.name):
            self._display.failure(failure)

    def _left(self) -> float | None:
        return self._remaining.seconds(self._clock())

    def _seen(self, case: _Case, rate: float | None = None) -> Seen:
        return Seen(
            scenario=case.scenario,
            case=case.name,
            done=sum(case.outcomes.values()),
            total=case.total,
            in_flight=case.in_flight,
            p95=_p95(case.responses),
            rate=rate,
            outcomes={str(outcome): count for outcome, count in case.outcomes.items()},
            share=self._remaining.share,
            plan_done=self._remaining.done,
            plan_total=self._remaining.planned,
            left=self._left(),
        )


def _p95(responses: list[float]) -> float | None:
    """Return the nearest-rank P95 of responses, which it sorts: sorted again, they cost little."""
    if not responses:
        return None
    responses.sort()
    return responses[math.ceil(0.95 * len(responses)) - 1]

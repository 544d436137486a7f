"""The part of a plan that is done while a run goes on, and an estimate of the time that the rest takes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reelbench.loadgen.record.jobs import JobRecord
from reelbench.loadgen.record.run import CaseRecord, ScenarioRecord


@dataclass(slots=True)
class _Entry:
    """One planned case."""

    scenario: ScenarioRecord
    case: CaseRecord
    done: int = 0
    """Jobs that have ended."""
    response: float = 0.0
    """Seconds of all of them together."""
    begun: float | None = None

    @property
    def jobs(self) -> int:
        return self.case.planned + self.case.warmup


class Remaining:
    """Follows a run through its plan: jobs that are done, and seconds that are left.

    The length of an open or idle case is known. A closed case lasts as long as its jobs take: those that have ended in
    it say how long, before that those of the closed case with the most similar number of virtual users.
    """

    def __init__(self, scenarios: Sequence[ScenarioRecord]) -> None:
        self._entries = [_Entry(scenario, case) for scenario in scenarios for case in scenario.cases]
        self._places = {(one.scenario.name, one.case.name): number for number, one in enumerate(self._entries)}
        self._at = -1
        """Position of the case that runs, or ran last."""
        self._last: _Entry | None = None
        """The case of the job that ended last."""
        self._response: float | None = None
        """Mean seconds of a job in the last case with jobs."""

    @property
    def planned(self) -> int:
        """Jobs of the plan, warm-up included."""
        return sum(one.jobs for one in self._entries)

    @property
    def done(self) -> int:
        """Jobs that have ended, and those of cases that were passed over."""
        return sum(one.jobs if self._over(number) else one.done for number, one in enumerate(self._entries))

    @property
    def share(self) -> float:
        """Share of the plan that is done, from 0 to 1: of its jobs, or of its cases where no job is planned."""
        if planned := self.planned:
            return min(1.0, self.done / planned)
        return max(self._at, 0) / len(self._entries) if self._entries else 0.0

    def begin(self, scenario: str, case: str, at: float) -> None:
        """Note that a case began at a Unix time; earlier scenarios are over."""
        self._at = self._places.get((scenario, case), self._at)
        if self._at >= 0:
            self._entries[self._at].begun = at

    def ended(self, job: JobRecord) -> None:
        """Count an ended job."""
        one = self._last
        if one is None or one.case.name != job.case or one.scenario.name != job.scenario:
            number = self._places.get((job.scenario, job.case))
            if number is None:
                return
            one = self._last = self._entries[number]
        one.done += 1
        one.response += job.done - job.due
        self._response = one.response / one.done

    def seconds(self, now: float) -> float | None:
        """Return an estimate of the seconds until the end of the load; None: no job has ended that could say it."""
        left = list(self._left(now))
        return None if None in left else math.fsum(part for part in left if part is not None)

    def _over(self, number: int) -> bool:
        """Return whether a case is over: an earlier one, except in a search, which has an order of its own."""
        if self._at < 0:
            return False
        current, one = self._entries[self._at], self._entries[number]
        if one.scenario.name != current.scenario.name:
            return number < self._at
        return number < self._at and not _searches(one.scenario)

    def _left(self, now: float) -> Iterator[float | None]:
        """Yield the seconds of each part that is left; None where they are not known."""
        for scenario in {one.scenario.name: one.scenario for one in self._entries}.values():
            entries = [one for one in self._entries if one.scenario.name == scenario.name]
            waiting = []
            for one in entries:
                number = self._places[scenario.name, one.case.name]
                if number == self._at:
                    yield self._seconds(one, now)
                elif one.begun is None and not self._over(number):
                    waiting.append(self._seconds(one, now))
            yield from _visited(scenario, waiting, len(entries))
            if waiting or (self._at >= 0 and self._entries[self._at].scenario.name == scenario.name):
                yield scenario.rest

    def _seconds(self, one: _Entry, now: float) -> float | None:
        """Return the seconds that a case still takes."""
        case, spent = one.case, now - one.begun if one.begun is not None else 0.0
        rest = one.scenario.rest
        if case.arrivals is not None:
            warmup = case.warmup / case.arrivals.rate if case.arrivals.rate else 0.0
            return max(0.0, warmup + case.arrivals.seconds + rest - spent)
        if case.model == "idle":
            return max(0.0, (case.idle_seconds or 0.0) + rest - spent)
        response = one.response / one.done if one.done else self._response_with(case.concurrency)
        jobs = max(0, one.jobs - one.done)
        if response is None:
            return None if jobs else 0.0
        cycle = max(response, case.pace or 0.0)
        return jobs * cycle / max(1, min(case.concurrency, one.jobs)) + (rest if one.begun is None else 0.0)

    def _response_with(self, users: int) -> float | None:
        """Return the mean seconds of a job in the case most similar to a closed one; None before any job has ended."""
        known = [one for one in self._entries if one.done and one.case.model == "closed"]
        if not known or users < 1:
            return self._response
        nearest = min(reversed(known), key=lambda one: abs(math.log(max(one.case.concurrency, 1) / users)))
        return nearest.response / nearest.done


def _searches(scenario: ScenarioRecord) -> bool:
    return scenario.search is not None and not scenario.search.exhaustive


def _visited(scenario: ScenarioRecord, waiting: list[float | None], cases: int) -> list[float | None]:
    """Return the cases of those waiting that will run: of a search, as many as its bisection needs."""
    if not _searches(scenario):
        return waiting
    visits = max(0, math.ceil(math.log2(cases + 1)) - (cases - len(waiting)))
    return waiting[:visits]

"""What the live page shows of a run: what runs now, jobs, failures, faults, verdicts, and the charts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import msgspec

from reelbench.loadgen.drive.failures import Failure, Failures
from reelbench.loadgen.record.jobs import JobRecord
from reelbench.loadgen.record.processes import UsageSample
from reelbench.loadgen.record.remaining import Remaining
from reelbench.loadgen.record.run import RunRecord, ScenarioRecord
from reelbench.loadgen.record.run_files import RecordError
from reelbench.loadgen.record.stack import StackRecord, read_stack
from reelbench.reporting.analysis.timeline import Timeline
from reelbench.reporting.catalogue.prices import PricesError
from reelbench.reporting.catalogue.sli_file import CatalogueError
from reelbench.suite.live.axis import Axis
from reelbench.suite.live.early import Early
from reelbench.suite.live.follow import Follower
from reelbench.suite.live.gauges import Gauges

MOST_FAILURES = 30
MEGA = 1e6
Judge = Callable[[Path, str, str, RunRecord], list[Early]]
Phase = Literal["starting", "running", "reports", "ended"]


class ShownFault(msgspec.Struct, frozen=True):
    """A fault of the case that runs."""

    name: str
    since: float
    """Seconds since the start of the run."""
    ended: bool


class State(msgspec.Struct, frozen=True, kw_only=True):
    """A run at one instant, without its charts."""

    run_id: str
    target: str = ""
    profile: str = ""
    phase: Phase = "starting"
    scenario: str = ""
    title: str = ""
    case: str = ""
    elapsed: float = 0.0
    share: float = 0.0
    done: int = 0
    planned: int = 0
    left: float | None = None
    outcomes: dict[str, int] = {}
    failures: tuple[str, ...] = ()
    faults: tuple[ShownFault, ...] = ()
    verdicts: tuple[Early, ...] = ()
    notes: tuple[str, ...] = ()


class LiveRun:
    """One run that is followed."""

    def __init__(self, folder: Path, judge: Judge | None = None) -> None:
        self._folder = folder
        self._judge = judge
        self._follower = Follower(folder)
        self._gauges = Gauges(self._stack)
        self._found: StackRecord | None = None
        self._axis: Axis | None = None
        self._remaining = Remaining(())
        self._planned: list[str] = []
        self._at: tuple[str, str] | None = None
        self._outcomes: Counter[str] = Counter()
        self._failures = Failures()
        self._shown: list[Failure] = []
        self._verdicts: list[Early] = []
        self._judged: set[tuple[str, str]] = set()
        self._usage: UsageSample | None = None

    def look(self, now: float) -> tuple[State, Timeline | None]:
        """Read what is new; return the state and the charts."""
        news = self._follower.read()
        heads = self._follower.heads
        if not heads:
            return State(run_id=self._folder.name), None
        run = heads[0]
        axis = self._axis = self._axis or Axis(run.started)
        if news.head:
            self._plan(heads)
        self._begin(run)
        for job in news.jobs:
            self._remaining.ended(job)
            if not job.warmup:
                self._outcomes[str(job.outcome)] += 1
            self._fail(job)
        self._count_repeats()
        axis.add(news.jobs)
        self._use(news.usage)
        end = now if run.ended is None else run.ended
        if run.ended is None:
            for one in self._gauges.read(now):
                if not (self._usage is not None and one.panel in {"cpu", "memory"}):
                    axis.gauge(one.panel, one.line, one.at, one.value)
        axis.until(end)
        if len(heads) == 1:
            self._decide(run)
        return self._state(run, len(heads), now), axis.timeline(end, run, _known(run, end))

    def _stack(self) -> StackRecord | None:
        if self._found is None:
            try:
                self._found = read_stack(self._folder)
            except RecordError:
                return None
        return self._found

    def _plan(self, heads: list[RunRecord]) -> None:
        """Take the plan of all load generators, once; their shares add up."""
        names = [head.run_id + str(head.replica) for head in heads]
        if names != self._planned:
            self._planned = names
            self._remaining = Remaining(heads[0].scenarios) if len(heads) == 1 else Remaining(_added(heads))

    def _begin(self, run: RunRecord) -> None:
        """Note the case that runs."""
        running = [(s, c) for s in run.scenarios if s.started is not None for c in s.cases]
        scenario = next((s for s in reversed(run.scenarios) if s.started is not None), None)
        if scenario is None or not running:
            return
        waiting = [c for c in scenario.cases if c.ended is None and not c.not_needed]
        case = waiting[0] if waiting else scenario.cases[-1]
        if self._at != (scenario.name, case.name):
            self._at = (scenario.name, case.name)
            ends = [c.ended for c in scenario.cases if c.ended is not None]
            self._remaining.begin(*self._at, max(ends, default=scenario.started or run.started))

    def _fail(self, job: JobRecord) -> None:
        """Count a job if it failed; the failures of the scenario before are complete when another one begins."""
        if self._shown and self._shown[-1].scenario != job.scenario:
            self._count_repeats()
        if (failure := self._failures.add(job)) is not None:
            self._shown.append(failure)

    def _count_repeats(self) -> None:
        for again in self._failures.repeats(self._at[1] if self._at else ""):
            kind = (again.scenario, again.outcome, again.operation, again.error)
            for number, one in enumerate(self._shown):
                if (one.scenario, one.outcome, one.operation, one.error) == kind:
                    self._shown[number] = replace(one, count=one.count + again.count)
        self._shown = self._shown[-MOST_FAILURES:]

    def _use(self, samples: list[UsageSample]) -> None:
        """Draw CPU and memory as the machine shows them."""
        assert self._axis is not None, "the run has a head"
        for sample in samples:
            self._usage = sample
            for part, usage in sample.parts.items():
                self._axis.gauge("cpu", part.value, sample.at, usage.cpu)
                self._axis.gauge("memory", part.value, sample.at, usage.memory / MEGA)

    def _decide(self, run: RunRecord) -> None:
        """Judge the cases that have ended since the last look."""
        for scenario in run.scenarios:
            for case in scenario.cases:
                place = (scenario.name, case.name)
                if case.ended is None or place in self._judged:
                    continue
                if self._judge is None:
                    from reelbench.suite.live.verdicts import early_verdicts  # noqa: PLC0415 - scipy takes a second

                    self._judge = early_verdicts
                self._judged.add(place)
                try:
                    self._verdicts += self._judge(self._folder, *place, run)
                except (RecordError, CatalogueError, PricesError):  # the report says it
                    continue

    def _state(self, run: RunRecord, generators: int, now: float) -> State:
        scenario = next((s for s in run.scenarios if self._at and s.name == self._at[0]), None)
        notes = (
            [f"{generators} load generators share the plan; verdicts come with the report"] if generators > 1 else []
        )
        place = self._at or ("", "")
        return State(
            run_id=self._folder.name,
            target=run.target,
            profile=run.profile,
            phase="running" if run.ended is None else "reports",
            scenario=place[0],
            title=scenario.title if scenario else "",
            case=place[1],
            elapsed=round((run.ended or now) - run.started, 1),
            share=round(self._remaining.share, 4),
            done=self._remaining.done,
            planned=self._remaining.planned,
            left=_rounded(self._remaining.seconds(now)) if run.ended is None else 0.0,
            outcomes=dict(self._outcomes),
            failures=tuple(_counted(one) for one in reversed(self._shown)),
            faults=tuple(
                ShownFault(f"{one.target} {one.kind}", round(one.started - run.started, 1), one.ended is not None)
                for one in run.faults
                if (one.scenario, one.case) == place
            ),
            verdicts=tuple(reversed(self._verdicts)),
            notes=tuple(notes),
        )


def _counted(failure: Failure) -> str:
    """Return a kind of failure with the number of its jobs, in one line."""
    jobs = f"{failure.count:,} job{'' if failure.count == 1 else 's'}"
    return f"{jobs}, {failure.line.partition(', ')[2]}"


def _known(run: RunRecord, end: float) -> float:
    """Return the Unix time until which each job that was in flight has a record."""
    if run.ended is not None:
        return end
    ends = [case.ended for scenario in run.scenarios for case in scenario.cases if case.ended is not None]
    return max(ends, default=run.started)


def _added(heads: list[RunRecord]) -> list[ScenarioRecord]:
    """Return the scenarios with the jobs and virtual users of all shares together."""
    return [
        msgspec.structs.replace(
            scenarios[0],
            cases=[
                msgspec.structs.replace(
                    cases[0],
                    planned=sum(case.planned for case in cases),
                    warmup=sum(case.warmup for case in cases),
                    concurrency=sum(case.concurrency for case in cases),
                )
                for cases in zip(*(scenario.cases for scenario in scenarios), strict=False)
            ],
        )
        for scenarios in zip(*(head.scenarios for head in heads), strict=False)
    ]


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)

"""Runs planned scenarios: the load of each case, the windows, and the head of the run at every change."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import msgspec
from opentelemetry.context import Context

from reelbench.loadgen.control.faults import Injector
from reelbench.loadgen.control.observer import Observer
from reelbench.loadgen.control.toggles import Switcher
from reelbench.loadgen.drive.clock import Clock
from reelbench.loadgen.drive.health import Health
from reelbench.loadgen.drive.job import JobRunner
from reelbench.loadgen.drive.open_loop import OpenLoop
from reelbench.loadgen.drive.progress import ProgressView
from reelbench.loadgen.drive.reconcile import count_store
from reelbench.loadgen.drive.replicas import Replica
from reelbench.loadgen.drive.share import WHOLE, Share
from reelbench.loadgen.drive.stop import Stop, run_unless
from reelbench.loadgen.metrics import Metrics
from reelbench.loadgen.plan.fault_plan import PlannedFault
from reelbench.loadgen.plan.plan import PlannedJob
from reelbench.loadgen.plan.scenario import Case, Profile, Scenario
from reelbench.loadgen.record.jobs import JobRecord, RequestRecord
from reelbench.loadgen.record.journal import Journal
from reelbench.loadgen.record.run import ArrivalsRecord, CaseRecord, RunRecord, RunState, ScenarioRecord

IDLE_SAMPLES = 3
"""Least samples of each gauge in an idle case."""
LEAD_SECONDS = 0.05
"""From the start of an open case to its first possible arrival, so that this one is not late already."""


def rest_of(scenario: Scenario, interval: float) -> float:
    """Seconds of rest around the cases of a scenario: none, or long enough for a sample of every gauge in each.

    Args:
        scenario: says how long, for a stack that samples every second.
        interval: seconds between two samples of this stack.
    """
    return max(scenario.rest, 1.1 * interval) if scenario.rest else 0.0


def pending(
    scenario: Scenario,
    profile: Profile,
    plan: Sequence[PlannedJob],
    share: Share = WHOLE,
    interval: float = 0.0,
) -> ScenarioRecord:
    """Give the record of a scenario that has not begun, with the numbers of this generator's share of the plan."""
    owned = {case.name: share_of(plan, scenario, case, share) for case in scenario.cases}

    return ScenarioRecord(
        name=scenario.name,
        dimension=scenario.dimension,
        title=scenario.title,
        why=scenario.why,
        steps=list(scenario.steps),
        state=RunState.PENDING,
        started=None,
        ended=None,
        cases=[
            CaseRecord(
                name=case.name,
                model=case.model,
                concurrency=share.slots(case.concurrency),
                pace=case.pace,
                planned=sum(not job.warmup for job in owned[case.name]),
                warmup=sum(job.warmup for job in owned[case.name]),
                started=None,
                ended=None,
                generator_cpu=None,
                loop_lag_p99=None,
                switches=case.switches.given(),
                prompts=case.prompts,
                arrivals=_arrivals(case, profile, share),
            )
            for case in scenario.cases
        ],
        objectives=dict(scenario.objectives),
        store=None,
        rest=rest_of(scenario, interval),
    )


def share_of(plan: Sequence[PlannedJob], scenario: Scenario, case: Case, share: Share) -> list[PlannedJob]:
    """The jobs of a case that a share owns."""
    return [
        job
        for job in plan
        if (job.scenario, job.case) == (scenario.name, case.name)
        and (share.owns_arrival(job.index) if case.model == "open" else share.owns(job.index, case.concurrency))
    ]


def _arrivals(case: Case, profile: Profile, share: Share) -> ArrivalsRecord | None:
    if case.rate is None or case.seconds is None or case.arrivals is None:
        return None
    return ArrivalsRecord(
        process=case.arrivals,
        rate=case.rate.of(profile) / share.count,
        seconds=case.seconds.of(profile),
        drain=case.drain,
        max_in_flight=share.most(case.max_in_flight),
        burst_rate=case.burst.rate.of(profile) / share.count if case.burst else None,
        burst_at=case.burst.at.of(profile) if case.burst else None,
        burst_seconds=case.burst.seconds.of(profile) if case.burst else None,
    )


class Recorder:
    """Takes the records of jobs and requests to the journal, the metrics and the user."""

    def __init__(self, *, run_id: str, journal: Journal, metrics: Metrics, view: ProgressView) -> None:
        self._run_id = run_id
        self._journal = journal
        self._metrics = metrics
        self._view = view
        self.kept: set[str] = set()
        """Ids of the jobs accepted and not deleted since the last `clear`."""

    def clear(self) -> None:
        """Begin a new scenario."""
        self.kept.clear()

    def job_started(self) -> None:
        """Take note that a job was sent."""
        self._metrics.job_started()
        self._view.job_started()

    def job_ended(self, job: JobRecord, context: Context) -> None:
        """Keep the record of a job."""
        if job.job_id is not None and not job.deleted:
            self.kept.add(job.job_id)
        self._journal.job(job)
        self._metrics.job_ended(self._run_id, job, context)
        self._view.job_ended(job)

    def request_ended(self, request: RequestRecord, context: Context) -> None:
        """Keep the record of a request."""
        self._journal.request(request)
        self._metrics.request_ended(self._run_id, request, context)


@dataclass(slots=True)
class Runner:
    """Runs the scenarios of one run, one after the other."""

    run: RunRecord
    """The head as last written."""
    profile: Profile
    plan: Sequence[PlannedJob]
    planned_faults: Sequence[PlannedFault]
    jobs: JobRunner
    recorder: Recorder
    journal: Journal
    view: ProgressView
    clock: Clock
    stop: Stop
    faults: Injector
    switcher: Switcher
    observer: Observer
    interval: float = 0.0
    """Seconds between two samples of a gauge, where that is known to be long."""
    replica: Replica | None = None
    """Set when other load generators run the rest of the plan; the first of them controls faults and switches."""

    async def run_all(self, scenarios: Sequence[Scenario]) -> None:
        """Run every scenario, or as many as begin before the user stops the run.

        Raises:
            JournalError: the run cannot be written any more; the state is then failed where that could be written.
        """
        self.faults.changed = lambda: self._head(faults=list(self.faults.records))
        self._head(state=RunState.RUNNING, switches=await self.observer.switches())
        try:
            for position, scenario in enumerate(scenarios):
                if self.stop.draining.is_set():
                    break
                await self._run_scenario(position, scenario)
        except BaseException:
            self._head(state=RunState.FAILED, ended=self.clock.now())
            raise
        state = RunState.INTERRUPTED if self.stop.draining.is_set() else RunState.COMPLETED
        self._head(state=state, ended=self.clock.now())

    async def _run_scenario(self, position: int, scenario: Scenario) -> None:
        started = self.clock.now()
        self.recorder.clear()
        self._update(position, state=RunState.RUNNING, started=started)
        try:
            for number, case in enumerate(scenario.cases):
                if self.stop.draining.is_set():
                    break
                ended = await self._run_case(scenario, case, self.run.scenarios[position].cases[number])
                cases = list(self.run.scenarios[position].cases)
                cases[number] = ended
                self._update(position, cases=cases)
            await self._rest(scenario)
        except BaseException:
            self.run.scenarios[position] = msgspec.structs.replace(
                self.run.scenarios[position], state=RunState.FAILED, ended=self.clock.now()
            )
            raise
        ended_at = self.clock.now()
        for name in await self.faults.left():
            self.view.say(f"warning: {name} was still in force after {scenario.name}, and is lifted now")
        audit = await run_unless(self.stop.aborted, self.observer.audit())
        store = await run_unless(self.stop.aborted, count_store(self.jobs.target, self.recorder.kept, started))
        state = RunState.INTERRUPTED if self.stop.draining.is_set() else RunState.COMPLETED
        self._update(position, state=state, ended=ended_at, store=store, audit=audit)

    async def _run_case(self, scenario: Scenario, case: Case, record: CaseRecord) -> CaseRecord:
        share = self.replica.share if self.replica else WHOLE
        planned = share_of(self.plan, scenario, case, share)
        measured = [job for job in planned if not job.warmup]
        place = f"{scenario.name}:{case.name}"
        self.view.begin(scenario.name, case.name, len(planned))
        try:
            async with (
                self.switcher.during(case.switches.given() if share.index == 0 else {}),
                AsyncExitStack() as stack,
            ):
                # All slots pass this barrier together, so that no warm-up job runs beside a measured one.
                await self._together(f"{place}:warmup")
                arriving = None
                if case.model == "open":
                    arriving = await stack.enter_async_context(self._open_loop(scenario, case, share))
                    await arriving.send([job for job in planned if job.warmup], arriving.origin)
                else:
                    await self._closed_loop(scenario, case, None, iter([job for job in planned if job.warmup]))
                    await self._together(place)
                    await self._rest(scenario)
                if self.stop.draining.is_set():
                    if arriving is not None:
                        await arriving.finish(())
                    return record
                faults = self._faults(scenario, case)
                async with self.faults.during(faults):
                    started = self.clock.now() if arriving is None else arriving.origin
                    async with Health() as health:
                        if arriving is None:
                            await self._load(scenario, case, measured)
                        else:
                            await arriving.finish(measured)
                        ended = self.clock.now()
                if case.switches.given() or scenario.dimension == "resources":
                    # What one of them now changes or looks at must hold for the jobs of all.
                    await self._together(f"{place}:end")
                if faults or (scenario.dimension == "resources" and share.index == 0):
                    record = await self._observe(scenario.name, record, started)
            return msgspec.structs.replace(
                record,
                started=started,
                ended=ended,
                generator_cpu=health.cpu,
                loop_lag_p99=health.lag_p99,
                loop_lag_p99_lower=health.lag_p99_lower,
            )
        finally:
            self.view.end()

    async def _load(self, scenario: Scenario, case: Case, jobs: list[PlannedJob]) -> None:
        """The measured part of a case."""
        if case.seconds is not None:
            seconds = max(case.seconds.of(self.profile), IDLE_SAMPLES * self.interval)
            await run_unless(self.stop.draining, asyncio.sleep(seconds))
        else:
            await self._closed_loop(scenario, case, case.pace, iter(jobs))

    def _open_loop(self, scenario: Scenario, case: Case, share: Share) -> OpenLoop:
        assert case.seconds is not None, "the scenario is checked"
        return OpenLoop(
            jobs=self.jobs,
            scenario=scenario,
            clock=self.clock,
            stop=self.stop,
            origin=self.clock.now() + LEAD_SECONDS + case.warmup_seconds.of(self.profile),
            seconds=case.seconds.of(self.profile),
            drain=case.drain,
            most=share.most(case.max_in_flight),
        )

    async def _rest(self, scenario: Scenario) -> None:
        """Send nothing for as long as the scenario says, so that gauges show what has been left behind."""
        if rest := rest_of(scenario, self.interval):
            await run_unless(self.stop.draining, asyncio.sleep(rest))

    def _faults(self, scenario: Scenario, case: Case) -> tuple[PlannedFault, ...]:
        """The faults of a case, if they are for this generator to inject."""
        if self.replica is not None and self.replica.share.index > 0:
            return ()
        return tuple(
            fault for fault in self.planned_faults if (fault.scenario, fault.case) == (scenario.name, case.name)
        )

    async def _observe(self, scenario: str, case: CaseRecord, since: float) -> CaseRecord:
        """Keep what the service and its providers saw of a case that began at `since`, and what could not be read."""
        calls, complete = await self.observer.calls(scenario, case.name, since)
        self.journal.calls(calls)
        transitions = await self.observer.transitions(scenario, case.name, since)
        self._head(transitions=[*self.run.transitions, *(transitions or ())])
        return msgspec.structs.replace(case, breakers_read=transitions is not None, calls_read=complete)

    async def _together(self, phase: str) -> None:
        """Wait for the other load generators of the run, unless the user stops it."""
        if self.replica is not None:
            await self.replica.together(phase, self.stop.draining)

    async def _closed_loop(
        self, scenario: Scenario, case: Case, pace: float | None, jobs: Iterator[PlannedJob]
    ) -> None:
        """Keep this generator's slots busy until the plan is used up or the user stops; a job is due when its slot is.

        With a pace, a slot is due again no sooner than that many seconds after it was due last, and the slots begin
        evenly spread over the first of these intervals.
        """
        slots = (self.replica.share if self.replica else WHOLE).slots(case.concurrency)

        async def slot(number: int) -> None:
            due = self.clock.now() + (pace or 0.0) * number / slots
            while not self.stop.draining.is_set() and (planned := next(jobs, None)) is not None:
                await self._until(due)
                if not self.stop.draining.is_set():
                    await self.jobs.run(planned, scenario, due)
                due = max(self.clock.now(), due + (pace or 0.0))

        async def all_slots() -> None:
            async with asyncio.TaskGroup() as group:
                for number in range(slots):
                    group.create_task(slot(number))

        try:
            await run_unless(self.stop.aborted, all_slots())
        except BaseExceptionGroup as group:  # a slot only fails when the run cannot go on: the first reason is the one
            raise group.exceptions[0] from None

    async def _until(self, due: float) -> None:
        """Wait for an instant, or for the user to stop the run; timers may fire early, so the clock decides."""
        while (left := due - self.clock.now()) > 0 and not self.stop.draining.is_set():
            await run_unless(self.stop.draining, asyncio.sleep(left))

    def _update(self, position: int, **changes: object) -> None:
        scenarios = list(self.run.scenarios)
        scenarios[position] = msgspec.structs.replace(scenarios[position], **changes)
        self._head(scenarios=scenarios)

    def _head(self, **changes: object) -> None:
        self.run = msgspec.structs.replace(self.run, **changes)
        self.journal.head(self.run)

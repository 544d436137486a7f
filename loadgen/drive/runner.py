"""Runner of planned scenarios: load, faults and time window of each case."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, AsyncExitStack, nullcontext
from dataclasses import dataclass
from typing import Literal

import msgspec

from reelbench.loadgen.clock import Clock
from reelbench.loadgen.control.faults import Injector
from reelbench.loadgen.control.observer import Observer
from reelbench.loadgen.control.toggles import Toggler
from reelbench.loadgen.drive.closed_loop import ClosedLoop
from reelbench.loadgen.drive.conditions import Conditions
from reelbench.loadgen.drive.health import Health
from reelbench.loadgen.drive.job import JobRunner
from reelbench.loadgen.drive.job_integrity import count_store
from reelbench.loadgen.drive.open_loop import OpenLoop
from reelbench.loadgen.drive.progress import ProgressView
from reelbench.loadgen.drive.rate_search import CaseOrder, InOrder, RateSearch, expected
from reelbench.loadgen.drive.recorder import Recorder, RunHead, cooldown_of, share_of
from reelbench.loadgen.drive.replicas import FAULT_LEAD, WHOLE, Replica, Share
from reelbench.loadgen.drive.stop import Stop, run_unless
from reelbench.loadgen.plan.fault_plan import PlannedFault, sides
from reelbench.loadgen.plan.plan import PlannedJob
from reelbench.loadgen.plan.scenario import Case, Profile, Scenario
from reelbench.loadgen.record.jobs import JobRecord
from reelbench.loadgen.record.journal import Journal
from reelbench.loadgen.record.rate_rule import RateLimits, Result, judge
from reelbench.loadgen.record.run import AuditRecord, CaseRecord, RunState, StoreCount
from reelbench.loadgen.target.target import Target
from reelbench.loadgen.videos.check import VideoCheck

IDLE_SAMPLES = 3
"""Minimum samples of each gauge in an idle case."""
LEAD_SECONDS = 0.05
"""Time from the start of an open case to its first possible arrival, so the first arrival is not late."""


@dataclass(frozen=True, slots=True)
class Runner:
    """Runs the scenarios of one run, one after the other."""

    profile: Profile
    plan: Sequence[PlannedJob]
    planned_faults: Sequence[PlannedFault]
    head: RunHead
    target: Target
    jobs: JobRunner
    recorder: Recorder
    journal: Journal
    view: ProgressView
    clock: Clock
    stop: Stop
    faults: Injector
    toggler: Toggler
    observer: Observer
    interval: float = 0.0
    """Seconds between two samples of a gauge in this stack."""
    rest: float = 0.0
    """Seconds without load also before the warm-up of a case, so that the metrics of the server show it apart."""
    deadline: float = math.inf
    """Unix time after which no case begins: the end of the time budget."""
    videos: VideoCheck | None = None
    """Check of the downloaded files of a case after its window; None: no file is checked."""
    replica: Replica | None = None
    """Set when other load generators run the rest of the plan; the first of them controls faults and toggles."""
    conditions: Conditions | None = None
    """Records what could disturb the cases; None: nothing is recorded of it."""
    proxied: JobRunner | None = None
    """Runs the jobs of scenarios with faults of the network, through their proxy."""

    @property
    def share(self) -> Share:
        """The part of the plan that this generator runs."""
        return self.replica.share if self.replica else WHOLE

    @property
    def _leads(self) -> bool:
        """Whether this generator controls and reads what all load generators of the run share."""
        return self.share.index == 0

    async def run_all(self, scenarios: Sequence[Scenario]) -> None:
        """Run every scenario; after a stop, no further scenario begins.

        Raises:
            JournalError: the run cannot be written any more; ``run.json`` says failed if that could be written.
        """
        self.head.begin(await self.observer.toggles())
        try:
            for position, scenario in enumerate(scenarios):
                if self.stop.requested.is_set() or self._over(scenario.name):
                    break
                await self._run_scenario(position, scenario)
            await self._together("end")
        except BaseException:
            self.head.end(RunState.FAILED, self.clock.now())
            raise
        state = self._state()
        self.stop.end()  # before others can read that the run has ended, and send a signal
        self.head.end(state, self.clock.now())

    async def _run_scenario(self, position: int, scenario: Scenario) -> None:
        await self._read_clocks(scenario, "before")
        started = self.clock.now()
        self.recorder.begin_scenario()
        self.head.update_scenario(position, state=RunState.RUNNING, started=started)
        try:
            async with self._processes(scenario):
                await self._run_cases(position, scenario)
                await self._cool_down(scenario)
        except BaseException:
            self.head.update_scenario(position, state=RunState.FAILED, ended=self.clock.now())
            raise
        ended_at = self.clock.now()
        stored = await self._stored_by_all(scenario)
        audit, store = await self._left_behind(scenario, started, stored) if self._leads else (None, None)
        await self._read_clocks(scenario, "after")
        self.head.update_scenario(position, state=self._state(), ended=ended_at, store=store, audit=audit)

    async def _left_behind(
        self, scenario: Scenario, started: float, stored: frozenset[str] | None
    ) -> tuple[AuditRecord | None, StoreCount | None]:
        """Lift the faults that are left, and read what the service has left, once for all load generators."""
        for name in await self.faults.lift_rest():
            self.view.say(f"warning: fault {name} was still in force after {scenario.name}; it is lifted now")
        ours = self.target.ours is not False
        audit = await run_unless(self.stop.aborted, self.observer.audit()) if ours else None
        if stored is None:
            return audit, None
        counted = count_store(self.target, stored, self._theirs(started))
        return audit, await run_unless(self.stop.aborted, counted)

    async def _stored_by_all(self, scenario: Scenario) -> frozenset[str] | None:
        """Return the ids of the stored jobs of all load generators, once all have ended the scenario; None: unknown."""
        if self.replica is None:
            return self.recorder.stored
        found = await self.replica.gathered(f"{scenario.name}:ended", self.recorder.stored, self.stop.requested)
        return None if self.stop.requested.is_set() else found

    async def _run_cases(self, position: int, scenario: Scenario) -> None:
        """Run the cases of a scenario in order; of a search, the rates that decide it."""
        record = self.head.scenario(position).search
        searched = record is not None and not record.exhaustive
        order: CaseOrder = self._search(position) if searched else InOrder(len(scenario.cases))
        while (number := order.next()) is not None:
            case = scenario.cases[number]
            if self.stop.requested.is_set() or self._over(f"{scenario.name} {case.name}"):
                return
            with self._kept(searched=searched) as jobs:
                ended = await self._run_case(scenario, case, self.head.case(position, number))
            self.head.update_case(position, number, ended)
            if self.videos is not None:
                await run_unless(self.stop.aborted, self.videos.run())
            if record is not None and searched and not self.stop.requested.is_set():
                order.learn(number, self._judged(ended, jobs, record.limits))
        for number, planned in enumerate(self.head.scenario(position).cases):
            if searched and planned.started is None:
                self.head.update_case(position, number, msgspec.structs.replace(planned, not_needed=True))

    def _search(self, position: int) -> RateSearch:
        rates = [case.arrivals.rate for case in self.head.scenario(position).cases if case.arrivals is not None]
        return RateSearch(len(rates), expected(rates, self.head.run))

    def _kept(self, *, searched: bool) -> AbstractContextManager[list[JobRecord]]:
        """Return the jobs that end in a case of a search; other cases keep none in memory."""
        return self.recorder.keeping() if searched else nullcontext([])

    def _judged(self, record: CaseRecord, jobs: Sequence[JobRecord], limits: RateLimits) -> Result:
        """Return what a case of a search says of its rate, and show it."""
        assert record.arrivals is not None, "a search has open cases"
        assert record.started is not None, "the case has ended"
        load = record.arrivals
        found = judge(
            jobs,
            started=record.started,
            seconds=load.seconds,
            offered=record.planned,
            process=load.process,
            limits=limits,
        )
        late = f": jobs were sent {found.lateness * 1000:.0f} ms late (P99)" if found.late else ""
        self.view.say(f"{load.rate:g} jobs/s: {found.result}{late}")
        return found.result

    def _state(self) -> RunState:
        return RunState.INTERRUPTED if self.stop.requested.is_set() else RunState.COMPLETED

    def _over(self, place: str) -> bool:
        """Return whether the time budget is over, and tell the user where the run ends."""
        if self.clock.now() < self.deadline:
            return False
        self.view.say(f"the time budget is over before {place}: the rest of the plan is not run")
        return True

    async def _run_case(self, scenario: Scenario, case: Case, record: CaseRecord) -> CaseRecord:
        planned = share_of(self.plan, scenario, case, self.share)
        self.view.begin(scenario.name, case.name, len(planned))
        try:
            async with self.toggler.during(case.toggles.given() if self._leads else {}):
                record = await self._run_jobs(scenario, case, record, planned)
                self.journal.settle()
                return record
        finally:
            self.view.end()

    async def _run_jobs(
        self, scenario: Scenario, case: Case, record: CaseRecord, planned: Sequence[PlannedJob]
    ) -> CaseRecord:
        """Run warm-up and measured part of a case; return the record of the case."""
        warmup, measured = ([job for job in planned if job.warmup is which] for which in (True, False))
        phase = f"{scenario.name}:{case.name}"
        async with AsyncExitStack() as stack:
            # All replicas pass this barrier together, so no warm-up job runs at the same time as a measured one.
            await self._together(f"{phase}:warmup")
            if warmup and self.rest:
                await run_unless(self.stop.requested, asyncio.sleep(self.rest))
            arrivals = agreed = None
            if case.model == "open":
                begin = await self._agreed(phase)
                arrivals = await stack.enter_async_context(self._open_loop(scenario, case, begin))
                agreed = None if begin is None else arrivals.origin
                await arrivals.send(warmup, arrivals.origin)
            else:
                await self._closed_loop(scenario, case).run(warmup)
                await self._together(phase)
                await self._cool_down(scenario)
                agreed = await self._agreed(phase)
            if self.stop.requested.is_set():
                if arrivals is not None:
                    await arrivals.finish(())
                return record
            faults = self._faults(scenario, case)
            origin = agreed if arrivals is None else None
            if origin is not None:
                await self._reach(origin - FAULT_LEAD)
            async with self._observed(scenario, case), self.faults.during(faults, origin):
                if origin is not None:
                    await self._reach(origin)
                started = self.clock.now() if arrivals is None else arrivals.origin
                async with Health() as health:
                    if arrivals is not None:
                        await arrivals.finish(measured)
                    elif case.seconds is not None:
                        await self._idle(case.seconds.of(self.profile))
                    else:
                        await self._closed_loop(scenario, case).run(measured, case.pace)
                    ended = self.clock.now()
                # Faults are lifted, toggles restored and counts read only after the jobs of all replicas have ended.
                await self._together(f"{phase}:end")
            if faults or (scenario.dimension == "resources" and self._leads):
                record = await self._observe(scenario.name, record, started)
        return msgspec.structs.replace(
            record,
            started=started,
            ended=ended,
            agreed=agreed,
            generator_cpu=health.cpu,
            loop_lag_p99=health.lag_p99,
            loop_lag_p99_lower=health.lag_p99_lower,
            stood_still=health.stood_still,
        )

    async def _read_clocks(self, scenario: Scenario, when: Literal["before", "after"]) -> None:
        if self.conditions is not None:
            await run_unless(self.stop.aborted, self.conditions.read_clocks(self.clock, scenario.name, when))

    def _theirs(self, at: float) -> float:
        """Return an instant of this run on the clock of the target."""
        return at + (self.conditions.of_target() if self.conditions is not None else 0.0)

    def _observed(self, scenario: Scenario, case: Case) -> AbstractAsyncContextManager[None]:
        """Return the observation of the machine during a case."""
        return nullcontext() if self.conditions is None else self.conditions.case(scenario.name, case.name)

    def _processes(self, scenario: Scenario) -> AbstractAsyncContextManager[object]:
        """Return the reading of the processes during a scenario."""
        return nullcontext() if self.conditions is None else self.conditions.processes(scenario.dimension)

    def _closed_loop(self, scenario: Scenario, case: Case) -> ClosedLoop:
        users = self.share.users(case.concurrency)
        return ClosedLoop(jobs=self._jobs(scenario), scenario=scenario, clock=self.clock, stop=self.stop, users=users)

    def _open_loop(self, scenario: Scenario, case: Case, begin: float | None) -> OpenLoop:
        assert case.seconds is not None, "the scenario is checked"
        return OpenLoop(
            jobs=self._jobs(scenario),
            scenario=scenario,
            clock=self.clock,
            stop=self.stop,
            origin=(self.clock.now() if begin is None else begin) + LEAD_SECONDS + case.warmup_seconds.of(self.profile),
            seconds=case.seconds.of(self.profile),
            graceful_stop=case.graceful_stop,
            most=self.share.most(case.max_in_flight),
        )

    def _jobs(self, scenario: Scenario) -> JobRunner:
        if "network" not in sides(scenario):
            return self.jobs
        assert self.proxied is not None, "scenarios without their proxy are left out"
        return self.proxied

    async def _idle(self, seconds: float) -> None:
        """Send nothing in an idle case, long enough for some samples of every gauge."""
        await run_unless(self.stop.requested, asyncio.sleep(max(seconds, IDLE_SAMPLES * self.interval)))

    async def _cool_down(self, scenario: Scenario) -> None:
        """Send nothing for the cooldown of the scenario, so gauges show what the load left behind."""
        if cooldown := cooldown_of(scenario, self.interval):
            await run_unless(self.stop.requested, asyncio.sleep(cooldown))

    def _faults(self, scenario: Scenario, case: Case) -> tuple[PlannedFault, ...]:
        """Return the faults of a case that this generator injects."""
        if not self._leads:
            return ()
        return tuple(
            fault for fault in self.planned_faults if (fault.scenario, fault.case) == (scenario.name, case.name)
        )

    async def _observe(self, scenario: str, case: CaseRecord, since: float) -> CaseRecord:
        """Store calls and breaker changes of a case that began at `since`; return its record with what was read."""
        observer = self.observer if self.conditions is None else self.observer.with_clocks(self.conditions.ahead)
        calls, complete = await observer.calls(scenario, case.name, since)
        self.journal.calls(calls)
        transitions = await observer.transitions(scenario, case.name, since)
        self.head.add_transitions(transitions or ())
        return msgspec.structs.replace(case, breakers_read=transitions is not None, calls_read=complete)

    async def _agreed(self, phase: str) -> float | None:
        """Return the instant at which all load generators begin, on the clock of this one; None: it is the only one."""
        if self.replica is None:
            return None
        return await self.replica.instant(phase, self.clock, self.stop.requested)

    async def _reach(self, instant: float) -> None:
        """Wait for an instant, unless the user stops the run; timers may fire early, so the clock decides."""
        while (left := instant - self.clock.now()) > 0 and not self.stop.requested.is_set():
            await run_unless(self.stop.requested, asyncio.sleep(left))

    async def _together(self, phase: str) -> None:
        """Wait for the other load generators of the run, unless the user stops it."""
        if self.replica is not None:
            await self.replica.together(phase, self.stop.requested)

"""One run from its settings to its exit code: composes all parts."""

from __future__ import annotations

import dataclasses
from contextlib import AsyncExitStack

from opentelemetry import metrics
from rich.console import Console

from reelbench import HOME
from reelbench.exit_code import ExitCode
from reelbench.loadgen import telemetry
from reelbench.loadgen.control.admin_client import Controls
from reelbench.loadgen.control.faults import FaultError, Injector
from reelbench.loadgen.control.observer import Observer
from reelbench.loadgen.control.preflight import feasible
from reelbench.loadgen.control.toggles import Switcher, SwitchError
from reelbench.loadgen.drive.clock import Clock
from reelbench.loadgen.drive.job import JobRunner
from reelbench.loadgen.drive.progress import ProgressView
from reelbench.loadgen.drive.replicas import Replica, ReplicaError, join
from reelbench.loadgen.drive.runner import Recorder, Runner, pending
from reelbench.loadgen.drive.share import WHOLE, Share
from reelbench.loadgen.drive.stop import Stop, run_unless, signalled
from reelbench.loadgen.metrics import Metrics
from reelbench.loadgen.plan.fault_plan import Side, plan_all_faults
from reelbench.loadgen.plan.plan import plan_hash, plan_run, to_bytes
from reelbench.loadgen.plan.scenario import Case
from reelbench.loadgen.record.environment import describe
from reelbench.loadgen.record.journal import Journal, JournalError
from reelbench.loadgen.record.run import RunRecord, RunState
from reelbench.loadgen.record.run_files import SCHEMA_VERSION
from reelbench.loadgen.settings import Settings
from reelbench.loadgen.target.target import Target, TargetError

SPARE_CONNECTIONS = 4
"""Connections of the pool beyond the jobs in flight, for a slot's cleanup beside its next job."""
HOLD_SECONDS = 20.0
"""How long pulled metrics stay up after the run for their last scrape, unless a signal ends it."""


async def execute(settings: Settings, console: Console) -> int:
    """Run the scenarios and give the exit code; nothing is written before the target has answered.

    Args:
        settings: what to run.
        console: standard error.
    """
    view = ProgressView(console)
    stop = Stop()
    with stop.on_signals(view.say):
        try:
            await _run_or_share(settings, view, stop)
        except ReplicaError as error:
            view.say(f"error: {error}")
            return ExitCode.INCONCLUSIVE
        except TargetError as error:
            view.say(f"error: {error}")
            return ExitCode.ABSENT
        except (JournalError, FaultError, SwitchError) as error:
            view.say(f"error: {error}")
            return ExitCode.INCONCLUSIVE
        interrupted = stop.draining.is_set()
    if telemetry.pulled():
        # The last values must be scraped before they are gone with this process; whoever started it sees when they are.
        await signalled(HOLD_SECONDS)
    return ExitCode.INTERRUPTED if interrupted else ExitCode.PASS


async def _run_or_share(settings: Settings, view: ProgressView, stop: Stop) -> None:
    if settings.rendezvous is None:
        await _run(settings, view, stop, None)
        return
    replica = await join(settings.rendezvous, settings.run_id, stop=stop.draining)
    if replica is None:
        return
    view.say(f"replica {replica.name} of run {replica.run_id}")
    folder = settings.run_dir / f"{replica.run_id}.{replica.name}"
    try:
        await _run(dataclasses.replace(settings, run_id=replica.run_id, run_dir=folder), view, stop, replica)
    finally:
        await replica.close()


async def _run(settings: Settings, view: ProgressView, stop: Stop, replica: Replica | None) -> None:
    assert settings.run_id is not None, "options are checked"
    share = replica.share if replica else WHOLE
    clock = Clock.start()
    tracer = telemetry.tracer()
    connections = max(most_in_flight(case, share) for scenario in settings.scenarios for case in scenario.cases)
    async with AsyncExitStack() as stack:
        target = await stack.enter_async_context(
            Target(settings.target, connections=connections + SPARE_CONNECTIONS, clock=clock, tracer=tracer)
        )
        await run_unless(stop.draining, target.check())
        if stop.draining.is_set():
            return
        service = await stack.enter_async_context(Controls(settings.target))
        offered: dict[Side, Controls] = {"service": service}
        if settings.providers is not None:
            offered["providers"] = await stack.enter_async_context(Controls(settings.providers))
        scenarios, controls = await feasible(settings.scenarios, offered, named=settings.named, say=view.say)
        interval = telemetry.interval()
        plan = plan_run(scenarios, settings.profile, settings.seed)
        faults = plan_all_faults(scenarios, settings.profile, settings.seed)
        encoded = to_bytes(plan, faults)
        head = RunRecord(
            schema_version=SCHEMA_VERSION,
            run_id=settings.run_id,
            profile=settings.profile,
            seed=settings.seed,
            plan_hash=plan_hash(encoded),
            replica=share.index + 1,
            replicas=share.count,
            target=settings.target,
            state=RunState.PENDING,
            started=clock.now(),
            ended=None,
            document=settings.document.record(),
            environment=describe(HOME),
            scenarios=[pending(scenario, settings.profile, plan, share, interval) for scenario in scenarios],
            faults=[],
        )
        with Journal(settings.run_dir, encoded) as journal, view:
            recorder = Recorder(
                run_id=settings.run_id, journal=journal, metrics=Metrics(metrics.get_meter("loadgen")), view=view
            )
            jobs = JobRunner(
                run_id=settings.run_id,
                document=settings.document,
                target=target,
                clock=clock,
                tracer=tracer,
                sink=recorder,
            )
            runner = Runner(
                run=head,
                profile=settings.profile,
                plan=plan,
                planned_faults=faults,
                jobs=jobs,
                recorder=recorder,
                journal=journal,
                view=view,
                clock=clock,
                stop=stop,
                faults=Injector(controls, clock, view.say),
                switcher=Switcher(service, view.say),
                observer=Observer(service, controls),
                interval=interval,
                replica=replica,
            )
            await runner.run_all(scenarios)


def most_in_flight(case: Case, share: Share) -> int:
    """Jobs that a share of a case has in flight at most: what the pool of connections must cover."""
    return share.most(case.max_in_flight) if case.model == "open" else share.slots(case.concurrency)

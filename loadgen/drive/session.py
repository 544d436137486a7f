"""One run from its settings to its exit code: composition of all parts."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from functools import partial

from opentelemetry import metrics
from rich.console import Console

from reelbench import HOME
from reelbench.exit_code import ExitCode
from reelbench.loadgen import telemetry
from reelbench.loadgen.clock import Clock
from reelbench.loadgen.control.admin_client import AdminClient
from reelbench.loadgen.control.command_side import CommandSide
from reelbench.loadgen.control.faults import FaultError, Injector
from reelbench.loadgen.control.fitting import Chosen, fitted
from reelbench.loadgen.control.guard import Guard
from reelbench.loadgen.control.network_side import NetworkSide, added_latency, open_network
from reelbench.loadgen.control.observer import Observer
from reelbench.loadgen.control.preflight import default_choice, preflight
from reelbench.loadgen.control.secrets import without_user
from reelbench.loadgen.control.service_replicas import for_replicas, replicas_of
from reelbench.loadgen.control.side import FaultSide
from reelbench.loadgen.control.toggles import ToggleError, Toggler
from reelbench.loadgen.control.toxiproxy import ToxiproxyError
from reelbench.loadgen.drive.conditions import SETTINGS, Conditions, clocks_of
from reelbench.loadgen.drive.job import JobRunner
from reelbench.loadgen.drive.meeting import join, join_as
from reelbench.loadgen.drive.progress import ProgressView
from reelbench.loadgen.drive.recorder import Recorder, RunHead, pending, with_rest
from reelbench.loadgen.drive.replicas import WHOLE, Replica, ReplicaError, Share
from reelbench.loadgen.drive.runner import Runner
from reelbench.loadgen.drive.sizing import after_one_job, time_budget
from reelbench.loadgen.drive.steps import Steps
from reelbench.loadgen.drive.stop import Stop, run_unless
from reelbench.loadgen.drive.style import Style
from reelbench.loadgen.machine.limit import LimitError, others_limit
from reelbench.loadgen.machine.observation import Machine
from reelbench.loadgen.machine.parts import Parts
from reelbench.loadgen.machine.process_parts import ProcessParts
from reelbench.loadgen.machine.process_reader import ProcessReader
from reelbench.loadgen.metrics import Metrics
from reelbench.loadgen.options import Settings
from reelbench.loadgen.plan.budget import BudgetError
from reelbench.loadgen.plan.fault_plan import Side, plan_all_faults, sides
from reelbench.loadgen.plan.plan import PlannedJob, plan_hash, plan_run, to_bytes
from reelbench.loadgen.plan.sampling import sampled
from reelbench.loadgen.plan.scenario import Case, Scenario
from reelbench.loadgen.record.control_token import control_token
from reelbench.loadgen.record.environment import describe
from reelbench.loadgen.record.journal import Journal, JournalError, occupied
from reelbench.loadgen.record.run import ProxyRecord, RunRecord, RunState
from reelbench.loadgen.record.run_files import SCHEMA_VERSION
from reelbench.loadgen.target.target import Target
from reelbench.loadgen.target.target_error import TargetError
from reelbench.loadgen.videos.check import VideoCheck
from reelbench.loadgen.videos.comparison import wish
from reelbench.loadgen.videos.decoder_process import DecoderProcess
from reelbench.loadgen.videos.files import Place, VideoFiles, choose

SPARE_CONNECTIONS = 4
"""Connections of the pool beyond the jobs in flight, for the cleanup of a job while the next one starts."""
WRITE_SECONDS = 0.01
"""Time within which jobs that end share a write to the journal."""
TURN_SECONDS = 0.001
"""How long another thread computes before the event loop gets its turn; five times as long is the default of Python."""
HOLD_SECONDS = 20.0
"""Time for the last scrape of pulled metrics after the run; a signal ends the wait."""


_EXPECTED = (TargetError, BudgetError, LimitError, JournalError, FaultError, ToggleError, ReplicaError)
"""Errors that end a run with one sentence."""


async def execute(settings: Settings, console: Console, style: Style = Style.AUTO) -> ExitCode:
    """Run the scenarios; nothing is written before the target has answered.

    Args:
        settings: what to run.
        console: standard error.
        style: how progress is shown.
    """
    view = ProgressView(console, style)
    stop = Stop()
    with stop.on_signals(view.say):
        try:
            as_planned = await _run_or_share(settings, view, stop)
        except TargetError as error:
            view.error(str(error))
            return ExitCode.ABSENT
        except (BudgetError, LimitError) as error:
            view.error(str(error))
            return ExitCode.USAGE
        except (JournalError, FaultError, ToggleError, ReplicaError) as error:
            view.error(str(error))
            return ExitCode.INCONCLUSIVE
        stop.end()
        if telemetry.pulled():
            # The last values disappear with this process; the parent process sends a signal when they are scraped.
            await run_unless(stop.released, asyncio.sleep(HOLD_SECONDS))
    if stop.requested.is_set():
        return ExitCode.INTERRUPTED
    return ExitCode.PASS if as_planned else ExitCode.INCONCLUSIVE


async def _run_or_share(settings: Settings, view: ProgressView, stop: Stop) -> bool:
    """Return whether every fault of the plan was applied."""
    others_limit(os.environ)  # a mistake in it is found before anything is written
    if settings.rendezvous is None:
        return await _run(settings, view, stop, None)
    replica = await _joined(settings, settings.rendezvous, stop)
    if replica is None:
        return True
    view.say(f"replica {replica.name} of run {replica.run_id}")
    folder = settings.run_dir / f"{replica.run_id}.{replica.name}"
    if (taken := occupied(folder)) is not None:
        raise JournalError(f"{folder} already holds a run ({taken}); choose another --run-dir or --run-id")
    why: str | None = "it failed"
    try:
        as_planned = await _run(
            dataclasses.replace(settings, run_id=replica.run_id, run_dir=folder), view, stop, replica
        )
        why = "the user stopped it" if stop.requested.is_set() else None
    except _EXPECTED as error:
        why = str(error)
        raise
    finally:
        await replica.close(why)
    return as_planned


async def _joined(settings: Settings, url: str, stop: Stop) -> Replica | None:
    """Return this process as one of the replicas of a run; None: the user stopped it first."""
    if settings.replicas is None:
        return await join(url, settings.run_id, stop=stop.requested)
    assert settings.index is not None, "options are checked"
    return await join_as(
        url, settings.index, settings.replicas, settings.run_id, stop=stop.requested, limit=settings.join_limit
    )


async def _run(settings: Settings, view: ProgressView, stop: Stop, replica: Replica | None) -> bool:
    assert settings.run_id is not None, "options are checked"
    share = replica.share if replica else WHOLE
    clock = Clock.start()
    begun = clock.now()
    tracer = telemetry.tracer()
    connections = max(most_in_flight(case, share) for scenario in settings.scenarios for case in scenario.cases)
    async with AsyncExitStack() as stack:
        target = await stack.enter_async_context(
            Target(
                settings.target,
                connections=connections + SPARE_CONNECTIONS,
                clock=clock,
                credentials=settings.credentials,
                server=settings.server,
                model=settings.model,
            )
        )
        await run_unless(stop.requested, target.check())
        if stop.requested.is_set():
            return True
        token = control_token(os.environ)
        service = await stack.enter_async_context(AdminClient(settings.target, settings.credentials, token=token))
        offered: dict[Side, AdminClient] = {"service": service}
        if settings.providers is not None:
            offered["providers"] = await stack.enter_async_context(AdminClient(settings.providers, token=token))
        noted = partial(_noted, target, view)
        service_replicas = 1 if target.ours is False else await replicas_of(service, SETTINGS["service"])
        wanted = _choice(settings, target, service_replicas, noted)
        guard = stack.enter_context(Guard())
        network, without = await _network(wanted, settings.target, guard, stack)
        possible, admin = await preflight(
            wanted, offered, named=settings.named, say=noted, network=without, ours=target.ours
        )
        pace = Chosen(time_limit=settings.time_limit, poll_interval=settings.poll_interval)
        interval = telemetry.interval()
        reader = _reader(settings, clock)
        scenarios = [
            with_rest(one if reader else sampled(one, interval, alone=replica is None), settings.rest)
            for one in fitted(possible, target, pace, settings.inputs.document, named=settings.named, say=view.say)
        ]
        steps = Steps(
            settings.run_id,
            settings.inputs.document,
            target,
            clock,
            references=settings.inputs.references,
            growing_polls=settings.growing_polls,
        )
        seconds = time_budget(settings, ours=target.ours, say=view.say)
        scenarios, budget = await after_one_job(settings, seconds, scenarios, steps, stop, view, replica)
        if stop.requested.is_set():
            return True
        plan = plan_run(scenarios, settings.profile, settings.seed, settings.inputs.workload)
        for note in (*settings.inputs.notes, *settings.inputs.workload.repetitions(plan)):
            view.say(f"note: {note}")
        faults = plan_all_faults(scenarios, settings.profile, settings.seed)
        encoded = to_bytes(plan, faults)
        run = RunRecord(
            schema_version=SCHEMA_VERSION,
            run_id=settings.run_id,
            profile=settings.profile_name or settings.profile,
            seed=settings.seed,
            plan_hash=await _agreed_hash(encoded, replica, stop),
            replica=share.index + 1,
            replicas=share.count,
            target=settings.target,
            state=RunState.PENDING,
            started=clock.now(),
            ended=None,
            document=settings.inputs.document_record(),
            workload=settings.inputs.record(),
            environment=describe(HOME),
            scenarios=[pending(scenario, settings.profile, plan, share, interval) for scenario in scenarios],
            faults=[],
            objectives=dict(settings.objectives),
            budget=budget,
            check_videos="all" if settings.check_videos is None else settings.check_videos,
            proxy=await _proxy_record(network, scenarios, settings),
            server=target.record(),
            service_replicas=service_replicas,
        )
        view.plan(run.scenarios)
        files = VideoFiles(settings.run_dir, _checked(settings, plan))
        with (
            Journal(
                settings.run_dir, encoded, partial(asyncio.get_running_loop().call_later, WRITE_SECONDS)
            ) as journal,
            files.opened(),
            view,
            _loop_first(),
        ):
            head = RunHead(run, journal, target.record)
            made = Metrics(metrics.get_meter("loadgen"), slow=not target.record().ours)
            recorder = Recorder(run_id=settings.run_id, journal=journal, metrics=made, view=view)
            jobs = JobRunner(
                run_id=settings.run_id,
                steps=dataclasses.replace(steps, videos=files),
                clock=clock,
                tracer=tracer,
                sink=recorder,
            )
            videos = VideoCheck(
                files=files,
                decoder=DecoderProcess(),
                asked=partial(wish, sent=target.file.create.fields, frame_rate=target.file.create.fps),
                keep=settings.keep_videos,
                record=journal.video,
                clock=clock,
                say=view.say,
            )
            stack.push_async_callback(videos.close)
            proxied = None
            if network is not None:
                behind = await stack.enter_async_context(target.through(network.address))
                proxied = dataclasses.replace(jobs, steps=dataclasses.replace(jobs.steps, target=behind))
            injector = Injector(_sides(settings, admin, network, guard), clock, view.say, head.faults_changed)
            runner = Runner(
                profile=settings.profile,
                plan=plan,
                planned_faults=faults,
                head=head,
                target=target,
                jobs=jobs,
                recorder=recorder,
                journal=journal,
                view=view,
                clock=clock,
                stop=stop,
                faults=injector,
                toggler=Toggler(service, view.say),
                observer=Observer(service, admin),
                interval=interval,
                rest=settings.rest,
                videos=videos,
                replica=replica,
                deadline=begun + seconds if seconds is not None else math.inf,
                proxied=proxied,
                conditions=await _conditions(settings, journal, target, offered, reader=reader, replica=replica),
            )
            await runner.run_all(scenarios)
            return all(fault.error is None for fault in injector.records)


async def _agreed_hash(plan: bytes, replica: Replica | None, stop: Stop) -> str:
    """Return the hash of the plan, which is that of all replicas.

    Raises:
        ReplicaError: another replica has another plan.
    """
    found = plan_hash(plan)
    if replica is not None:
        await replica.check_plan(found, stop.requested)
    return found


def _choice(settings: Settings, target: Target, replicas: int, note: Callable[[str], None]) -> Sequence[Scenario]:
    """Return the scenarios that the user named, or the default choice for a target, as far as its replicas allow them.

    Raises:
        TargetError: a named scenario, or every scenario, needs a single process.
    """
    wanted: Sequence[Scenario] = settings.scenarios
    if not settings.named:
        wanted = default_choice(wanted, ours=target.ours, metrics=settings.rest is not None)
        if target.ours is False and settings.rest is None:
            note("left out: scenarios of resources: no metrics of the server are known (--metrics)")
    if target.ours is False:
        return wanted
    return for_replicas(wanted, replicas, named=settings.named, say=note)


@contextmanager
def _loop_first() -> Iterator[None]:
    """Keep the event loop from standing still, as jobs would be sent late.

    Garbage is not looked for in modules and plan, a walk of 70 ms. Threads that collect metrics, encode spans or read
    the machine give the interpreter back sooner.
    """
    gc.freeze()
    before = sys.getswitchinterval()
    sys.setswitchinterval(TURN_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
        gc.unfreeze()


def _reader(settings: Settings, clock: Clock) -> ProcessReader | None:
    """Return the reader of the processes of a run; None where those of the target are not visible."""
    reader = ProcessReader(ProcessParts.of_run(settings.target, settings.providers), clock.now)
    return reader if reader.sees_target else None


async def _conditions(
    settings: Settings,
    journal: Journal,
    target: Target,
    offered: Mapping[Side, AdminClient],
    *,
    reader: ProcessReader | None,
    replica: Replica | None,
) -> Conditions:
    """Return the record of the conditions, with what the processes run with."""
    ours = offered if target.ours is not False else {}
    clocks = clocks_of(offered["service"], ours, os.environ)
    if replica is not None:
        clocks = [*clocks, replica.clock]
    conditions = Conditions(journal, Machine(Parts.of_run(settings.target)), others_limit(os.environ), clocks, reader)
    await conditions.describe(ours, os.environ)
    return conditions


async def _network(
    scenarios: Sequence[Scenario], target: str, guard: Guard, stack: AsyncExitStack
) -> tuple[NetworkSide | None, str | None]:
    """Return the proxy for faults of the network, or why there is none; both are None if no scenario needs it."""
    if not any("network" in sides(scenario) for scenario in scenarios):
        return None, None
    try:
        return await stack.enter_async_context(open_network(target, os.environ, guard)), None
    except ToxiproxyError as error:
        return None, str(error)


async def _proxy_record(
    network: NetworkSide | None, scenarios: Sequence[Scenario], settings: Settings
) -> ProxyRecord | None:
    if network is None:
        return None
    direct, through = await added_latency(settings.target, network.address, settings.credentials)
    names = [scenario.name for scenario in scenarios if "network" in sides(scenario)]
    return ProxyRecord(version=network.version, scenarios=names, direct=direct, through=through)


def _sides(
    settings: Settings, admin: Mapping[Side, AdminClient], network: NetworkSide | None, guard: Guard
) -> dict[Side, FaultSide]:
    """Return the sides that can inject faults."""
    found: dict[Side, FaultSide] = {
        **admin,
        "command": CommandSide(
            run_dir=settings.run_dir,
            directory=settings.directory,
            variables=os.environ,
            secret=settings.secret_variables,
            about={"REELBENCH_TARGET": without_user(settings.target), "REELBENCH_RUN_ID": settings.run_id or ""},
            guard=guard,
        ),
    }
    return found if network is None else {**found, "network": network}


def _noted(target: Target, view: ProgressView, line: str) -> None:
    """Show a line about the target and keep it for the record."""
    target.found.note(line)
    view.say(line)


def _checked(settings: Settings, plan: Sequence[PlannedJob]) -> frozenset[Place]:
    """Return the jobs whose files are opened; a file that is kept is always one of them."""
    most = settings.check_videos
    return choose(plan, most if most is None else max(most, settings.keep_videos), settings.seed)


def most_in_flight(case: Case, share: Share) -> int:
    """Return the most jobs that a share of a case has in flight: the size of the connection pool must cover them."""
    return share.most(case.max_in_flight) if case.model == "open" else share.users(case.concurrency)

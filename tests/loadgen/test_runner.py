from __future__ import annotations

import asyncio
import errno
import io
import itertools
import os
from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from rich.console import Console

from reelbench.loadgen import telemetry
from reelbench.loadgen.clock import Clock
from reelbench.loadgen.control.admin_client import AdminClient
from reelbench.loadgen.control.faults import FaultError, Injector
from reelbench.loadgen.control.observer import Observer
from reelbench.loadgen.control.toggles import ToggleError, Toggler
from reelbench.loadgen.drive import job_integrity
from reelbench.loadgen.drive.conditions import Conditions
from reelbench.loadgen.drive.job import JobRunner
from reelbench.loadgen.drive.job_integrity import count_store
from reelbench.loadgen.drive.progress import ProgressView
from reelbench.loadgen.drive.recorder import Recorder, RunHead, pending
from reelbench.loadgen.drive.replicas import WHOLE, Replica
from reelbench.loadgen.drive.runner import Runner
from reelbench.loadgen.drive.steps import Steps
from reelbench.loadgen.drive.stop import Stop
from reelbench.loadgen.metrics import Metrics
from reelbench.loadgen.plan.fault_plan import Side, plan_all_faults
from reelbench.loadgen.plan.plan import plan_hash, plan_run, to_bytes
from reelbench.loadgen.plan.scenario import Scenario
from reelbench.loadgen.record.environment import describe
from reelbench.loadgen.record.jobs import Outcome, read_calls, read_jobs, read_requests
from reelbench.loadgen.record.journal import Journal, JournalError
from reelbench.loadgen.record.run import AuditRecord, DocumentRecord, RunRecord, RunState, read_run
from reelbench.loadgen.target.target import Target
from tests.loadgen.fake_target import FakeTarget, error, serving
from tests.loadgen.harness import DOCUMENT, Telemetry, bench, case, scenario


async def run_on(
    url: str,
    folder: Path,
    specs: list[Scenario],
    stop: Stop | None = None,
    *,
    conditions: Callable[[Journal, AdminClient], Conditions] | None = None,
    clock: Clock | None = None,
    replica: Replica | None = None,
) -> Telemetry:
    """Run scenarios as the command does, with telemetry in memory."""
    share = replica.share if replica is not None else WHOLE
    clock, telemetry = clock or Clock.start(), Telemetry()
    plan, faults = plan_run(specs, "quick", 1), plan_all_faults(specs, "quick", 1)
    run = RunRecord(
        schema_version=1,
        run_id="run-1",
        profile="quick",
        seed=1,
        plan_hash=plan_hash(to_bytes(plan, faults)),
        target=url,
        state=RunState.PENDING,
        started=clock.now(),
        ended=None,
        document=DocumentRecord(name="", sha256="", bytes=0),
        environment=describe(folder),
        scenarios=[pending(spec, "quick", plan, share) for spec in specs],
        faults=[],
        replica=share.index + 1,
        replicas=share.count,
    )
    view = ProgressView(Console(file=io.StringIO()))
    async with (
        Target(url, connections=64, clock=clock) as target,
        AdminClient(url) as controls,
    ):
        sides: dict[Side, AdminClient] = {"service": controls, "providers": controls}
        with Journal(folder, to_bytes(plan, faults), asyncio.get_running_loop().call_soon) as journal:
            head = RunHead(run, journal)
            recorder = Recorder(run_id="run-1", journal=journal, metrics=Metrics(telemetry.meter), view=view)
            jobs = JobRunner(
                run_id="run-1",
                steps=Steps("run-1", DOCUMENT, target, clock),
                clock=clock,
                tracer=telemetry.tracer,
                sink=recorder,
            )
            runner = Runner(
                profile="quick", plan=plan, planned_faults=faults, head=head, target=target, jobs=jobs,
                recorder=recorder, journal=journal, view=view, clock=clock, stop=stop or Stop(),
                observer=Observer(controls, sides), faults=Injector(sides, clock, view.say, head.faults_changed),
                toggler=Toggler(controls, view.say), conditions=conditions(journal, controls) if conditions else None,
                replica=replica,
            )  # fmt: skip
            await runner.run_all(specs)
    return telemetry


SLOW = 600.0
"""Seconds of a job that does not end within a test."""


def _stopping(stop: Stop, number: int) -> Callable[[web.Request], Awaitable[None]]:
    """Return a fault that requests the stop when so many jobs have been sent."""
    sent = itertools.count(1)

    async def look(_: web.Request) -> None:
        if next(sent) == number:
            stop.request()

    return look


async def test_the_closed_loop_keeps_one_job_per_virtual_user_in_flight(tmp_path: Path) -> None:
    fake = FakeTarget(seconds=0.05)
    spec = scenario(steps=["create", "wait"], cases=[case(concurrency=6, iterations=60)])
    async with serving(fake):
        await run_on(fake.url, tmp_path / "run", [spec])
    assert fake.peak == 6
    assert fake.levels[:6] == [1, 2, 3, 4, 5, 6]
    jobs = read_jobs(tmp_path / "run")
    assert len(jobs) == 60
    # A virtual user sends its next job when the last one has ended: 6 jobs are always in flight.
    dues, dones = sorted(job.due for job in jobs), sorted(job.done for job in jobs)
    gaps = [due - done for due, done in zip(dues[6:], dones, strict=False)]
    assert min(gaps) >= -0.001
    assert sorted(gaps)[len(gaps) // 2] < 0.025  # the median, half a job, because a busy machine may delay many


async def test_warm_up_ends_before_the_first_measured_job(tmp_path: Path) -> None:
    fake = FakeTarget(seconds=0.03)
    spec = scenario(cases=[case(concurrency=3, iterations=6, warmup=4)])
    async with serving(fake):
        telemetry = await run_on(fake.url, tmp_path / "run", [spec])
    jobs = read_jobs(tmp_path / "run")
    warm, measured = [job for job in jobs if job.warmup], [job for job in jobs if not job.warmup]
    assert ([job.index for job in warm], len(measured)) == ([0, 1, 2, 3], 6)
    assert max(job.done for job in warm) <= min(job.due for job in measured)
    window = read_run(tmp_path / "run").scenarios[0].cases[0]
    assert window.started is not None
    assert window.ended is not None
    assert max(job.done for job in warm) <= window.started <= min(job.due for job in measured)
    assert max(job.done for job in measured) <= window.ended
    assert [point.value for point in telemetry.points("loadgen.jobs")] == [6]


async def test_records_equal_the_log_of_the_target(tmp_path: Path) -> None:
    fake = FakeTarget(seconds=0.01, failing=lambda number: number % 5 == 0)
    specs = [
        scenario(
            steps=["create", "retrieve", "list", "wait", "manifest", "content", "delete"], cases=[case(iterations=7)]
        ),
        scenario(name="second", encoding="alternate", cases=[case(concurrency=4, iterations=12, warmup=2)]),
    ]
    async with serving(fake):
        await run_on(fake.url, tmp_path / "run", specs)
    requests, jobs = list(read_requests(tmp_path / "run")), read_jobs(tmp_path / "run")
    counted_apart = {"list": 2}  # one page after each scenario counts the jobs in the store
    assert Counter(request.operation for request in requests) == fake.counts() - Counter(counted_apart)
    assert Counter((request.operation, request.status) for request in requests) == Counter(
        (seen.operation, seen.status) for seen in fake.log if seen.traceparent
    )
    assert {job.job_id for job in jobs} == {f"video_{number:04}" for number in range(21)}
    assert {job.job_id for job in jobs if job.outcome is Outcome.FAILED} == {
        f"video_{number:04}" for number in range(0, 21, 5)
    }
    prompts = {f"{job.prompt} Run run-1." for job in plan_run(specs, "quick", 1)}
    assert {upload["prompt"] for upload in fake.uploads} == prompts
    run = read_run(tmp_path / "run")
    assert (run.state, [spec.state for spec in run.scenarios]) == (RunState.COMPLETED, [RunState.COMPLETED] * 2)
    first, second = (spec.store for spec in run.scenarios)
    assert first is not None
    assert (first.expected, first.found, first.error) == (0, 0, None)
    assert second is not None
    assert (second.expected, second.found, second.by_status) == (14, 14, {"completed": 11, "failed": 3})


async def test_metrics_equal_the_records(tmp_path: Path) -> None:
    fake = FakeTarget(seconds=0.01, failing=lambda number: number % 4 == 3)
    spec = scenario(cases=[case(concurrency=2, iterations=10, warmup=1), case(name="n03", concurrency=3, iterations=6)])
    async with serving(fake):
        telemetry = await run_on(fake.url, tmp_path / "run", [spec])
    jobs = [job for job in read_jobs(tmp_path / "run") if not job.warmup]
    requests = [request for request in read_requests(tmp_path / "run") if not request.warmup]
    counted = Counter((job.case, job.outcome.value) for job in jobs)
    assert len(counted) == 4
    place = {"run_id": "run-1", "scenario": "trial"}
    points = telemetry.points("loadgen.jobs")
    assert {(p.attributes["case"], p.attributes["outcome"]): p.value for p in points} == counted
    assert all(place.items() <= p.attributes.items() for p in points)
    for point in telemetry.points("loadgen.job.duration"):
        durations = [
            job.done - job.due
            for job in jobs
            if (job.case, job.outcome.value) == (point.attributes["case"], point.attributes["outcome"])
        ]
        assert (point.count, point.min, point.max) == (len(durations), min(durations), max(durations))
        assert point.sum == pytest.approx(sum(durations), rel=1e-12)
    lateness = {p.attributes["case"]: (p.count, p.max) for p in telemetry.points("loadgen.job.lateness")}
    assert lateness == {
        name: (count, max(job.sent - job.due for job in jobs if job.case == name))
        for name, count in Counter(job.case for job in jobs).items()
    }
    spent = {
        (p.attributes["case"], p.attributes["operation"]): (p.count, p.min)
        for p in telemetry.points("loadgen.request.duration")
    }
    assert spent == {
        key: (len(same), min(same))
        for key in {(request.case, request.operation) for request in requests}
        if (same := [r.duration for r in requests if (r.case, r.operation) == key])
    }
    assert [point.value for point in telemetry.points("loadgen.jobs.in_flight")] == [0]
    roots = [span for span in telemetry.exporter.get_finished_spans() if span.name == "loadgen.job"]
    assert {f"{span.context.trace_id:032x}" for span in roots} == {job.trace_id for job in read_jobs(tmp_path / "run")}
    assert len(roots) == 17


async def test_the_generator_reports_its_own_health(tmp_path: Path) -> None:
    async with serving(FakeTarget(seconds=0.05)) as fake:
        await run_on(fake.url, tmp_path / "run", [scenario(cases=[case(iterations=6)])])
    window = read_run(tmp_path / "run").scenarios[0].cases[0]
    assert window.generator_cpu is not None
    assert 0 < window.generator_cpu < 2
    assert window.loop_lag_p99 is not None
    assert window.loop_lag_p99 >= 0
    assert window.stood_still is not None
    assert window.loop_lag_p99_lower is not None
    assert 0 <= window.loop_lag_p99_lower <= window.loop_lag_p99


async def test_a_graceful_stop_lets_jobs_end_and_sends_no_more(tmp_path: Path) -> None:
    fake, stop = FakeTarget(seconds=0.2), Stop()
    specs = [scenario(cases=[case(concurrency=3, iterations=30)]), scenario(name="never")]

    async def stop_at_the_fourth(_: web.Request) -> None:
        if len(fake.videos) == 3:
            stop.request()

    fake.faults["create"] = stop_at_the_fourth
    async with serving(fake):
        await run_on(fake.url, tmp_path / "run", specs, stop)
    ended = [job.outcome for job in read_jobs(tmp_path / "run")]
    assert ended == [Outcome.COMPLETED] * len(fake.videos)
    assert 4 <= len(ended) <= 6  # the fourth was sent when one of three had ended; other jobs may have been in transit
    run = read_run(tmp_path / "run")
    assert (run.state, [spec.state for spec in run.scenarios]) == (
        RunState.INTERRUPTED,
        [RunState.INTERRUPTED, RunState.PENDING],
    )
    assert run.scenarios[0].store is not None
    assert run.scenarios[0].store.found == len(ended)


async def test_a_graceful_stop_has_a_deadline(tmp_path: Path) -> None:
    fake, stop = FakeTarget(seconds=SLOW), Stop(graceful_seconds=0.2)
    fake.faults["create"] = _stopping(stop, 3)
    spec = scenario(time_limit=SLOW, cases=[case(concurrency=3, iterations=30)])
    async with serving(fake):
        await run_on(fake.url, tmp_path / "run", [spec], stop)
    jobs = read_jobs(tmp_path / "run")
    assert [job.outcome for job in jobs] == [Outcome.ABORTED] * 3
    assert all(job.done - job.due >= 0.2 for job in jobs)
    assert read_run(tmp_path / "run").state is RunState.INTERRUPTED


async def test_a_full_disk_ends_the_run_as_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole: list[bytes] = []
    write = os.write

    def full(file: int, data: Any) -> int:
        if len(whole) == 20:
            write(file, bytes(data[:7]))
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        whole.append(bytes(data))
        return write(file, data)

    monkeypatch.setattr("reelbench.loadgen.record.journal.os.write", full)
    async with serving(FakeTarget()) as fake:
        with pytest.raises(
            JournalError, match=r"^cannot write the run to .* \(No space left on device\); make room or"
        ):
            await run_on(fake.url, tmp_path / "run", [scenario(cases=[case(concurrency=2, iterations=50)])])
    run = read_run(tmp_path / "run")
    assert (run.state, run.scenarios[0].state) == (RunState.FAILED, RunState.FAILED)
    kept = len(read_jobs(tmp_path / "run")) + len(list(read_requests(tmp_path / "run")))
    assert kept == b"".join(whole).count(b"\n") > 20


async def test_the_store_is_read_page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_integrity, "PAGE", 3)
    async with serving(FakeTarget()) as fake, bench(fake.url) as b:
        spec = scenario(cases=[case(iterations=10)])
        for index in range(10):
            await b.run(spec, index)
        ids = {job.job_id for job in b.kept.jobs if job.job_id}
        whole = await count_store(b.target, ids | {"video_lost"}, 0.0)
        before = fake.counts()["list"]
        newer = await count_store(b.target, {"video_0009"}, 0.0)
    assert (whole.expected, whole.found, whole.by_status, whole.error) == (11, 10, {"completed": 10}, None)
    assert (newer.found, fake.counts()["list"] - before) == (1, 1)


async def test_the_store_is_not_read_beyond_the_scenario(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_integrity, "PAGE", 3)
    async with serving(FakeTarget()) as fake, bench(fake.url) as b:
        spec = scenario(cases=[case(iterations=9)])
        for index in range(9):
            await b.run(spec, index)
        for video in list(fake.videos.values())[:5]:
            video["created_at"] -= 60
        count = await count_store(b.target, {"video_lost"}, b.clock.now())
    assert (count.found, fake.counts()["list"]) == (0, 2)


async def test_a_store_that_cannot_be_read_says_why() -> None:
    async def broken(_: object) -> Any:
        return error(503, "store is away")

    async with serving(FakeTarget(faults={"list": broken})) as fake, bench(fake.url) as b:
        count = await count_store(b.target, {"video_1"}, 0.0)
    assert (count.expected, count.found, count.error) == (1, 0, "HTTP 503: store is away")


async def test_a_pace_spreads_the_intended_starts_evenly(tmp_path: Path) -> None:
    async with serving(FakeTarget(seconds=0.01)) as fake:
        await run_on(fake.url, tmp_path, [scenario(cases=[case(iterations=6, pace=0.2)])])
    jobs = sorted(read_jobs(tmp_path), key=lambda job: job.due)
    apart = [later.due - earlier.due for earlier, later in pairwise(jobs)]
    assert min(apart) >= 0.2 - 1e-6
    # Where a busy machine delays a job beyond its pace, the next start is late; the others are exact.
    assert min(apart) == pytest.approx(0.2, abs=1e-6)
    assert all(job.sent >= job.due for job in jobs)


async def test_virtual_users_with_a_pace_begin_one_after_the_other(tmp_path: Path) -> None:
    async with serving(FakeTarget(seconds=0.01)) as fake:
        await run_on(fake.url, tmp_path, [scenario(cases=[case(concurrency=2, iterations=2, pace=1.0)])])
    first, second = sorted(read_jobs(tmp_path), key=lambda job: job.due)
    assert second.due - first.due >= 0.5 - 0.005


async def test_after_a_job_longer_than_the_pace_the_next_starts_at_once(tmp_path: Path) -> None:
    async with serving(FakeTarget(seconds=0.3)) as fake:
        await run_on(fake.url, tmp_path, [scenario(cases=[case(iterations=2, pace=0.1)])])
    first, second = read_jobs(tmp_path)
    assert first.done <= second.due <= second.sent


FAULT = {"at": 0, "what": {"target": "tts", "kind": "error", "rate": 0.3, "status": 503}}


async def test_faults_are_recorded_with_their_counts(tmp_path: Path) -> None:
    fake = FakeTarget()
    now = Clock.start().now()
    fake.controls.calls = [
        {"provider": "tts", "sent": now + 1, "arrived": now + 2, "outcome": "error"},
        {"provider": "tts", "sent": None, "arrived": now - 99, "outcome": "ok"},
    ]
    fake.controls.breakers = [
        {
            "provider": "tts",
            "state": "open",
            "since": 1.0,
            "transitions": [
                {"at": now - 9, "from": "closed", "to": "open"},
                {"at": now + 3, "from": "closed", "to": "open"},
            ],
        }
    ]
    fake.controls.states = [{"switches": {"retries": False}}]
    async with serving(fake):
        await run_on(fake.url, tmp_path, [scenario(cases=[case(iterations=3, faults=[FAULT])])])
    run = read_run(tmp_path)
    (fault,) = run.faults
    assert (fault.target, fault.kind, fault.rate, fault.status, fault.seen, fault.hit) == (
        "tts", "error", 0.3, 503, 10, 3,
    )  # fmt: skip
    (only,) = run.scenarios[0].cases
    assert fault.ended is not None
    assert only.started is not None
    assert only.ended is not None
    assert fault.started <= only.started < only.ended <= fault.ended
    assert [(t.provider, t.at, t.before, t.after) for t in run.transitions] == [("tts", now + 3, "closed", "open")]
    assert [(call.provider, call.sent, call.arrived, call.outcome) for call in read_calls(tmp_path)] == [
        ("tts", now + 1, now + 2, "error")
    ]
    assert run.switches == {"retries": False}
    assert run.scenarios[0].audit == AuditRecord(live=0, unsaved=0, orphans=0, missing=0, error=None)
    assert fake.controls.in_force is None


async def test_an_interrupted_run_lifts_its_faults(tmp_path: Path) -> None:
    fake, stop = FakeTarget(seconds=0.01), Stop()
    fake.faults["create"] = _stopping(stop, 3)
    async with serving(fake):
        await run_on(fake.url, tmp_path, [scenario(cases=[case(iterations=99, faults=[FAULT])])], stop)
    run = read_run(tmp_path)
    assert (run.state, fake.controls.in_force) == (RunState.INTERRUPTED, None)
    assert run.faults[0].ended is not None


async def test_a_stop_after_the_end_of_a_run_changes_nothing_of_it(tmp_path: Path) -> None:
    stop = Stop()
    async with serving(FakeTarget()) as fake:
        await run_on(fake.url, tmp_path, [scenario(cases=[case(iterations=3)])], stop)
    stop.request()
    assert (stop.requested.is_set(), stop.aborted.is_set(), stop.released.is_set()) == (False, False, True)
    assert read_run(tmp_path).state is RunState.COMPLETED


async def test_a_rejected_fault_fails_the_run_with_a_readable_error(tmp_path: Path) -> None:
    fake = FakeTarget()
    fake.controls.refuse["PUT"] = [400]
    async with serving(fake):
        with pytest.raises(FaultError, match=r"^faults cannot be applied: PUT .*/faults answered 400 \(not now\)$"):
            await run_on(fake.url, tmp_path, [scenario(cases=[case(iterations=3, faults=[FAULT])])])
    assert (read_run(tmp_path).state, read_jobs(tmp_path)) == (RunState.FAILED, [])


IDLE = {"name": "idle", "model": "idle", "seconds": {"quick": 1, "standard": 1, "paper": 1}}


async def test_an_idle_case_sends_nothing_for_its_seconds(tmp_path: Path) -> None:
    fake = FakeTarget()
    async with serving(fake):
        await run_on(fake.url, tmp_path, [scenario(dimension="resources", rest=0.2, cases=[IDLE])])
    (spec,) = read_run(tmp_path).scenarios
    (idle,) = spec.cases
    assert (idle.model, idle.concurrency, idle.planned, idle.warmup, spec.rest) == ("idle", 0, 0, 0, 0.2)
    assert idle.started is not None
    assert idle.ended is not None
    assert spec.started is not None
    assert spec.ended is not None
    assert idle.ended - idle.started >= 0.99
    assert idle.started - spec.started >= 0.19
    assert spec.ended - idle.ended >= 0.19
    assert idle.generator_cpu is not None
    assert fake.counts() == {"list": 1}  # the content of the store after the run
    assert (read_jobs(tmp_path), spec.state) == ([], RunState.COMPLETED)


async def test_nothing_is_sent_in_the_cooldowns(tmp_path: Path) -> None:
    fake = FakeTarget()
    cases = [case(iterations=3, warmup=1), case(name="n02", concurrency=2, iterations=4)]
    async with serving(fake):
        await run_on(fake.url, tmp_path, [scenario(rest=0.3, cases=cases)])
    (spec,) = read_run(tmp_path).scenarios
    requests = [(request.sent, request.sent + request.duration) for request in read_requests(tmp_path)]
    ends = [window.started for window in spec.cases] + [spec.ended]
    for end in ends:
        assert end is not None
        assert [span for span in requests if span[1] > end - 0.29 and span[0] < end] == []
    warm = max(job.done for job in read_jobs(tmp_path) if job.warmup)
    assert ends[0] is not None
    assert ends[0] - warm >= 0.29


async def test_an_interrupt_in_an_idle_case_ends_the_run_at_once(tmp_path: Path) -> None:
    stop = Stop()
    async with serving(FakeTarget()) as fake:
        asyncio.get_running_loop().call_later(0.1, stop.request)
        long = IDLE | {"seconds": {"quick": 60, "standard": 60, "paper": 60}}
        async with asyncio.timeout(50):  # less than the 60 s of the case
            await run_on(fake.url, tmp_path, [scenario(cases=[long])], stop)
    assert read_run(tmp_path).state is RunState.INTERRUPTED


async def test_toggles_apply_to_their_case_and_its_warm_up_only(tmp_path: Path) -> None:
    fake = FakeTarget()
    seen: list[dict[str, bool]] = []

    async def look(_: Any) -> None:
        seen.append(dict(fake.controls.switches))

    fake.faults["create"] = look
    off = {"cache": False, "pooling": False}
    cases = [case(name="off", iterations=2, warmup=1, switches=off), case(name="on", iterations=2)]
    async with serving(fake):
        await run_on(fake.url, tmp_path, [scenario(cases=cases)])
    on = {"cache": True, "pooling": True, "retries": False}
    assert seen == [on | off] * 3 + [on] * 2
    assert [window.switches for window in read_run(tmp_path).scenarios[0].cases] == [off, {}]


async def test_an_interrupted_run_restores_the_toggles(tmp_path: Path) -> None:
    fake, stop = FakeTarget(seconds=0.01), Stop()
    fake.faults["create"] = _stopping(stop, 3)
    async with serving(fake):
        await run_on(fake.url, tmp_path, [scenario(cases=[case(iterations=99, switches={"cache": False})])], stop)
    assert (read_run(tmp_path).state, fake.controls.switches["cache"]) == (RunState.INTERRUPTED, True)
    assert fake.controls.switched == [{"cache": False}, {"cache": True}]


async def test_rejected_toggles_fail_the_run_before_any_job(tmp_path: Path) -> None:
    fake = FakeTarget()
    fake.controls.refuse_switches = [400]
    async with serving(fake):
        with pytest.raises(ToggleError, match=r"^switches of the service cannot be changed: PUT .* answered 400"):
            await run_on(fake.url, tmp_path, [scenario(cases=[case(iterations=3, switches={"cache": False})])])
    assert (read_run(tmp_path).state, read_jobs(tmp_path)) == (RunState.FAILED, [])


async def test_provider_calls_are_recorded_for_resources_only(
    tmp_path: Path,
) -> None:
    fake = FakeTarget()
    at = Clock.start().now() + 60
    fake.controls.calls = [
        {"provider": "tts", "sent": None, "arrived": at, "outcome": "ok", "connection": "127.0.0.1:5"},
        {"provider": "llm", "sent": None, "arrived": at, "outcome": "ok"},
    ]
    specs = [scenario(), scenario(name="use", dimension="resources", cases=[case(prompts="unique")])]
    async with serving(fake):
        await run_on(fake.url, tmp_path, specs)
    assert [(call.scenario, call.case, call.provider, call.connection) for call in read_calls(tmp_path)] == [
        ("use", "n01", "llm", None),
        ("use", "n01", "tts", "127.0.0.1:5"),
    ]


@pytest.mark.parametrize(("rest", "interval", "seconds"), [(0.0, 5.0, 0.0), (1.1, 0.0, 1.1), (1.1, 5.0, 5.5)])
def test_a_cooldown_lasts_at_least_one_scrape_interval(rest: float, interval: float, seconds: float) -> None:
    assert pending(scenario(rest=rest), "quick", (), interval=interval).rest == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("exporter", "milliseconds", "seconds"),
    [("otlp", "5000", 5.0), ("console,otlp", None, 60.0), ("prometheus", "1", 0)],
)
def test_the_interval_is_read_from_the_export_interval(
    monkeypatch: pytest.MonkeyPatch, exporter: str, milliseconds: str | None, seconds: float
) -> None:
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", exporter)
    monkeypatch.delenv("OTEL_METRIC_EXPORT_INTERVAL", raising=False)
    if milliseconds is not None:
        monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", milliseconds)
    assert telemetry.interval() == seconds

"""Shares of one plan, merged: by value against the run of one generator, and what is refused."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Self

import msgspec
import pytest

from reelbench.exit_code import ExitCode
from reelbench.loadgen.drive.replicas import Share
from reelbench.loadgen.record.conditions import (
    STORE_CLOCK,
    ClockRecord,
    ConditionsRecord,
    MachineRecord,
    read_conditions,
    write_conditions,
)
from reelbench.loadgen.record.jobs import JobRecord, read_jobs, read_requests
from reelbench.loadgen.record.run import CaseRecord, FaultRecord, RunState, read_run, write_run
from reelbench.loadgen.record.run_files import JOBS_FILE, PLAN_FILE, REQUESTS_FILE, to_line
from reelbench.reporting.analysis.generators import generators
from reelbench.reporting.analysis.load_levels import levels
from reelbench.reporting.analysis.verdicts import Status, analyse
from reelbench.reporting.document.report import Paragraph, Table
from reelbench.reporting.export import read_evidence
from reelbench.reporting.sections import generators as section
from reelbench.stack.external import Addresses, ExternalStack
from reelbench.stack.readiness import TelemetryEnd
from reelbench.suite.collecting import LocalPlace, collect, copies_for, places_of
from reelbench.suite.commands.command_line import main
from reelbench.suite.merging import ShareError, merge, read_shares
from tests.reporting.made_run import MadeRun, make

COUNT = 3
CPU = (0.2, 0.6, 0.3)
LAG = (0.001, 0.002, 0.003)
OFFSET = (0.0004, -0.02, 0.003)
"""Seconds by which the clock of the store is ahead of that of each generator."""


@pytest.fixture(scope="module")
def made() -> MadeRun:
    return make()


def owned(made: MadeRun, share: Share, job: JobRecord) -> bool:
    case = next(
        case
        for scenario in made.run.scenarios
        if scenario.name == job.scenario
        for case in scenario.cases
        if case.name == job.case
    )
    return share.owns(job.index, case.concurrency)


def share_case(case: CaseRecord, share: Share) -> CaseRecord:
    assert case.started is not None
    jobs = sum(share.owns(index, case.concurrency) for index in range(case.planned + case.warmup))
    return msgspec.structs.replace(
        case,
        concurrency=share.users(case.concurrency),
        planned=jobs,
        warmup=0,
        started=case.started + 0.01 * share.index,
        ended=(case.ended or 0) - 0.02 * share.index,
        agreed=case.started - 0.005,
        generator_cpu=CPU[share.index],
        loop_lag_p99=LAG[share.index],
    )


def write_share(made: MadeRun, folder: Path, index: int) -> Path:
    """Write what generator `index` of three would have written of the made run."""
    share = Share(index, COUNT)
    own = folder / f"{made.run.run_id}.{index + 1}of{COUNT}"
    own.mkdir(parents=True)
    plan = b'{"made": true}\n'
    (own / PLAN_FILE).write_bytes(plan)
    jobs = [job for job in made.jobs if owned(made, share, job)]
    places = {(job.scenario, job.case, job.index) for job in jobs}
    (own / JOBS_FILE).write_bytes(b"".join(map(to_line, jobs)))
    requests = [one for one in made.requests if (one.scenario, one.case, one.index) in places]
    (own / REQUESTS_FILE).write_bytes(b"".join(map(to_line, requests)))
    scenarios = [
        msgspec.structs.replace(
            scenario,
            cases=[share_case(case, share) for case in scenario.cases],
            store=scenario.store if index == 0 else None,
        )
        for scenario in made.run.scenarios
    ]
    run = msgspec.structs.replace(
        made.run,
        plan_hash=hashlib.sha256(plan).hexdigest(),
        replica=index + 1,
        replicas=COUNT,
        scenarios=scenarios,
        ended=(made.run.ended or 0) - index,
        faults=[FAULT] if index == 0 else [],
    )
    write_run(own, run)
    first = made.run.scenarios[0]
    clock = [
        ClockRecord(source=STORE_CLOCK, scenario=first.name, when="before", at=1.0, offset=OFFSET[index], error=0.001),
        ClockRecord(source="service", scenario=first.name, when="before", at=1.0, offset=0.0, error=0.001),
    ]
    machine = MachineRecord(scenario=first.name, case=first.cases[0].name, seconds=1.0, cpus=2, others=0.05 * index)
    write_conditions(own, ConditionsRecord(clocks=tuple(clock), machine=(machine,)))
    return own


FAULT = FaultRecord(
    scenario="throughput", case="n50", target="llm", kind="outage", rate=1.0, status=None, seconds=None, started=1.0,
    ended=2.0, seen=40, hit=38,
)  # fmt: skip


@pytest.fixture
def shares(made: MadeRun, tmp_path: Path) -> list[Path]:
    return [write_share(made, tmp_path / "shares", index) for index in range(COUNT)]


def changed(folder: Path, **changes: object) -> None:
    write_run(folder, msgspec.structs.replace(read_run(folder), **changes))


@pytest.mark.extended
def test_the_merged_run_is_that_of_one_generator(made: MadeRun, shares: list[Path], tmp_path: Path) -> None:
    into, whole_folder = tmp_path / "merged", tmp_path / "whole"
    whole_folder.mkdir()
    made.write(whole_folder)
    changed(whole_folder, faults=[FAULT])
    run = merge(read_shares(shares[::-1]), into)
    assert read_run(into) == run
    assert sorted(read_jobs(into), key=key) == sorted(made.jobs, key=key)
    assert len(list(read_requests(into))) == len(made.requests)
    assert (run.replica, run.replicas, run.load_generators, run.state) == (1, 1, COUNT, RunState.COMPLETED)
    assert (run.started, run.ended) == (made.run.started, made.run.ended)
    assert run.faults == [FAULT]  # with its counts, once
    for whole, scenario in zip(made.run.scenarios, run.scenarios, strict=True):
        assert scenario.store == whole.store
        for before, case in zip(whole.cases, scenario.cases, strict=True):
            assert (case.concurrency, case.planned) == (before.concurrency, before.planned + before.warmup)
            assert (case.started, case.ended) == (before.started, before.ended)
            busy = min(COUNT, before.concurrency)  # a generator without jobs has a window of no length
            assert (case.generator_cpu, case.loop_lag_p99) == (max(CPU[:busy]), max(LAG[:busy]))
    evidence, one = read_evidence(into), read_evidence(whole_folder)
    assert [level.times for level in levels(evidence)] == [level.times for level in levels(one)]
    assert [level.success for level in levels(evidence)] == [level.success for level in levels(one)]
    assert [level.littles_law for level in levels(evidence)] == [level.littles_law for level in levels(one)]
    conditions = read_conditions(into)
    assert conditions is not None
    assert [machine.others for machine in conditions.machine] == [0.1]  # the most disturbed one
    assert [reading.offset for reading in conditions.readings(STORE_CLOCK)] == [OFFSET[0]]


def key(job: JobRecord) -> tuple[str, str, int]:
    return job.scenario, job.case, job.index


def test_the_report_has_each_generator_and_the_verdict_judges_the_worst(shares: list[Path], tmp_path: Path) -> None:
    into = tmp_path / "merged"
    merge(read_shares(shares), into)
    evidence = read_evidence(into)
    found = generators(evidence, "performance")
    assert [one.number for one in found] == [1, 2, 3]
    assert [one.cpu for one in found] == list(CPU)
    assert [one.loop_lag_p99 for one in found] == list(LAG)
    assert [round(one.begun_late or 0, 6) for one in found] == [0.005, 0.015, 0.025]
    assert sum(one.jobs for one in found) == sum(1 for job in evidence.jobs if not job.warmup)
    assert [round(one.apart or 0, 6) for one in found] == [0.0014, 0.021, 0.004]
    table = section.section(evidence, "performance")
    assert table is not None
    lead, rows = table.blocks
    assert isinstance(lead, Paragraph)
    assert isinstance(rows, Table)
    assert lead.text.startswith("3 load generators ran one plan;")
    assert lead.text.endswith("Their clocks agree.")
    assert [row[2] for row in rows.rows] == ["0.20", "0.60", "0.30"]
    assert [row[6] for row in rows.rows] == ["-0.0004", "0.0200", "-0.0030"]
    assert {health.cpu for health in analyse(evidence, "performance").health} == {CPU[0], max(CPU)}


@pytest.mark.parametrize(
    ("offset", "error", "words"),
    [
        (0.049, 0.0005, None),
        (0.08, 0.001, "the clock of load generator 2 is 80 ms behind the store's, more than 50 ms; synchronize"),
        (-0.3, 0.001, "the clock of load generator 2 is 300 ms ahead of the store's, more than 50 ms; synchronize"),
        (0.0, 0.09, "the clock of load generator 2 is known to ±90 ms only and may be off by more than 50 ms; put"),
    ],
)
def test_a_clock_beyond_the_bound_makes_the_run_invalid(
    shares: list[Path], tmp_path: Path, offset: float, error: float, words: str | None
) -> None:
    known = read_conditions(shares[1])
    assert known is not None
    clocks = tuple(msgspec.structs.replace(one, offset=offset, error=error) for one in known.clocks)
    write_conditions(shares[1], msgspec.structs.replace(known, clocks=clocks))
    merge(read_shares(shares), tmp_path / "merged")
    analysis = analyse(read_evidence(tmp_path / "merged"), "performance")
    found = [problem for problem in analysis.problems if problem.startswith("the clock of load generator")]
    assert (analysis.status is Status.INVALID) == (words is not None)
    assert [problem[: len(words or "")] for problem in found] == ([words] if words else [])


def test_a_lost_share_is_named(shares: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(shares[1])
    code = main(["merge", str(tmp_path / "shares"), "--into", str(tmp_path / "merged")])
    assert code == ExitCode.INCONCLUSIVE
    assert capsys.readouterr().err == (
        "error: load generator 2 of 3 of run made-0001 is not there: a part of the plan is missing\n"
    )
    assert not (tmp_path / "merged").exists()


def test_a_share_that_did_not_end_is_named(shares: list[Path]) -> None:
    changed(shares[2], state=RunState.RUNNING, ended=None)
    with pytest.raises(ShareError, match=r"load generator 3 of 3 did not end its share \(state running, .*3of3\)"):
        read_shares(shares)
    changed(shares[2], state=RunState.INTERRUPTED, ended=2.0)
    with pytest.raises(ShareError, match="the share of load generator 3 was interrupted, the others are complete"):
        read_shares(shares)
    for folder in shares:
        changed(folder, state=RunState.INTERRUPTED)
    assert len(read_shares(shares)) == COUNT


def test_shares_of_different_plans_are_refused(
    shares: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (shares[1] / PLAN_FILE).write_bytes(b'{"made": 2}\n')
    with pytest.raises(ShareError, match=r"2of3/plan.jsonl is not the plan that its run.json names"):
        read_shares(shares)
    changed(shares[1], plan_hash=hashlib.sha256(b'{"made": 2}\n').hexdigest())
    assert main(["merge", *map(str, shares), "--into", str(tmp_path / "merged")]) == ExitCode.USAGE
    assert "2of3 has another plan than" in capsys.readouterr().err
    assert not (tmp_path / "merged").exists()


def test_a_share_named_twice_a_whole_run_and_a_taken_folder_are_refused(shares: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ShareError, match="are both share 1; name each share once"):
        read_shares([*shares, shutil.copytree(shares[0], tmp_path / "again")])
    merge(read_shares(shares), tmp_path / "merged")
    with pytest.raises(ShareError, match="is a whole run; there is nothing to merge"):
        read_shares([tmp_path / "merged"])
    with pytest.raises(ShareError, match=r"already holds a run \(run.json\); choose another --into"):
        merge(read_shares(shares), tmp_path / "merged")


def test_late_shares_are_awaited_and_named(shares: list[Path], tmp_path: Path) -> None:
    late = shutil.move(shares[1], tmp_path / "late")
    changed(shares[2], ended=None, state=RunState.RUNNING)
    now, said = [0.0], list[str]()

    def sleep(seconds: float) -> None:
        now[0] += seconds
        if now[0] == 3:
            shutil.move(late, shares[1])
        if now[0] == 5:
            changed(shares[2], ended=2.0, state=RunState.COMPLETED)

    place = LocalPlace([tmp_path / "shares"])
    found = collect([place], None, 60.0, said.append, clock=lambda: now[0], sleep=sleep)
    assert [one.run.replica for one in found] == [1, 2, 3]
    assert now[0] == 5
    assert said == ["waiting for load generator 2", "waiting for the end of load generator 3"]
    with pytest.raises(ShareError, match="no share of run other is there"):
        collect([place], "other", 0.0, said.append)


def test_shares_in_an_object_store_are_copied(shares: list[Path], tmp_path: Path) -> None:
    pytest.importorskip("fsspec")
    import fsspec  # noqa: PLC0415

    store = fsspec.filesystem("memory")
    store.put(str(tmp_path / "shares"), "/bucket/runs", recursive=True)
    with copies_for(["memory://bucket/runs"]) as copies:
        found = collect(places_of(["memory://bucket/runs"], copies), None, 0.0, print)
        run = merge(found, tmp_path / "merged")
    assert run.load_generators == COUNT
    assert len(read_jobs(tmp_path / "merged")) == sum(len(read_jobs(folder)) for folder in shares)


@pytest.mark.extended
def test_the_command_merges_and_reports(
    shares: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reelbench.suite.commands.merge.find_external", lambda *_, **__: None)
    into = tmp_path / "merged"
    code = main(["merge", str(tmp_path / "shares"), "--into", str(into), "--no-charts"])
    printed = capsys.readouterr()
    assert f"merged 3 shares of run made-0001 into {into}" in printed.err
    assert "performance: " in printed.out
    assert code == ExitCode.INCONCLUSIVE  # without Prometheus nothing can be reconciled
    assert "## Performance: Load generators" in (into / "reports" / "appendix.md").read_text()
    assert "NO DATA" in (into / "reports" / "summary.md").read_text()


def test_the_reports_of_shares_wait_for_metrics_and_traces(
    shares: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[object] = []

    class Settled:
        def __init__(self, *_: object) -> None:
            pass

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def await_telemetry(self, after: float, *, ahead: float, **counted: float) -> TelemetryEnd:
            del ahead
            done.append((after, counted))
            return TelemetryEnd(instant=2.0, complete=True, missing=[])

    def exported(*_: object, **__: object) -> SimpleNamespace:
        done.append("export")
        return SimpleNamespace(summary=[], exit_code=0)

    for share, ended, replicas in zip(shares, (2.0, 5.0, 3.0), (1, 2, 2), strict=True):
        changed(share, service_replicas=replicas, ended=ended)  # the first saw one replica alone
    stack = ExternalStack(Addresses("http://s", "http://p", "http://t", "http://c"), "3.0")
    monkeypatch.setattr("reelbench.suite.commands.merge.find_external", lambda *_, **__: stack)
    monkeypatch.setattr("reelbench.suite.commands.merge.ExternalRun", Settled)
    monkeypatch.setattr("reelbench.suite.commands.merge.await_traces", lambda *_: done.append("traces"))
    monkeypatch.setattr("reelbench.reporting.export.export", exported)
    assert main(["merge", *map(str, shares), "--into", str(tmp_path / "merged")]) == 0
    awaited = {"loadgens": COUNT, "loadgens_after": 2.0, "service_replicas": 2}
    assert done == [(5.0, awaited), "traces", "export"]

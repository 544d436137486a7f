"""Faults from outside: time to restoration from made events, the report's section, and the truth of a paused target."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from reelbench.loadgen.record.jobs import JobRecord, Outcome, RequestRecord
from reelbench.loadgen.record.run import FaultRecord, ProxyRecord, RunRecord, RunState, ScenarioRecord, read_run
from reelbench.reporting.analysis import subjects
from reelbench.reporting.analysis.restoration import (
    disturbance,
    longest_usual_gap,
    mean_time,
    restorations,
)
from reelbench.reporting.analysis.verdicts import Status
from reelbench.reporting.export import export
from tests.data_helper import job
from tests.report_text import report_text
from tests.reporting import evidence_of, made_outages
from tests.reporting.made_run import START, MadeRun

ROOT = Path(__file__).parents[2]
BEGIN = START + 2_000
NAME = "pauses"


def steady(begin: float, end: float, *, good: bool = True, every: float = 0.1) -> list[tuple[float, bool]]:
    return [(begin + number * every, good) for number in range(round((end - begin) / every))]


CALM = steady(0, 10)
"""Successes every 0.1 s until the fault at 10 s: a gap above 0.3 s is a disturbance."""


def test_the_usual_gap_is_that_before_the_first_fault() -> None:
    assert longest_usual_gap(CALM, 10) == pytest.approx(0.3)
    assert longest_usual_gap(steady(0, 10), 0) == pytest.approx(1.0)  # no time before: ten times the median
    assert longest_usual_gap(CALM[:4], 10) is None


@pytest.mark.parametrize(
    ("events", "off", "until", "found"),
    [
        # A pause: nothing for 2 s, then as before.
        ([*CALM, *steady(12, 20)], 12.0, 20.0, (0, 2.1, 12.0)),
        # A hiccup of 0.5 s after a pause of 2 s is another matter.
        ([*CALM, *steady(12, 13), *steady(13.4, 20)], 12.0, 20.0, (0, 2.1, 12.0)),
        # An answer that was on its way when the pause began does not restore anything.
        ([*CALM, (10.01, True), *steady(12.05, 20)], 12.0, 20.0, (0, 2.04, 12.05)),
        # Failures until 12 s, and work again after them, before the fault ends.
        (
            [*CALM, *steady(10, 12, good=False), *steady(12, 30)],
            25.0, 30.0, (20, 2.1, 12.0),
        ),
        # One success between failures is no restoration.
        (
            [*CALM, *steady(10, 12, good=False), (12.05, True), *steady(12.1, 13, good=False), *steady(13, 20)],
            12.0, 20.0, (29, 2.15, 13.0),
        ),
        # A failure 6 s after 60 successes is another matter.
        ([*CALM, (10.05, False), *steady(10.1, 16), (16.05, False), *steady(16.1, 20)],
         10.1, 20.0, (1, 0.2, 10.1)),
        # A restart whose effect begins 3 s after the command ended.
        ([*CALM, *steady(10, 13), *steady(13, 14, good=False), *steady(14, 25)],
         10.0, 25.0, (10, 1.1, 14.0)),
        # Not restored before the next fault.
        ([*CALM, *steady(10, 15, good=False)], 12.0, 15.0, (50, 5.1, None)),
        # Slower, yet neither a failure nor a gap.
        ([*CALM, *steady(10, 20, every=0.25)], 12.0, 20.0, None),
    ],
)  # fmt: skip
def test_what_a_fault_did_is_found_in_the_events(
    events: list[tuple[float, bool]], off: float, until: float, found: tuple[int, float, float | None] | None
) -> None:
    seen = disturbance(events, 10.0, 10.0, off, until)
    assert (seen and (seen.failures, pytest.approx(seen.gap), seen.restored)) == found


def test_failures_that_were_there_before_the_fault_say_nothing_of_it() -> None:
    failing = [(at, number % 5 > 0) for number, (at, _) in enumerate([*CALM, *steady(12, 20)])]
    found = disturbance(failing, 10.0, 10.0, 12.0, 20.0)
    assert found is not None
    assert found.restored is not None
    assert (found.failures, found.restored) == (0, pytest.approx(12.0, abs=0.15))
    assert disturbance([*failing[:100], *steady(10, 20)], 10.0, 10.0, 12.0, 20.0) is None


def test_too_few_events_say_nothing() -> None:
    assert disturbance([(1.0, True), (12.0, False)], 10.0, 10.0, 12.0, 20.0) is None


# ---- a made run -----------------------------------------------------------------------------------------------------


def fault(at: float, until: float, **changes: object) -> FaultRecord:
    record = FaultRecord(
        scenario=NAME,
        case="n02",
        target="command",
        kind="docker pause",
        rate=1.0,
        status=None,
        seconds=None,
        started=BEGIN + at + 0.1,
        ended=BEGIN + until + 0.1,
        seen=None,
        hit=None,
        asked=BEGIN + at,
        asked_to_end=BEGIN + until,
        command=["docker", "pause", "my_video"],
        stop=["docker", "unpause", "my_video"],
        output=f"commands/{NAME}_n02_001.txt",
    )
    return replace(record, **changes)


FAULTS = [fault(10, 14), fault(30, 36)]


def made_jobs() -> list[JobRecord]:
    """Jobs of 0.4 s every 0.5 s; those in a pause end after it, and those sent in the second one fail."""
    made = []
    for index in range(100):
        due = BEGIN + 0.5 * index
        at = due - BEGIN
        done = due + 0.4
        changes: dict[str, object] = {}
        if 9.6 < at < 14:
            done = BEGIN + 14.2 + (at - 9.6) / 100
        if 30 <= at < 36:
            changes = {"outcome": Outcome.ERROR, "error": "no answer", "accepted": None, "job_id": None}
        made.append(replace(job(index, due=due, scenario=NAME, case="n02"), done=done, **changes))
    return made


def requests(jobs: list[JobRecord]) -> list[RequestRecord]:
    return [
        RequestRecord(
            scenario=NAME, case="n02", index=j.index, warmup=False, operation="create", sent=j.sent,
            duration=j.done - j.sent, status=200 if j.outcome is Outcome.COMPLETED else None, bytes=10,
        )
        for j in jobs
    ]  # fmt: skip


def made_run(*faults: FaultRecord) -> MadeRun:
    base = made_outages.make()
    jobs = made_jobs()
    template = base.run.scenarios[0]
    assert template.store is not None
    case = replace(
        template.cases[0], name="n02", concurrency=2, planned=len(jobs), warmup=0, started=BEGIN,
        ended=max(j.done for j in jobs),
    )  # fmt: skip
    kept = sum(1 for j in jobs if j.accepted is not None)
    scenario: ScenarioRecord = replace(
        template, name=NAME, title="Pauses", cases=[case], started=BEGIN, ended=BEGIN + 60, audit=None,
        store=replace(template.store, expected=kept, found=kept, by_status={"completed": kept}),
    )  # fmt: skip
    run = replace(base.run, scenarios=[scenario], faults=list(faults), transitions=[], state=RunState.COMPLETED)
    return replace_run(base, run, jobs)


def replace_run(base: MadeRun, run: RunRecord, jobs: list[JobRecord]) -> MadeRun:
    return MadeRun(run=run, jobs=jobs, requests=requests(jobs), series=base.series, instant=base.instant)


def test_time_to_restoration_runs_from_the_request_to_begin_until_jobs_and_answers_are_back() -> None:
    evidence = evidence_of.evidence(made_run(*FAULTS))
    first, second = restorations(evidence, NAME)
    assert first.seconds == pytest.approx(4.2, abs=0.02)
    assert second.seconds == pytest.approx(6.4, abs=0.02)
    assert second.jobs is not None
    assert second.jobs.failures == 12
    assert first.first_job == pytest.approx(BEGIN + 14.4)
    times = mean_time((first, second))
    assert times is not None
    assert (times.n, times.censored, times.unnoticed) == (2, 0, 0)
    assert times.mean == pytest.approx(5.3, abs=0.02)
    assert [scenario.name for scenario in subjects.outside_faults(evidence)] == [NAME]
    assert subjects.provider_outages(evidence) == []
    assert subjects.retried_errors(evidence) == []


def written(folder: Path, made: MadeRun) -> tuple[str, int, set[str]]:
    run = made.write(folder / "run")
    done = export(run, None, charts=False)
    text = report_text(run, "reliability")
    return text, done.exit_code, {v.sli.id for v in done.verdicts if v.status is Status.PASS}


def test_the_report_names_the_commands_the_times_and_the_output(tmp_path: Path) -> None:
    text, _, _ = written(tmp_path, made_run(*FAULTS))
    part = text.split("## Faults from outside")[1].split("\n## ")[0]
    assert "2 of 2 faults interrupted the service for its clients." in part
    assert "MTTR = mean of (service restored - fault asked to begin), as clients saw it: **5.3" in part
    assert "docker pause my_video" in part
    assert "docker unpause my_video" in part
    assert f"commands/{NAME}" in part
    assert "| pauses / n02      | before |" in part
    assert "MTTR of a fault from outside, as clients saw it: **5.3" in text
    assert "No provider was away in a case of this run." in text  # a command is no outage of a provider


def test_a_command_that_failed_is_no_fault(tmp_path: Path) -> None:
    failed = replace(FAULTS[0], error="the start command docker pause my_video ended with exit status 1", stop=[])
    text, code, _ = written(tmp_path, made_run(failed))
    assert code == 3
    assert "**No fault in pauses / n02**: the start command docker pause my_video ended with exit status 1." in (
        text.replace("\\", "")
    )
    assert "MTTR = mean" not in text
    assert "pauses / n02: no fault, as the start command docker pause my_video" in text.replace("\\", "")


def test_what_the_proxy_adds_is_in_the_report(tmp_path: Path) -> None:
    latency = fault(10, 14, target="network", kind="latency", seconds=0.5, jitter=0.1, command=[], stop=[], output=None)
    made = made_run(latency)
    proxy = ProxyRecord(version="2.12.0", scenarios=[NAME], direct=[0.001, 0.001], through=[0.0015, 0.0025])
    made = replace_run(made, replace(made.run, proxy=proxy), made.jobs)
    text, _, _ = written(tmp_path, made)
    assert (
        "All traffic of `pauses` passed Toxiproxy 2.12.0. A small request took 1.00 ms without it and 2.00 ms" in text
    )
    assert "network latency 0.5 ± 0.1 s" in text


# ---- a real target that is paused -----------------------------------------------------------------------------------

SCENARIO = """\
name: pauses
dimension: reliability
title: Pauses
why: Whether the time to restoration is the length of the pauses.
steps: [create, wait, content]
encoding: json
video: {seconds: "4", size: 720x1280}
time_limit: 60
poll_interval: 0.05
cases:
  - name: n04
    model: closed
    concurrency: 4
    pace: 0.2
    iterations: {quick: 300, standard: 300, paper: 300}
    warmup: {quick: 0, standard: 0, paper: 0}
    faults:
      - at: 3
        until: 5
        every: 4
        times: {quick: 3, standard: 3, paper: 3}
        what: {command: {start: "kill -STOP PROCESS", stop: [kill, -CONT, "PROCESS"]}}
objectives: {}
"""


@pytest.mark.extended
@pytest.mark.acceptance
def test_the_mean_time_to_restoration_is_the_length_of_the_pauses_within_ten_per_cent(tmp_path: Path) -> None:
    target = subprocess.Popen(
        [sys.executable, "-m", "tests.loadgen.fake_target", "0.05"], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        assert target.stdout is not None
        url = target.stdout.readline().strip()
        own = tmp_path / "own"
        own.mkdir()
        (own / "pauses.yaml").write_text(SCENARIO.replace("PROCESS", str(target.pid)))
        run = tmp_path / "run"
        done = subprocess.run(
            [
                sys.executable, "-m", "reelbench.loadgen", "run", "--run-dir", str(run), "--run-id", "r1", "--target",
                url, "--scenarios", str(own), "--allow-commands",
            ],
            capture_output=True, text=True, timeout=120, cwd=ROOT, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    finally:
        target.kill()
        target.communicate()
    faults = read_run(run).faults
    # The pause lies between the ends and the beginnings of the two commands.
    longest = [f.ended - f.asked for f in faults if f.ended is not None and f.asked is not None]
    shortest = [f.asked_to_end - f.started for f in faults if f.asked_to_end is not None]
    assert len(longest) == len(shortest) == 3
    export(run, None, charts=False)
    text = report_text(run, "reliability")
    mean = float(text.split("as clients saw it: **")[1].split(" s**")[0])
    assert sum(shortest) / 3 * 0.9 <= mean <= sum(longest) / 3 * 1.1
    assert "3 of 3 faults interrupted the service" in text

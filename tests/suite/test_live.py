"""The live page: records that are read as they grow, charts, early verdicts, and the server with its events."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from reelbench.loadgen.record.jobs import JobRecord, Outcome
from reelbench.loadgen.record.run import CaseRecord, FaultRecord, RunRecord, RunState, write_run
from reelbench.loadgen.record.run_files import JOBS_FILE, to_line
from reelbench.reporting.analysis.timeline import Timeline
from reelbench.suite.live.axis import Axis
from reelbench.suite.live.early import Early
from reelbench.suite.live.follow import Follower, Tail
from reelbench.suite.live.gauges import Reading, _readings
from reelbench.suite.live.process import bound, live_page
from reelbench.suite.live.server import Hub, page_of
from reelbench.suite.live.state import LiveRun
from reelbench.suite.live.verdicts import early_verdicts
from tests.data_helper import job
from tests.reporting.made_run import make
from tests.suite.made_runs import STARTED, made, record

MARKUP = "<script>alert(1)</script>"


def case(name: str, started: float | None = None, ended: float | None = None, planned: int = 4) -> CaseRecord:
    return CaseRecord(
        name=name, model="closed", concurrency=1, planned=planned, warmup=0, started=started, ended=ended,
        generator_cpu=None, loop_lag_p99=None,
    )  # fmt: skip


def going(*cases: CaseRecord, **changes: Any) -> RunRecord:
    """A run in the middle of its only scenario."""
    whole = record("r1", state=RunState.RUNNING, ended=None)
    scenario = msgspec.structs.replace(whole.scenarios[0], cases=list(cases), ended=None)
    return msgspec.structs.replace(whole, scenarios=[scenario], **changes)


def append(folder: Path, *jobs: JobRecord) -> None:
    with (folder / JOBS_FILE).open("ab") as file:
        file.write(b"".join(map(to_line, jobs)))


def values(timeline: Timeline, panel: str) -> dict[str, tuple[float | None, ...]]:
    return {series.id: series.values for one in timeline.panels if one.id == panel for series in one.series}


def test_only_complete_new_lines_are_read_and_damaged_ones_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / JOBS_FILE
    tail = Tail(path, JobRecord)
    assert tail.read() == []
    whole, next_one = to_line(job(0)), to_line(job(1))
    path.write_bytes(whole + next_one[:40])
    assert tail.read() == [job(0)]
    path.write_bytes(whole + next_one + b"{}\n" + to_line(job(2)))
    assert tail.read() == [job(1), job(2)]
    assert tail.read() == []


def test_the_shares_of_several_generators_are_followed_and_not_their_merged_run(tmp_path: Path) -> None:
    run = tmp_path / "r1"
    for number in (1, 2):
        share = run / "shares" / f"r1.{number}of2"
        write_run(share, going(case("n01"), replica=number, replicas=2))
        append(share, job(number))
    follower = Follower(run)
    assert [one.index for one in follower.read().jobs] == [1, 2]
    write_run(run, going(case("n01")))
    append(run, job(1), job(2))
    assert follower.read().jobs == []
    state, _ = LiveRun(run).look(STARTED + 5)
    assert (state.planned, state.done) == (8, 2)
    assert state.notes == ("2 load generators share the plan; verdicts come with the report",)


def test_jobs_are_placed_in_bins_of_a_second() -> None:
    axis = Axis(1_000.4)
    axis.add([
        job(0, due=1_000.5, seconds=0.4),
        job(1, due=1_000.6, seconds=2.0),
        job(2, due=1_002.0, seconds=0.5, outcome=Outcome.FAILED),
        job(3, due=1_002.1, seconds=0.5, outcome=Outcome.CANCELLED),
    ])  # fmt: skip
    found = axis.timeline(1_004.0, None, known=1_003.0)
    assert (found.start, found.step, found.bins) == (1_000.0, 1.0, 4)
    assert values(found, "jobs") == {
        "arrivals": (2.0, 0.0, 2.0, 0.0),
        "completions": (1.0, 0.0, 1.0, 0.0),
        "failures": (0.0, 0.0, 1.0, 0.0),
        "stopped": (0.0, 0.0, 1.0, 0.0),
    }
    assert values(found, "response_time") == {"p50": (0.4, None, 2.0, None), "p95": (0.4, None, 2.0, None)}
    # 0.4 s and 0.4 s, then 1 s, then 0.6 s, 0.5 s and 0.5 s; the last bin is not known yet
    assert values(found, "in_flight")["in_flight"] == pytest.approx((0.798, 1.0, 1.598, None), abs=0.003)


def test_a_longer_run_has_longer_bins_with_the_same_jobs() -> None:
    axis = Axis(0.0)
    axis.add([job(index, due=float(index), seconds=0.25) for index in range(500)])
    assert not axis.until(590.0)
    assert axis.until(700.0)
    found = axis.timeline(700.0, None, known=700.0)
    assert (found.step, found.bins) == (2, 350)
    completions = values(found, "jobs")["completions"]
    assert sum(value or 0 for value in completions) * found.step == 500
    assert completions[0] == 1.0


def test_a_counter_is_drawn_as_its_slope_and_a_gauge_as_it_is() -> None:
    axis = Axis(0.0)
    for at, cpu, memory in ((0.5, 10.0, 100.0), (1.5, 10.5, 110.0), (3.5, 12.5, 120.0)):
        axis.gauge("cpu", "service", at, cpu)
        axis.gauge("memory", "service", at, memory)
        axis.gauge("memory", "service", at, 0.0)  # the same sample again
    found = axis.timeline(4.0, None, known=0.0)
    assert values(found, "cpu") == {"service": (None, 0.5, None, 1.0)}
    assert values(found, "memory") == {"service": (100.0, 110.0, None, 120.0)}


def test_series_of_one_line_are_added_up() -> None:
    from reelbench.reporting.evidence.prometheus import Line  # noqa: PLC0415 - only here

    matrix = tuple(
        Line(metric={"job": "service", "instance": str(number)}, values=((10.2, "2"), (11.2, "3"))) for number in (1, 2)
    )
    assert list(_readings("memory", matrix, "job", "", 0.5)) == [
        Reading("memory", "service", 10.0, 2.0),
        Reading("memory", "service", 11.0, 3.0),
    ]


def test_the_state_shows_what_runs_failures_faults_and_verdicts_as_text(tmp_path: Path) -> None:
    judged: list[tuple[str, str]] = []

    def judge(_: Path, scenario: str, name: str, __: RunRecord) -> list[Early]:
        judged.append((scenario, name))
        return [
            Early(title=MARKUP, place="p", objective="≤ 2 s", value="1 s", n=4, certainty="holds, proven", holds=True)
        ]

    folder = made(tmp_path, "r1")
    fault = FaultRecord(
        scenario="trial", case="n02", target="llm", kind="outage", rate=1.0, status=None, seconds=None,
        started=STARTED + 8, ended=None, seen=None, hit=None,
    )  # fmt: skip
    write_run(folder, going(case("n01", STARTED + 1, STARTED + 5), case("n02"), faults=[fault], target=MARKUP))
    append(folder, *(job(index, due=STARTED + 1 + index) for index in range(4)))
    bad = [job(i, case="n02", due=STARTED + 6 + i, outcome=Outcome.FAILED, error=f"{MARKUP} {i}") for i in range(2)]
    append(folder, *bad)
    live = LiveRun(folder, judge)
    state, timeline = live.look(STARTED + 9)
    assert (state.phase, state.scenario, state.case, state.target) == ("running", "trial", "n02", MARKUP)
    assert (state.done, state.planned, state.share) == (6, 8, 0.75)
    assert state.outcomes == {"completed": 4, "failed": 2}
    assert state.failures == (f"2 jobs, trial n02: failed in the job: {MARKUP} 0",)
    assert [(one.name, one.since, one.ended) for one in state.faults] == [("llm outage", 8.0, False)]
    assert judged == [("trial", "n01")]
    assert timeline is not None
    assert [(one.kind, one.name) for one in timeline.shades] == [
        ("scenario", "trial"), ("case", "trial / n01"), ("fault", "llm outage"),
    ]  # fmt: skip
    live.look(STARTED + 10)
    assert judged == [("trial", "n01")]
    write_run(folder, going(case("n01", STARTED + 1, STARTED + 5), case("n02"), ended=STARTED + 11))
    assert live.look(STARTED + 20)[0].phase == "reports"


def test_failures_of_several_scenarios_in_one_look_are_all_counted(tmp_path: Path) -> None:
    folder = made(tmp_path, "r1")
    write_run(folder, going(case("n01", STARTED)))
    names = ("first", "first", "first", "second", "second")
    append(folder, *(job(i, scenario=name, outcome=Outcome.FAILED, error="no") for i, name in enumerate(names)))
    state, _ = LiveRun(folder).look(STARTED + 9)
    assert state.failures == ("2 jobs, second n01: failed in the job: no", "3 jobs, first n01: failed in the job: no")


@pytest.mark.extended
def test_the_records_of_an_ended_case_give_the_numbers_of_the_report(tmp_path: Path) -> None:
    run = make()
    folder = run.write(tmp_path / "run")
    found = {one.title: one for one in early_verdicts(folder, "throughput", "n50", run.run)}
    assert found["Throughput"].n > 0
    assert found["Throughput"].objective == "≥ 10 jobs/s"
    assert found["Throughput"].holds
    response = {one.title: one for one in early_verdicts(folder, "single_request", "n01", run.run)}
    assert response["Success rate"].value == "100 %"
    assert response["Success rate"].n == 100
    assert early_verdicts(folder, "absent", "n01", run.run) == []


async def test_pages_share_the_looks_and_a_closed_page_changes_nothing(tmp_path: Path) -> None:
    folder = made(tmp_path, "r1")
    write_run(folder, going(case("n01")))
    looks = 0
    now = 0.0
    woken = asyncio.Event()

    def newest() -> Path:
        nonlocal looks
        looks += 1
        return folder

    async def sleep(_: float) -> None:
        await woken.wait()

    hub = Hub(newest, clock=lambda: now, sleep=sleep)
    first, second = hub.events(), hub.events()
    for page in (first, second):
        kind, _, data = (await anext(page)).partition(b"\n")
        assert kind == b"event: state"
        assert json.loads(data.removeprefix(b"data: "))["run_id"] == "r1"
        assert (await anext(page)).startswith(b"event: charts")
    assert (looks, hub.pages) == (1, 2)
    await first.aclose()
    assert hub.pages == 1
    append(folder, job(0, due=STARTED + 1))
    now = 1.0
    woken.set()
    event = await anext(second)
    assert b'"done":1' in event
    assert looks == 2
    await hub.end(page_of(folder))  # there is no report
    rest = [chunk async for chunk in second]
    assert rest[-1] == b'event: end\ndata: {"report":null}\n\n'


def test_a_taken_port_is_no_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with bound(port) as other:
            assert other.getsockname()[0] == "127.0.0.1"
            assert other.getsockname()[1] != port


def events(answer: http.client.HTTPResponse) -> Iterator[tuple[str, Any]]:
    name = ""
    for line in answer:
        key, _, value = line.decode().rstrip("\n").partition(": ")
        if key == "event":
            name = value
        elif key == "data":
            yield name, json.loads(value)


@pytest.mark.extended
def test_the_page_is_served_on_loopback_read_only_and_ends_as_the_report(tmp_path: Path) -> None:
    folder = made(tmp_path, "r1")
    write_run(folder, going(case("n01"), target=MARKUP))
    (folder / "reports").mkdir()
    (folder / "reports" / "report.html").write_text("<p>the report")
    with live_page(tmp_path, "r1", port=0) as page, ExitStack() as open_ones:
        place = page.address.removeprefix("http://").rstrip("/")
        assert re.fullmatch(r"127\.0\.0\.1:\d+", place)

        def get(path: str, method: str = "GET", **headers: str) -> http.client.HTTPResponse:
            connection = http.client.HTTPConnection(place)
            open_ones.callback(connection.close)
            connection.request(method, path, headers={"Connection": "close", **headers})
            return open_ones.enter_context(connection.getresponse())

        home = get("/")
        assert home.status == 200
        assert "default-src 'none'; script-src 'self'" in (home.getheader("Content-Security-Policy") or "")
        assert home.getheader("Access-Control-Allow-Origin") is None
        text = home.read().decode()
        names = re.findall(r'(?:src|href)="(/assets/[^"]+)"', text)
        assert len(names) == 8
        assert [get(name).status for name in names] == [200] * 8
        assert get("/", Host="evil.example").status == 403
        assert get("/", Host="localhost:1").status == 200
        assert get("/", method="POST").status == 405
        assert [get(path).status for path in ("/report", "/assets/..%2Flive.html", "/runs")] == [404] * 3
        gone = get("/events")
        stream, other = events(get("/events")), events(get("/events"))
        name, state = next(stream)
        assert (name, state["run_id"], state["target"]) == ("state", "r1", MARKUP)
        assert next(other)[0] == "state"
        gone.close()  # a browser that is closed in the middle
        append(folder, job(0, due=STARTED + 1))
        done = next(data for kind, data in stream if kind == "state" and data["done"])
        assert done["outcomes"] == {"completed": 1}
        assert page.process.stdin is not None
        page.process.stdin.write(b"end\n")
        page.process.stdin.flush()
        for one in (stream, other):
            assert [data for kind, data in one if kind == "end"] == [{"report": "/report"}]
        for _ in range(2):  # each of the two pages that are open
            report = get("/report")
            assert (report.status, report.read()) == (200, b"<p>the report")
    assert page.process.returncode == 0

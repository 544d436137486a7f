"""Progress of a run: share of the plan, time left, grouped failures, and how they are shown."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from rich.console import Console

from reelbench.loadgen.drive.display import duration, region, stderr_console
from reelbench.loadgen.drive.failures import MOST_KINDS, Failures
from reelbench.loadgen.drive.progress import ProgressView
from reelbench.loadgen.drive.recorder import pending
from reelbench.loadgen.drive.style import Style
from reelbench.loadgen.plan.plan import plan_run
from reelbench.loadgen.record.jobs import Outcome
from reelbench.loadgen.record.remaining import Remaining
from reelbench.loadgen.record.run import ScenarioRecord
from tests.data_helper import job
from tests.loadgen.harness import case, open_case, scenario

CLOSED = scenario(cases=[case("n01", 1, 4), case("n02", 2, 8)])
OPEN = scenario(name="busy", cases=[open_case("r2", rate=2.0, seconds=30)])
IDLE = scenario(
    name="rest",
    dimension="resources",
    cases=[{"name": "idle", "model": "idle", "seconds": {"quick": 20, "standard": 20, "paper": 20}}],
)


def planned(*scenarios: Any) -> list[ScenarioRecord]:
    plan = plan_run(scenarios, "quick", 1)
    return [pending(one, "quick", plan) for one in scenarios]


def test_time_left_is_known_for_open_and_idle_cases_and_follows_from_the_jobs_of_closed_ones() -> None:
    remaining = Remaining(planned(CLOSED, OPEN, IDLE))
    assert (remaining.planned, remaining.done, remaining.share) == (72, 0, 0.0)
    remaining.begin("trial", "n01", 100.0)
    assert remaining.seconds(100.0) is None  # no job has ended: a closed case may take any time
    remaining.ended(job(due=100.0, seconds=2.0))
    # 3 jobs of 2 s, then 8 jobs of 2 users at 2 s, 30 s of arrivals and 20 s without load
    assert remaining.seconds(102.0) == pytest.approx(3 * 2 + 8 * 2 / 2 + 30 + 20)
    assert remaining.share == pytest.approx(1 / 72)
    remaining.begin("busy", "r2", 120.0)
    assert remaining.done == 12
    assert remaining.seconds(130.0) == pytest.approx(20 + 20)
    remaining.begin("rest", "idle", 150.0)
    assert remaining.share == 1.0
    assert [remaining.seconds(at) for at in (150.0, 165.0, 190.0)] == pytest.approx([20, 5, 0])


def test_the_case_with_the_most_similar_load_says_how_long_jobs_take() -> None:
    levels = scenario(cases=[case("n01", 1, 4), case("n20", 20, 40)])
    later = scenario(name="later", cases=[case("n02", 2, 8), case("n16", 16, 32)])
    remaining = Remaining(planned(levels, later))
    remaining.begin("trial", "n01", 0.0)
    for number in range(4):
        remaining.ended(job(number, case="n01", due=float(number), seconds=1.0))
    remaining.begin("trial", "n20", 4.0)
    for number in range(40):
        remaining.ended(job(number, case="n20", due=4.0, seconds=10.0))
    # 8 jobs of 2 users at 1 s as with one user, 32 of 16 users at 10 s as with 20
    assert remaining.seconds(24.0) == pytest.approx(8 * 1 / 2 + 32 * 10 / 16)


def test_a_plan_without_jobs_is_done_by_its_cases() -> None:
    idle = [
        {"name": name, "model": "idle", "seconds": {"quick": 20, "standard": 20, "paper": 20}} for name in ("a", "b")
    ]
    remaining = Remaining(planned(scenario(name="rest", dimension="resources", cases=idle)))
    remaining.begin("rest", "b", 0.0)
    assert (remaining.planned, remaining.share, remaining.seconds(0.0)) == (0, 0.5, 20.0)


def test_a_new_kind_of_failure_is_shown_at_once_and_repeats_are_counted() -> None:
    failures = Failures()
    lines = [
        failures.add(job(0)),
        failures.add(job(1, outcome=Outcome.ERROR, accepted=None, error="HTTP 503: queue of 17 is full")),
        failures.add(job(2, outcome=Outcome.ERROR, accepted=None, error="HTTP 503: queue of 18 is full")),
        failures.add(job(3, outcome=Outcome.FAILED, error="out of memory")),
        failures.add(job(4, outcome=Outcome.CANCELLED)),
        failures.add(job(5, integrity="corrupt", error="sha256 differs")),
    ]
    assert [one.line if one else None for one in lines] == [
        None,
        "failure, trial n01: error in create: HTTP 503: queue of 17 is full",
        None,
        "failure, trial n01: failed in the job: out of memory",
        None,
        "failure, trial n01: corrupt in content: sha256 differs",
    ]
    assert [one.line for one in failures.repeats("n02")] == [
        "1 more, trial n02: error in create: HTTP 503: queue of 17 is full"
    ]
    assert failures.repeats("n02") == []
    again = failures.add(job(6, scenario="other", outcome=Outcome.FAILED, error="out of memory"))
    assert again is not None
    assert again.line == "failure, other n01: failed in the job: out of memory"


def test_a_server_with_an_error_of_its_own_for_each_job_does_not_fill_the_terminal() -> None:
    failures = Failures()
    words = [f"{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(100)]
    shown = [failures.add(job(i, outcome=Outcome.FAILED, error=word)) for i, word in enumerate(words)]
    found = [one.line for one in shown if one]
    assert len(found) == MOST_KINDS + 1
    assert found[-1] == "failure, trial n01: other failures"
    assert [one.count for one in failures.repeats("n01")] == [100 - MOST_KINDS - 1]


def shown(style: Style, *ends: Outcome, width: int = 120, terminal: bool = False) -> str:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=width)
    now = iter(range(1_000, 2_000))
    with ProgressView(console, style, clock=lambda: float(next(now))) as view:
        view.plan(planned(scenario(cases=[case("n01", 1, 2), case("n02", 1, 2)])))
        view.begin("trial", "n01", 2)
        for index, outcome in enumerate(ends or (Outcome.COMPLETED, Outcome.FAILED)):
            view.job_started()
            view.job_ended(job(index, outcome=outcome, due=10.0 + index))
        view.end()
    return out.getvalue()


def test_without_a_terminal_a_case_is_one_plain_line() -> None:
    text = shown(Style.AUTO)
    assert text.splitlines() == [
        "failure, trial n01: failed in the job: no reason given",
        "trial n01  2/2 jobs  P95 0.50 s  0.7 jobs/s  1 failed  (50% of the plan, about 0:01 left)",
    ]
    assert not set("\r\x1b") & set(text)


def test_refused_jobs_have_neither_a_percentile_nor_a_rate() -> None:
    lines = shown(Style.LINES, Outcome.REJECTED, Outcome.REJECTED).splitlines()
    assert lines[-1] == "trial n01  2/2 jobs  P95 - (none completed)  2 rejected  (50% of the plan, about 0:01 left)"
    assert lines[1] == "1 more, trial n01: rejected in poll: no reason given"


def test_on_a_terminal_the_plan_and_the_case_are_updated_in_place() -> None:
    text = shown(Style.AUTO, terminal=True)
    assert " 50% " in text
    assert "2/4 jobs  about 0:0" in text
    assert "trial n01  2/2  0 in flight  1 failed  P95 0.50 s" in text
    assert text.endswith("\x1b[2K")  # nothing of the region is left


@pytest.mark.parametrize("width", [20, 40, 59, 60, 120])
def test_no_line_of_the_region_is_longer_than_the_terminal(width: int) -> None:
    text = shown(Style.JSON, *[Outcome.FAILED] * 2)
    seen = json.loads(text.splitlines()[-1])
    assert seen["event"] == "case"
    view = ProgressView(Console(file=io.StringIO()))
    view.plan(planned(CLOSED))
    view.begin("trial", "n01", 4)
    assert view._case is not None
    for ascii_only in (True, False):
        lines = region(view._seen(view._case), 3_700.0, width, ascii_only=ascii_only)
        assert lines[0].startswith("  0%")
        assert ("1:01:40 left" in lines[0]) is True
        assert "trial n01" in lines[1]
        assert len(lines[1]) <= width
        assert width < 40 or len(lines[0]) <= width


def test_json_lines_have_the_numbers_of_each_event() -> None:
    events = [json.loads(line) for line in shown(Style.JSON).splitlines()]
    assert [event["event"] for event in events] == ["begin", "failure", "case"]
    assert events[1] | {"event": ""} == {
        "event": "", "scenario": "trial", "case": "n01", "outcome": "failed", "operation": "the job",
        "error": "no reason given", "count": 1, "repeated": False,
    }  # fmt: skip
    last = events[2]
    assert (last["done"], last["total"], last["share"], last["plan_total"]) == (2, 2, 0.5, 4)
    assert last["outcomes"] == {"completed": 1, "failed": 1}
    assert last["p95"] == pytest.approx(0.5)


def test_quiet_shows_errors_alone() -> None:
    assert shown(Style.NONE) == ""
    out = io.StringIO()
    view = ProgressView(Console(file=out), Style.NONE)
    view.say("note")
    view.error("the disk is full")
    assert out.getvalue() == "error: the disk is full\n"


@pytest.mark.parametrize(
    ("environment", "terminal", "live"),
    [
        ({"TERM": "xterm"}, True, True),
        ({"TERM": "xterm"}, False, False),
        ({"TERM": "xterm", "FORCE_COLOR": "1"}, False, False),
        ({"TERM": "xterm", "CI": "true"}, True, False),
        ({"TERM": "xterm", "CI": "false"}, True, True),
        ({"TERM": "dumb"}, True, False),
        ({}, True, False),
    ],
)
def test_only_a_real_terminal_gets_a_live_region(
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    terminal: bool,  # noqa: FBT001 - a parameter of the test
    live: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert stderr_console(environment, terminal=terminal).is_terminal is live


def test_lengths_of_time() -> None:
    assert [duration(seconds) for seconds in (-3, 8, 200, 3_600, 45_296)] == [
        "0:00",
        "0:08",
        "3:20",
        "1:00:00",
        "12:34:56",
    ]

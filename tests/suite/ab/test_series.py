"""The order of the runs of an interleaved comparison, its end, and what stays after a failure, with made runs."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import pytest

from reelbench.loadgen.record.conditions import ConditionsRecord
from reelbench.loadgen.record.jobs import JobRecord
from reelbench.reporting.compare.ab.judge import rule
from reelbench.reporting.compare.ab.records import AbRecord, Answer, Ended
from reelbench.stack.errors import StackError
from reelbench.suite.ab.ab_error import AbError
from reelbench.suite.ab.checkouts import Program
from reelbench.suite.ab.series import Comparison
from reelbench.suite.ab.sides import SETTINGS, Side
from reelbench.suite.commands.compare_ab import exit_code
from reelbench.telemetry.running import Running
from tests.reporting.made_run import MadeRun, make

WHOLE = make()
SCENARIO = WHOLE.run.scenarios[0]
RUN = msgspec.structs.replace(WHOLE.run, scenarios=[SCENARIO])
JOBS = [job for job in WHOLE.jobs if job.scenario == SCENARIO.name]
SIDES = (
    Side(SETTINGS, "a.env", settings={"PROVIDERS_LLM__MEDIAN": "0.12"}),
    Side(SETTINGS, "b.env", settings={"PROVIDERS_LLM__MEDIAN": "0.2"}),
)


class Made:
    """Writes the folder of a made run; the runs of the head are slower, and each run takes 20 s of a made clock."""

    def __init__(self, slower: float = 0.0, jitter: float = 0.001) -> None:
        self.slower, self.jitter = slower, jitter
        self.order: list[str] = []
        self.now = 0.0
        self.ends: dict[int, Exception | type[BaseException]] = {}
        self.plans: dict[int, str] = {}
        self.known = ("PROVIDERS_LLM__MEDIAN",)

    def run(self, side: Side, program: Program | None, folder: Path) -> None:
        assert program is None
        self.order.append(side.name)
        self.now += 20.0
        number = len(self.order)
        folder.mkdir(parents=True)
        if number in self.ends:
            raise self.ends[number]
        by = (self.slower if side.name == "b.env" else 0.0) + self.jitter * (number % 3)

        def later(job: JobRecord) -> JobRecord:
            return msgspec.structs.replace(job, done=job.done + by)

        run = msgspec.structs.replace(RUN, plan_hash=self.plans.get(number, RUN.plan_hash))
        MadeRun(run, [later(job) for job in JOBS], [], WHOLE.series, WHOLE.instant).write(folder)
        value = side.settings["PROVIDERS_LLM__MEDIAN"]
        running = Running(name="providers", settings=dict.fromkeys(self.known, value))
        (folder / "conditions.json").write_bytes(msgspec.json.encode(ConditionsRecord(processes=(running,))))


def comparison(folder: Path, runs: Made, *, budget: float = 1_800.0, pairs: int = 8) -> Comparison:
    return Comparison(
        folder=folder / "x.ab",
        sides=SIDES,
        programs=(None, None),
        rule=rule(pairs, budget=budget),
        runs=runs,
        say=lambda _: None,
        order=random.Random(4),
        clock=lambda: runs.now,
    )


@pytest.mark.extended
def test_the_order_is_a_b_b_a_or_its_mirror_and_a_clear_shift_ends_it_at_the_first_look(tmp_path: Path) -> None:
    runs = Made(slower=5.0)
    record = comparison(tmp_path, runs).make().record
    assert "".join(name[0] for name in runs.order) == "abba" + "baab"
    assert (record.ended, record.answer, record.seconds) == (Ended.ANSWERED, Answer.WORSE, 160.0)
    assert [leg.folder for leg in record.legs][:3] == ["001-base", "002-head", "003-head"]
    assert [(one.item, one.baseline, one.run) for one in record.differs] == [
        ("providers: PROVIDERS_LLM__MEDIAN", "0.12", "0.2")
    ]
    assert (exit_code(record, fail_on_worse=True), exit_code(record, fail_on_worse=False)) == (1, 0)
    assert msgspec.json.decode((tmp_path / "x.ab" / "reports" / "ab.json").read_bytes(), type=AbRecord) == record


def test_the_budget_ends_it_before_a_block_that_would_be_too_long(tmp_path: Path) -> None:
    runs = Made(jitter=30.0)
    record = comparison(tmp_path, runs, budget=200.0).make().record
    assert (record.ended, len(record.legs)) == (Ended.TIME, 8)
    assert record.answer is Answer.NOT_SHOWN
    assert exit_code(record, fail_on_worse=True) == 0


@pytest.mark.extended
def test_all_pairs_end_it(tmp_path: Path) -> None:
    record = comparison(tmp_path, Made(jitter=30.0), pairs=6).make().record
    assert (record.ended, len(record.legs)) == (Ended.PAIRS, 12)


def test_a_budget_that_cannot_reach_the_first_look_is_refused_after_one_run(tmp_path: Path) -> None:
    runs = Made()
    with pytest.raises(AbError, match=r"--budget: 100 s is too short: a run takes 20 s, .* 8 runs"):
        comparison(tmp_path, runs, budget=100.0).make()
    assert (len(runs.order), list(tmp_path.iterdir())) == (1, [])


def test_another_plan_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    runs = Made()
    runs.plans[2] = "0" * 64
    with pytest.raises(AbError, match=r"the plan of run 2 .head. differs"):
        comparison(tmp_path, runs).make()
    assert list(tmp_path.iterdir()) == []


def test_a_setting_that_no_process_has_is_refused(tmp_path: Path) -> None:
    runs = Made()
    runs.known = ("PROVIDERS_SEED",)
    with pytest.raises(AbError, match=r"a.env: PROVIDERS_LLM__MEDIAN: neither service nor providers"):
        comparison(tmp_path, runs).make()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "end", "left"),
    [
        (3, KeyboardInterrupt, []),
        (3, StackError("service ended"), ["003-head"]),
    ],
)
def test_an_early_end_leaves_at_most_the_log_that_it_names(
    number: int, end: Exception | type[BaseException], left: list[str], tmp_path: Path
) -> None:
    runs = Made()
    runs.ends[number] = end
    with pytest.raises((KeyboardInterrupt, StackError)):
        comparison(tmp_path, runs).make()
    folder = tmp_path / "x.ab"
    assert ([path.name for path in folder.iterdir()] if folder.exists() else []) == left


def test_an_interrupt_after_a_look_reports_that_look(tmp_path: Path) -> None:
    runs = Made(jitter=30.0)
    runs.ends[10] = KeyboardInterrupt
    record = comparison(tmp_path, runs).make().record
    assert (record.ended, len(record.legs)) == (Ended.INTERRUPTED, 8)
    assert exit_code(record, fail_on_worse=True) == 130

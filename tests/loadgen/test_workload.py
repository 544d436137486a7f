from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reelbench.loadgen.plan.plan import PlannedJob, plan_case, plan_run, to_bytes
from reelbench.loadgen.plan.prompts import text_to_video
from reelbench.loadgen.plan.replay import REPLAY, TIME_LIMIT, ReplayCase, replay
from reelbench.loadgen.plan.row import Ask, Row
from reelbench.loadgen.plan.row_file import RowFile, RowFileError
from reelbench.loadgen.plan.workload import Workload
from reelbench.loadgen.record.run import InputRecord
from tests.loadgen.harness import case, open_case, scenario


def file(*rows: Row) -> RowFile:
    return RowFile(InputRecord(name="rows.jsonl", sha256="1" * 64, bytes=1, rows=len(rows)), Path(), rows)


def prompts(*weights: float) -> RowFile:
    return file(*(Row(number=i + 1, prompt=f"prompt {i}", weight=weight) for i, weight in enumerate(weights)))


def planned(load: Workload, *, iterations: int = 6, warmup: int = 0, seed: int = 1) -> tuple[PlannedJob, ...]:
    spec = scenario(cases=[case(iterations=iterations, warmup=warmup)], encoding="multipart")
    return plan_case(spec, spec.cases[0], "quick", seed, load)


def texts(jobs: Sequence[PlannedJob]) -> list[str]:
    return [job.prompt for job in jobs]


def test_in_file_order_measured_jobs_begin_with_the_first_row_and_warm_up_jobs_take_the_last() -> None:
    jobs = planned(Workload("document", prompts(1, 1, 1)), iterations=4, warmup=2)
    assert texts(jobs) == [f"prompt {i}" for i in (1, 2, 0, 1, 2, 0)]
    assert all(job.verbatim for job in jobs)


def test_every_case_begins_with_the_first_row() -> None:
    spec = scenario(cases=[case("a", iterations=2), case("b", iterations=3), open_case(rate=4, warmup=1)])
    jobs = plan_run([spec], "quick", 1, Workload("document", prompts(*[1] * 9)))
    assert texts(jobs) == [f"prompt {i}" for i in (0, 1, 0, 1, 2, 5, 6, 7, 8, 0, 1, 2, 3)]


def test_cases_that_repeat_prompts_repeat_the_rows() -> None:
    spec = scenario(cases=[case("cold", iterations=5, warmup=1), case("warm", iterations=5, prompts="repeated")])
    jobs = plan_run([spec], "quick", 3, Workload("document", prompts(*range(1, 40)), order="drawn"))
    assert texts(jobs)[1:6] == texts(jobs)[6:]
    other = plan_run([spec], "quick", 4, Workload("document", prompts(*range(1, 40)), order="drawn"))
    assert texts(other) != texts(jobs)


def test_a_row_replaces_what_the_scenario_asks_for() -> None:
    ask = Ask(num_frames=81, fps=16)
    load = Workload("text_to_video", file(Row(number=1, size="64x64", seconds="5", ask=ask, image="a.png")))
    (job,) = planned(load, iterations=1)
    assert (job.size, job.seconds, job.ask, job.reference) == ("64x64", "5", ask, "a.png")
    assert (job.encoding, job.verbatim) == ("multipart", False)
    assert job.prompt.partition(". Take ")[0] in text_to_video()


def test_a_job_with_a_reference_is_a_form_even_if_the_scenario_says_json() -> None:
    spec = scenario(cases=[case(iterations=4)], encoding="json")
    jobs = plan_run([spec], "quick", 1, Workload("text_to_video", images=("a.png", "b.mp4", "c.gif")))
    assert [job.reference for job in jobs] == ["a.png", "b.mp4", "c.gif", "a.png"]
    assert {job.encoding for job in jobs} == {"multipart"}
    assert {job.encoding for job in plan_run([spec], "quick", 1, Workload("text_to_video"))} == {"json"}


def test_built_in_prompts_for_text_to_video_are_unique_and_depend_on_the_seed() -> None:
    jobs = [job.prompt for seed in (1, 2) for job in planned(Workload("text_to_video"), iterations=300, seed=seed)]
    assert len(set(jobs)) == 600
    used = Counter(text.partition(". Take ")[0] for text in jobs)
    assert set(used) <= set(text_to_video())
    assert len(used) > 60


def test_a_trace_has_its_times_and_wishes_and_takes_the_rest_from_the_prompts() -> None:
    trace = file(
        Row(number=2, at=100.0, size="64x64"),
        Row(number=3, at=101.0, prompt="own", ask=Ask(fps=8)),
        Row(number=4, at=104.0),
    )
    rows = file(Row(number=1, prompt="one", size="32x32", ask=Ask(seed=7, fps=24)), Row(number=2, prompt="two"))
    load = Workload("document", rows, arrivals=trace, speed=2.0)
    spec = replay(load, None)
    jobs = plan_run([spec], "quick", 1, load)
    assert [(job.intended_start, job.prompt, job.size, job.ask) for job in jobs] == [
        (0.0, "one", "64x64", Ask(seed=7, fps=24)),
        (0.5, "own", "720x1280", Ask(fps=8)),
        (2.0, "one", "32x32", Ask(seed=7, fps=24)),
    ]
    assert {(job.scenario, job.case, job.warmup) for job in jobs} == {("replay", "trace", False)}


@pytest.mark.parametrize(
    ("times", "speed", "length", "rate"),
    [((0, 1, 2, 3), 1.0, 4.0, 1.0), ((5, 6, 7, 8), 4.0, 1.0, 4.0), ((9,), 1.0, 1.0, 1.0), ((2, 2, 2), 1.0, 1.0, 3.0)],
)
def test_the_rate_of_a_replay_is_that_of_its_gaps(
    times: tuple[float, ...], speed: float, length: float, rate: float
) -> None:
    trace = file(*(Row(number=i, at=float(at)) for i, at in enumerate(times)))
    spec = replay(Workload("document", arrivals=trace, speed=speed), None)
    (found,) = spec.cases
    assert isinstance(found, ReplayCase)
    assert found.seconds is not None
    assert found.rate is not None
    assert (found.seconds.of("quick"), found.rate.of("paper"), found.starts[0]) == (length, rate, 0.0)
    assert (spec.name, spec.time_limit, found.graceful_stop) == (REPLAY, TIME_LIMIT, TIME_LIMIT)


def test_a_replay_of_more_than_a_week_is_refused_with_the_speed_as_cure() -> None:
    trace = file(Row(number=1, at=0.0), Row(number=2, at=10 * 86_400.0))
    with pytest.raises(RowFileError, match=r"^rows.jsonl takes 10.0 days at --speed 1, more than 7; give a higher"):
        replay(Workload("document", arrivals=trace), None)
    assert replay(Workload("document", arrivals=trace, speed=10), 60).time_limit == 60


def test_more_jobs_than_rows_are_said() -> None:
    load = Workload("document", prompts(1, 1, 1))
    assert list(load.repetitions(planned(load, iterations=3))) == []
    (note,) = load.repetitions(planned(load, iterations=4))
    assert note == "rows.jsonl has 3 rows and the largest case 4 jobs: rows are used more than once"


@settings(max_examples=60, deadline=None)
@given(
    weights=st.lists(st.integers(0, 20), min_size=1, max_size=12).filter(any),
    seed=st.integers(0, 1_000),
    jobs=st.integers(1, 400),
)
def test_drawn_rows_keep_their_weights_at_every_length(weights: list[int], seed: int, jobs: int) -> None:
    load = Workload("document", prompts(*weights), order="drawn")
    counts = Counter(texts(planned(load, iterations=jobs, seed=seed)))
    for index, weight in enumerate(weights):
        found, expected = counts[f"prompt {index}"], jobs * weight / sum(weights)
        assert abs(found - expected) < 3
        assert weight > 0 or found == 0


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**9), jobs=st.integers(2, 60), order=st.sampled_from(["file", "drawn"]))
def test_the_same_seed_gives_the_same_plan_and_a_job_does_not_depend_on_the_number_of_jobs(
    seed: int, jobs: int, order: str
) -> None:
    load = Workload("text_to_video", prompts(3, 1, 2), order="drawn" if order == "drawn" else "file")
    again = dataclasses.replace(load)
    whole = planned(load, iterations=jobs, seed=seed)
    assert to_bytes(planned(again, iterations=jobs, seed=seed)) == to_bytes(whole)
    assert planned(load, iterations=jobs // 2, seed=seed) == whole[: jobs // 2]


def test_an_unset_workload_leaves_no_trace_in_the_plan() -> None:
    keys = [set(json.loads(line)) for line in to_bytes(planned(Workload("document"))).splitlines()]
    assert not any(key & {"ask", "reference", "verbatim"} for key in keys)

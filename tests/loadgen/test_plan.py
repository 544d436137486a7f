from __future__ import annotations

import hashlib
import json
import random

import pytest

from reelbench.loadgen.plan.fault_plan import plan_all_faults
from reelbench.loadgen.plan.plan import plan_case, plan_hash, plan_run, to_bytes
from reelbench.loadgen.plan.prompts import _AUDIENCES, _LOOKS, _METHODS, _TOPICS, Builtin, prompt, text_to_video
from reelbench.loadgen.plan.scenario_file import load_folder
from reelbench.loadgen.plan.search import expanded
from tests.loadgen.harness import case, scenario

ALL = tuple(expanded(scenario, "quick") for scenario in load_folder().values())


def test_the_bytes_of_a_plan_are_fixed() -> None:
    data = to_bytes(plan_run([scenario(cases=[case(iterations=2, warmup=1)])], "quick", 1))
    assert data.splitlines()[2] == (
        b'{"scenario":"trial","case":"n01","index":2,"warmup":false,"steps":["create","wait","content"],'
        b'"encoding":"json","prompt":"Explain a lower bound for type inference for first-year students,'
        b" with calm camera moves over charts."
        b' Reference 645ff264/1:trial:n01:2.","seconds":"4","size":"720x1280","cancel_after":null,"due":null}'
    )
    assert plan_hash(data) == "1788e16eaa1bc39c4d833a10f0d25ee57648b387a8bd554fae53e0784a429662"


def test_the_plan_hash_is_computed_from_the_bytes() -> None:
    data = to_bytes(plan_run(ALL, "quick", 7))
    assert plan_hash(data) == hashlib.sha256(data).hexdigest()


def test_a_plan_depends_on_its_seed() -> None:
    assert to_bytes(plan_run(ALL, "quick", 1)) == to_bytes(plan_run(ALL, "quick", 1))
    assert to_bytes(plan_run(ALL, "quick", 1)) != to_bytes(plan_run(ALL, "quick", 2))


def test_a_job_does_not_depend_on_other_scenarios() -> None:
    small = plan_case(scenario(cases=[case(iterations=3)]), scenario(cases=[case(iterations=3)]).cases[0], "quick", 1)
    spec = scenario(cases=[case(name="other", iterations=9), case(concurrency=5, iterations=50)])
    assert plan_run([spec], "quick", 1)[9:12] == small


@pytest.mark.extended
def test_prompts_are_unique_except_in_cases_that_repeat_them() -> None:
    prompts = [job.prompt for seed in (1, 2) for job in plan_run(ALL, "standard", seed)]
    new = {"unique": 1.0, "repeated": 0.0, "half_new": 0.5}
    jobs = sum(
        case.warmup.standard + case.iterations.standard * new[case.prompts]
        for spec in ALL
        for case in spec.cases
        if case.model == "closed"
    )
    arrived = sum(job.intended_start is not None for seed in (1, 2) for job in plan_run(ALL, "standard", seed))
    assert len(set(prompts)) == 2 * jobs + arrived
    assert len(prompts) - len(set(prompts)) == 2 * (40 + 20)  # warm and half_new of cache_efficiency


def test_repeated_prompts_come_from_the_previous_case_and_half_new_repeats_every_second() -> None:
    spec = scenario(
        cases=[
            case(name="cold", iterations=6, warmup=2),
            case(name="warm", iterations=5, warmup=1, prompts="repeated"),
            case(name="half", iterations=4, prompts="half_new"),
        ]
    )
    cold, warm, half = ([job.prompt for job in plan_case(spec, level, "quick", 1)] for level in spec.cases)
    assert len({*cold, warm[0]}) == 9
    assert warm[1:] == cold[2:7]
    assert [half[0], half[2]] == [cold[2], cold[4]]
    assert len({half[1], half[3], *cold, *warm}) == 11


def test_an_idle_case_has_no_jobs() -> None:
    idle = {"name": "idle", "model": "idle", "seconds": {"quick": 1, "standard": 1, "paper": 1}}
    assert plan_run([scenario(cases=[idle])], "quick", 1) == ()


def test_prompts_use_the_whole_vocabulary() -> None:
    prompts = " ".join(job.prompt for job in plan_run(ALL, "standard", 1))
    words = (*_METHODS, *_TOPICS, *_AUDIENCES, *_LOOKS)
    assert [word for word in words if word not in prompts] == []


def test_warm_up_jobs_come_first() -> None:
    spec = scenario(cases=[case(iterations=3, warmup=2)])
    plan = plan_run([spec], "quick", 1)
    assert [(job.index, job.warmup) for job in plan] == [(0, True), (1, True), (2, False), (3, False), (4, False)]


def test_alternate_changes_the_encoding_with_each_job() -> None:
    spec = scenario(encoding="alternate", cases=[case(iterations=4)])
    assert [job.encoding for job in plan_run([spec], "quick", 1)] == ["multipart", "json", "multipart", "json"]


def test_a_plan_line_is_enough_to_send_the_job() -> None:
    line = json.loads(to_bytes(plan_run([scenario()], "quick", 1)))
    assert list(line) == [
        "scenario", "case", "index", "warmup", "steps", "encoding", "prompt", "seconds", "size",
        "cancel_after", "due",
    ]  # fmt: skip


def test_cancellation_times_are_seeded_and_within_bounds() -> None:
    spec = scenario(
        steps=["create", "cancel"], cancel_after={"earliest": 0.1, "latest": 0.3}, cases=[case(iterations=50)]
    )
    moments = [job.cancel_after for job in plan_case(spec, spec.cases[0], "quick", 1)]
    assert all(moment is not None and 0.1 <= moment <= 0.3 for moment in moments)
    assert len(set(moments)) == 50
    assert moments == [job.cancel_after for job in plan_case(spec, spec.cases[0], "quick", 1)]
    assert moments != [job.cancel_after for job in plan_case(spec, spec.cases[0], "quick", 2)]


def test_faults_are_part_of_the_plan_and_of_its_hash() -> None:
    jobs, faults = plan_run(ALL, "quick", 1), plan_all_faults(ALL, "quick", 1)
    data = to_bytes(jobs, faults)
    assert data.startswith(to_bytes(jobs))
    assert data.count(b"\n") == len(jobs) + len(faults)
    assert plan_hash(data) != plan_hash(to_bytes(jobs, plan_all_faults(ALL, "quick", 2)))


@pytest.mark.parametrize("builtin", ["document", "text_to_video"])
def test_prompts_are_drawn_as_the_standard_library_draws(builtin: Builtin) -> None:
    for number in range(50):
        place = f"1:s:c:{number}"
        digest = hashlib.sha256(place.encode()).digest()
        draw = random.Random(int.from_bytes(digest)).choice
        if builtin == "text_to_video":
            expected = f"{draw(text_to_video())}. Take {digest.hex()[:12]}."
        else:
            method, topic, audience, look = map(draw, (_METHODS, _TOPICS, _AUDIENCES, _LOOKS))
            said = f"Explain {method} {topic} for {audience}, with {look}."
            expected = f"{said} Reference {digest.hex()[:8]}/{place}."
        assert prompt(builtin, place) == expected

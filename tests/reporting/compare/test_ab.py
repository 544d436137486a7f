"""An interleaved comparison: its decision, the stage that moved, and its report, on made runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from reelbench.reporting.compare.ab.judge import INDICATORS, STAGES_WEIGHT, Decision, decide, pairs_of, rule
from reelbench.reporting.compare.ab.leg import read_leg
from reelbench.reporting.compare.ab.records import (
    BASE,
    HEAD,
    AbRecord,
    AbSide,
    Answer,
    Ended,
    Leg,
    PlaceValues,
    Primary,
    Which,
)
from reelbench.reporting.compare.ab.report import answer_lines, write_ab
from reelbench.reporting.compare.rewriting import rewrite
from reelbench.reporting.compare.writing import Output
from reelbench.reporting.formats import Format
from tests.reporting.made_run import make

RULE = rule(12, budget=1_800.0)
AWAY = (0.004, -0.006, 0.003, -0.002, 0.005, -0.004, 0.006, -0.003)
"""Seconds by which the LLM script of a run is away from its mean."""


ORDER: tuple[Which, ...] = (BASE, HEAD, HEAD, BASE)


def leg(position: int, side: Which, llm: float, *, other: float = 0.0, completed: int = 20, invalid: str = "") -> Leg:
    stages = {"LLM script": 0.14 + llm + AWAY[position % 8], "Composition": 0.3 + other}
    values = PlaceValues(
        scenario="single_request",
        case="n01",
        jobs=20,
        completed=completed,
        response=sum(stages.values()) if completed else None,
        stages=stages if completed else {},
        invalid=invalid,
    )
    return Leg(folder=f"{position:02}-{side}", side=side, plan_hash="abc", seconds=20.0, places=(values,))


def legs(pairs: int, head: Callable[[int, Which], Leg]) -> list[Leg]:
    sides = (ORDER * pairs)[: 2 * pairs]
    return [leg(i, side, 0.0) if side == BASE else head(i, side) for i, side in enumerate(sides, 1)]


def response(decision: Decision) -> Primary:
    return next(one for one in decision.primaries if one.unit == "s")


@pytest.mark.extended
def test_indicators_and_stages_share_the_whole_error_and_no_more() -> None:
    assert sum(one.weight for one in INDICATORS) + STAGES_WEIGHT == pytest.approx(1.0)
    levels = {one.unit: one.level for one in decide(RULE, legs(4, lambda i, side: leg(i, side, 0.0))).primaries}
    assert levels["s"] == pytest.approx(0.0059, rel=0.1)
    assert levels["ratio"] == pytest.approx(0.0013, rel=0.15)


def test_a_shift_of_80_ms_is_found_at_the_first_look_and_its_stage_is_named() -> None:
    found = decide(RULE, legs(4, lambda i, side: leg(i, side, 0.08)))
    assert found.answered
    time = response(found)
    assert time.answer is Answer.WORSE
    assert time.difference == pytest.approx(0.08, abs=0.003)
    moved = [one for one in found.stages if one.moved]
    assert [one.stage for one in moved] == ["LLM script"]
    assert moved[0].p_corrected < 0.001


def test_a_stage_is_found_where_the_machine_hides_the_shift_in_the_response_time() -> None:
    noise = (0.2, -0.3, 0.1, -0.2, 0.35, -0.15, 0.25, -0.25)
    made = [leg(i, side, 0.08 if side == HEAD else 0.0, other=noise[i - 1]) for i, side in enumerate(ORDER * 2, 1)]
    found = decide(RULE, made)
    assert response(found).answer is Answer.NOT_SHOWN
    assert [one.stage for one in found.stages if one.moved] == ["LLM script"]
    assert found.answered
    assert record(made).answer is Answer.WORSE
    assert answer_lines(record(made))[0] == "b.env against a.env: worse in a stage"


def test_equal_sides_are_equal_within_the_margin() -> None:
    found = decide(RULE, legs(6, lambda i, side: leg(i, side, 0.0)))
    assert {one.answer for one in found.primaries} == {Answer.EQUAL}
    assert found.answered
    assert not any(one.moved for one in found.stages)


def test_without_an_answer_more_pairs_are_needed() -> None:
    wide = (0.3, -0.3, 0.2, -0.1, 0.1, 0.3, -0.2, 0.0)
    found = decide(RULE, legs(4, lambda i, side: leg(i, side, 0.0, other=wide[i - 1])))
    assert response(found).answer is Answer.NOT_SHOWN
    assert not found.answered


def test_a_shift_of_a_stage_that_is_real_and_tiny_is_not_named() -> None:
    found = decide(RULE, legs(4, lambda i, side: leg(i, side, 0.08, other=0.002)))
    tiny = next(one for one in found.stages if one.stage == "Composition")
    assert (tiny.difference, tiny.p_corrected) == (pytest.approx(0.002), pytest.approx(0.0, abs=1e-6))
    assert [one.stage for one in found.stages if one.moved] == ["LLM script"]


def test_a_head_that_completes_nothing_is_worse_by_its_success_rate() -> None:
    found = decide(RULE, legs(4, lambda i, side: leg(i, side, 0.0, completed=0)))
    time, success = found.primaries
    assert (time.answer, time.reason) == (Answer.CANNOT_TELL, "no job was completed on the side head")
    assert (success.answer, success.difference) == (Answer.WORSE, -1.0)
    assert found.answered


def test_a_load_generator_that_was_the_bottleneck_decides_nothing() -> None:
    found = decide(RULE, legs(4, lambda i, side: leg(i, side, 0.08, invalid="n01: 0.95 of a core")))
    assert {(one.answer, one.reason) for one in found.primaries} == {(Answer.CANNOT_TELL, "n01: 0.95 of a core")}
    assert found.stages == ()


def test_a_last_run_without_a_partner_is_left_out() -> None:
    made = legs(4, lambda i, side: leg(i, side, 0.0))
    assert len(pairs_of(made[:7])) == 3


def record(made: list[Leg]) -> AbRecord:
    found = decide(RULE, made)
    return AbRecord(
        name="x.ab",
        kind="settings files",
        base=AbSide(name="a.env", described="PROVIDERS_LLM__MEDIAN=0.12"),
        head=AbSide(name="b.env", described="PROVIDERS_LLM__MEDIAN=0.2"),
        profile="quick",
        seed=1,
        plan_hash="abc",
        rule=RULE,
        ended=Ended.ANSWERED,
        seconds=160.0,
        legs=tuple(made),
        primaries=found.primaries,
        stages=found.stages,
        differs=(),
        remarks=(),
    )


def test_the_answer_names_the_stage_in_one_line_and_the_files_hold_the_same(tmp_path: Path) -> None:
    made = record(legs(4, lambda i, side: leg(i, side, 0.08)))
    head, time, success, stage, end = answer_lines(made)
    assert head == "b.env against a.env: worse"
    assert time.startswith("  Average response time, single_request / n01: worse, +81 ms (+18.")
    assert success.startswith("  Success rate, single_request / n01: equal within the margin")
    assert stage.startswith("  moved in single_request / n01: LLM script +81 ms, p = 0.000")
    assert end == "  4 pairs of runs in 2.67 min; the answer is known"
    written = write_ab(tmp_path, made)
    assert msgspec.json.decode((tmp_path / "reports" / "ab.json").read_bytes(), type=AbRecord) == made
    page = written.path.read_text()
    assert "| LLM script" in page
    assert "## Method" in page
    before = page.encode()
    assert write_ab(tmp_path, made).path.read_bytes() == before


def test_the_report_is_the_same_again_without_the_runs_and_gains_formats(tmp_path: Path) -> None:
    folder, made = tmp_path / "x.ab", record(legs(4, lambda i, side: leg(i, side, 0.08)))
    write_ab(folder, made)
    before = {path.name: path.read_bytes() for path in (folder / "reports").iterdir()}
    again = rewrite(folder, Output(frozenset({Format.MARKDOWN, Format.LATEX}), charts=False))
    assert again.record == made
    assert {name: (folder / "reports" / name).read_bytes() for name in before} == before
    assert r"\begin{document}" in (folder / "reports" / "latex" / "ab.tex").read_text()


@pytest.mark.extended
def test_the_values_of_a_run_are_those_of_its_records(tmp_path: Path) -> None:
    run = make()
    run.write(tmp_path)
    found = read_leg(tmp_path, HEAD, 12.0)
    times = [
        job.done - job.due
        for job in run.jobs
        if (job.scenario, job.case) == found.places[0].place and not job.warmup and job.outcome == "completed"
    ]
    assert (found.plan_hash, found.side, found.places[0].completed) == (run.run.plan_hash, HEAD, len(times))
    assert found.places[0].response == pytest.approx(sum(times) / len(times))

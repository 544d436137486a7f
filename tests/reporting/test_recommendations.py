"""Recommendations on scalability: the rules that apply, and their numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from reelbench.reporting.analysis.load_levels import Level
from reelbench.reporting.document.report import Bullets, Paragraph
from reelbench.reporting.sections.performance.parts_of_a_job import Component
from reelbench.reporting.sections.performance.scalability import RULES, Load, points
from reelbench.reporting.sections.recommendations import Advice, recommend
from reelbench.reporting.statistics.intervals import Interval, proportion, summarize

KNEE, CAPACITY, QUEUEING, LARGEST = (rule.apply for rule in RULES)


def level(
    concurrency: int,
    throughput: float,
    seconds: float,
    queue: float | None = None,
    *,
    ok: int = 100,
    error: float = 0.02,
) -> Level:
    return Level(
        scenario="load",
        case=f"n{concurrency}",
        concurrency=concurrency,
        success=proportion(ok, 100),
        times=summarize([seconds] * ok),
        throughput=throughput,
        requests=None,
        queue_average=queue,
        whole_average=seconds,
        queue_p95=None,
        generator_cpu=None,
        littles_law=None,
        throughput_interval=Interval(throughput * (1 - error), throughput * (1 + error)),
    )


def known(*levels: Level, components: tuple[Component, ...] = ()) -> Load:
    return Load(points(levels), components, min_success=0.95, max_p95=2.0)


def said(rule: Callable[[Load], Iterator[Advice]], *levels: Level, components: tuple[Component, ...] = ()) -> str:
    (advice,) = rule(known(*levels, components=components))
    return f"{advice.finding}: {advice.action}"


def test_the_knee_is_the_first_level_with_less_than_half_the_gain() -> None:
    text = said(KNEE, level(1, 1.0, 1.0), level(20, 12.0, 1.7), level(5, 5.0, 1.0), level(10, 9.0, 1.1))
    # 10 to 20: 2 times the load, 1.33 times the throughput, a third of the proportional gain
    assert text.startswith("Throughput levels off between 10 and 20 jobs in flight: 2 times the load")
    assert "from 9.00 to 12.00 jobs/s (1.33 times) and P95 from 1.100 to 1.700 s" in text
    assert said(KNEE, level(1, 1.0, 1.0), level(5, 4.9, 1.0)).startswith(
        "Throughput does not level off up to 5 jobs in flight"
    )


def test_a_knee_that_the_intervals_do_not_show_is_no_advice_to_limit_the_load() -> None:
    # 1.33 times the throughput; with 10 % each way the gain could be 1.63 times, more than half of the proportional one
    text = said(KNEE, level(10, 9.0, 1.1, error=0.1), level(20, 12.0, 1.7, error=0.1))
    assert text.startswith("Throughput may level off between 10 and 20 jobs in flight: 2 times the load changed")
    assert "Admit" not in text
    assert "Admit" in said(KNEE, level(10, 9.0, 1.1, error=0.05), level(20, 12.0, 1.7, error=0.05))


def test_capacity_requires_response_time_and_success() -> None:
    assert said(CAPACITY, level(1, 1.0, 2.5)).startswith("No level tested holds P95 ≤ 2 s and success ≥ 95 %")
    both = said(CAPACITY, level(1, 1.0, 1.0), level(5, 5.0, 1.0, ok=94))
    assert "1 job in flight (1.00 jobs/s, P95 1.000 s, success 100.0 %)" in both


def test_the_queueing_rule_states_its_share_and_the_gain() -> None:
    text = said(QUEUEING, level(50, 25.0, 2.0, queue=1.5))
    assert "a job waits 1.5 s of its 2 s on average (75 %), of the whole case with start and drain" in text
    assert "at most 100.0 jobs/s instead of 25.0" in text
    assert "more workers would gain little" in said(QUEUEING, level(50, 25.0, 2.0, queue=0.1))


def test_gain_of_halving_the_slowest_component_by_amdahls_law() -> None:
    parts = (Component("s", "TTS", 20.0, 100), Component("v", "Visuals", 60.0, 100), Component("l", "LLM", 20.0, 20))
    text = said(LARGEST, components=parts)
    assert "Visuals: 60 s of 100 s of summed stage time (60 %; 100 executions of 600 ms on average)" in text
    assert "saves 30 % of that sum, a speed-up of 1.43" in text


def test_without_numbers_only_the_thresholds_are_shown() -> None:
    found = recommend(RULES, known())
    assert [type(block) for block in found.blocks] == [Paragraph, Paragraph]
    advised = recommend(RULES, known(level(1, 1.0, 1.0)))
    assert isinstance(advised.blocks[0], Bullets)

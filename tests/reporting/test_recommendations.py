from __future__ import annotations

from reelbench.reporting.analysis.load_levels import Level
from reelbench.reporting.sections.performance.recommendations import Part, recommend
from reelbench.reporting.statistics.intervals import proportion, summarize


def level(concurrency: int, throughput: float, seconds: float, queue: float | None = None, ok: int = 100) -> Level:
    return Level(
        scenario="concurrent_load",
        case=f"n{concurrency}",
        concurrency=concurrency,
        success=proportion(ok, 100),
        times=summarize([seconds] * ok),
        throughput=throughput,
        requests=None,
        queue_average=queue,
        queue_p95=None,
        generator_cpu=None,
        littles_law=None,
    )


def advise(*levels: Level, parts: tuple[Part, ...] = ()) -> tuple[str, ...]:
    return recommend(levels, parts, min_success=0.95, max_p95=2.0)


def test_the_knee_is_the_first_step_that_brings_less_than_half() -> None:
    knee, capacity = advise(level(1, 1.0, 1.0), level(20, 12.0, 1.7), level(5, 5.0, 1.0), level(10, 9.0, 1.1))
    # 10 to 20: 2 times the load, 1.33 times the throughput: a third of what is in proportion
    assert knee.startswith("**Throughput knee between 10 and 20 jobs in flight:** 2 times the load changes throughput")
    assert "from 9.00 to 12.00 jobs/s (1.33 times) and P95 from 1.100 to 1.700 s" in knee
    assert "20 jobs in flight (12.00 jobs/s, P95 1.700 s, success 100.0 %)" in capacity


def test_no_knee_is_said_too() -> None:
    first = advise(level(1, 1.0, 1.0), level(5, 4.9, 1.0))[0]
    assert first.startswith("**No throughput knee up to 5 jobs in flight:** throughput grows from 1.00 jobs/s at 1")


def test_capacity_needs_both_speed_and_success() -> None:
    assert advise(level(1, 1.0, 2.5))[-1].startswith(
        "**No level tested holds P95 <= 2 s and success >= 95 %:** already 1"
    )
    both = advise(level(1, 1.0, 1.0), level(5, 5.0, 1.0, ok=94))
    assert "**Highest level tested with P95 <= 2 s and success >= 95 %:** 1 jobs in flight" in both[1]


def test_queueing_names_its_share_and_the_gain() -> None:
    text = advise(level(50, 25.0, 2.0, queue=1.5))[-1]
    assert "a job waits 1.5 s of its 2 s on average (75 %)" in text
    assert "at most 100.0 jobs/s instead of 25.0" in text
    assert "more workers alone would gain little" in advise(level(50, 25.0, 2.0, queue=0.1))[-1]


def test_halving_the_slowest_component_by_amdahl() -> None:
    (text,) = advise(parts=(Part("TTS", 20.0, 100), Part("Visuals", 60.0, 100), Part("LLM", 20.0, 20)))
    assert text.startswith("**Most stage time: Visuals** with 60 s of 100 s of summed stage time (60 %; 100 executions")
    assert "of 600 ms on average). Halving it saves 30 % of that sum: a speed-up of 1.43" in text


def test_nothing_known_is_no_advice() -> None:
    assert advise() == ()

"""The simulation of interleaved comparisons, with few repetitions; scripts/simulate_ab.py makes many."""

from __future__ import annotations

from pathlib import Path

import pytest

from reelbench.bench.ab_simulation import MEASURED, STAGE, model_of, read_variation, simulate
from reelbench.bench.generators import BenchError
from reelbench.reporting.compare.ab.judge import rule

RULE = rule(8, budget=0.0)


@pytest.mark.extended
def test_80_ms_are_found_and_named_in_20_of_20_and_equal_sides_differ_in_at_most_1_of_20() -> None:
    model = model_of(read_variation(MEASURED))
    shifted = simulate(model, RULE, {STAGE: 0.08}, repetitions=20)
    assert (shifted.worse, shifted.named) == (20, 20)
    equal = simulate(model, RULE, {}, repetitions=20)
    assert equal.worse + equal.better <= 1


def test_the_spread_of_a_pair_is_that_of_the_measured_runs() -> None:
    variation = read_variation(MEASURED)
    model = model_of(variation)
    times = [sum(leg.values()) for leg in variation.legs]
    pairs = [b - a for a, b in zip(times[::2], times[1::2], strict=False)]
    assert model.response_stddev == pytest.approx((sum(d * d for d in pairs) / len(pairs)) ** 0.5)
    assert 0 < model.stddev(STAGE) < model.response_stddev


def test_a_file_without_runs_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ab.json"
    path.write_text("{}")
    with pytest.raises(BenchError, match="has no runs of an interleaved comparison"):
        read_variation(path)
    path.write_text('{"machine": "x", "legs": []}')
    with pytest.raises(BenchError, match="has 0 runs"):
        read_variation(path)

from __future__ import annotations

import msgspec
import pytest
from scipy.stats import binom

from reelbench.reporting.document.report import Table
from reelbench.reporting.sections.performance import mlperf
from reelbench.reporting.statistics.early_stopping import estimate, needed
from tests.reporting.evidence_of import evidence, only
from tests.reporting.made_run import MadeRun


@pytest.mark.parametrize(("quantile", "n"), [(0.90, 64), (0.95, 130), (0.99, 662)])
def test_the_least_sample_is_that_of_the_rules(quantile: float, n: int) -> None:
    assert needed(quantile) == n
    assert estimate([1.0] * (n - 1), quantile) is None
    assert estimate([float(k) for k in range(n)], quantile) == n - 1


@pytest.mark.parametrize("n", [64, 100, 248, 1000])
def test_the_estimate_is_the_lowest_latency_that_the_criterion_allows(n: int) -> None:
    value = estimate([float(k) for k in range(n)], 0.9)
    assert value is not None
    above = n - int(value)
    assert binom.cdf(above, n, 0.1) <= 0.01 < binom.cdf(above + 1, n, 0.1)


def test_the_section_is_in_runs_of_the_profile_and_says_that_it_is_no_result(made: MadeRun) -> None:
    run = only(made.run, "single_request")
    assert mlperf.section(evidence(made, run=run)) is None
    shaped = msgspec.structs.replace(run, profile="mlperf-like")
    section = mlperf.section(evidence(made, run=shaped))
    assert section is not None
    assert "no MLPerf result" in str(section.blocks[0])
    table = next(block for block in section.blocks if isinstance(block, Table))
    times = sorted(evidence(made, run=shaped).response_times("single_request", "n01"))
    n = len(times)
    expected = estimate(times, 0.9)
    assert [row[1] for row in table.rows] == ["P90 latency [s]", "P95 latency [s]", "P99 latency [s]"]
    assert table.rows[0][3] == str(n)
    assert table.rows[0][2] == (f"{expected:.3f}" if expected is not None else "-")

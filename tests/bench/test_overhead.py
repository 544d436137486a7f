from __future__ import annotations

import math
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from reelbench.bench import overhead_parts
from reelbench.bench.generators import BenchError
from reelbench.bench.overhead import Measured, lines, measured, order
from reelbench.bench.overhead_parts import ISOLATED, METRICS, SPANS, UNSCRAPED
from reelbench.bench.ratio import Ratio, ratio
from reelbench.bench.variants import IN_FLIGHT, OFF, ON, scenario
from reelbench.loadgen.plan.plan import plan_run
from reelbench.loadgen.record.jobs import Outcome
from reelbench.stack.prometheus import PrometheusBinary
from tests.commands import left_behind
from tests.data_helper import job

ROOT = Path(__file__).parents[2]


def test_the_order_is_seeded_and_each_pair_has_both() -> None:
    assert order(20, 1) == order(20, 1) != order(20, 2)
    assert set(order(20, 1)) == {(ON, OFF, OFF, ON), (OFF, ON, ON, OFF)}
    firsts = Counter(first for first, *_ in order(200, 1))
    assert min(firsts[ON], firsts[OFF]) > 70


def test_a_ratio_is_the_geometric_mean_with_the_interval_of_students_t() -> None:
    found = ratio([1.0, 2.0, 4.0], [2.0, 2.0, 2.0])
    assert found.value == pytest.approx(1.0)
    half = 4.302653 * math.log(2) / math.sqrt(3)  # t of 2 degrees of freedom; the logarithms are -log 2, 0, log 2
    assert found.upper == pytest.approx(math.exp(half), rel=1e-6)
    assert found.lower == pytest.approx(math.exp(-half), rel=1e-6)
    assert ratio([3.0], [4.0]) == Ratio(0.75, None, None)
    same = ratio([9.0, 9.0], [10.0, 10.0])
    assert [same.value, same.lower, same.upper] == pytest.approx([0.9] * 3)


def test_rate_and_p95_exclude_warm_up() -> None:
    jobs = [job(n, due=n / 10, seconds=0.5 + n / 100) for n in range(20)]
    warm = job(warmup=True, due=-50.0)
    found = measured([[warm, *jobs]])
    assert found.rate == pytest.approx(20 / (1.9 + 0.5 + 0.19))
    assert found.p95 == pytest.approx(0.5 + 0.18)  # the 19th of 20


def test_the_loads_of_a_pair_are_taken_together_without_the_time_between_them() -> None:
    early = [job(n, due=n / 10, seconds=0.5) for n in range(10)]
    late = [job(n, due=100 + n / 10, seconds=1.0) for n in range(10)]
    found = measured([early, late])
    assert found.rate == pytest.approx(20 / (0.9 + 0.5 + 0.9 + 1.0))
    assert found.p95 == pytest.approx(1.0)


def test_a_load_with_failures_is_no_measurement() -> None:
    with pytest.raises(BenchError, match=r"^1 of 2 jobs were not completed; run it again on a quiet machine$"):
        measured([[job()], [job(outcome=Outcome.FAILED)]])
    with pytest.raises(BenchError, match=r"^0 of 0 jobs"):
        measured([])


def test_the_result_is_two_ratios() -> None:
    pairs = [(Measured(9.0, 1.1), Measured(10.0, 1.0)), (Measured(18.0, 2.2), Measured(20.0, 2.0))]
    assert lines(pairs) == [
        "telemetry on / off, 2 pairs, 16 jobs in flight",
        "jobs/s        median 0.900, mean 0.900 (95 % interval 0.900 to 0.900)",
        "P95 response  median 1.100, mean 1.100 (95 % interval 1.100 to 1.100)",
    ]
    assert lines(pairs[:1])[1] == "jobs/s        median 0.900, mean 0.900"
    outlier = (Measured(2.5, 1.1), Measured(10.0, 1.0))
    assert lines([*pairs, outlier])[1].startswith(
        "jobs/s        median 0.900, mean 0.587 ("
    )  # (0.9 * 0.9 * 0.25) ** (1/3)


def test_parts_are_differences_within_the_rounds() -> None:
    def one(noise: float) -> overhead_parts.Round:
        """A round of 60 ms a job without telemetry: 1 ms shared, 3 ms spans, 2 ms metrics, 0.5 ms scrape."""
        return {
            OFF: 0.060 + noise,
            ISOLATED: 0.0598 + noise,
            SPANS: 0.064 + noise,
            METRICS: 0.063 + noise,
            UNSCRAPED: 0.066 + noise,
            ON: 0.0665 + noise,
        }

    assert (
        overhead_parts.lines([one(0.0), one(0.01)])[0]
        == "CPU time a job of service, providers and Prometheus, 2 rounds"
    )
    cells = [re.split(r"  +", line.strip()) for line in overhead_parts.lines([one(0.0), one(0.01)])[3:]]
    assert [row[:3] for row in cells] == [
        ["spans", "3000", "3000 to 3000"],
        ["metrics", "2000", "2000 to 2000"],
        ["scrape", "500", "500 to 500"],
        ["instrumentation", "1000", "1000 to 1000"],
        ["total", "6500", "6500 to 6500"],
        ["propagation", "200", "200 to 200"],
    ]
    dearer = {**one(0.0), ON: 0.0675}
    limits = [re.split(r"  +", line.strip())[1:3] for line in overhead_parts.lines([one(0.0), dearer])[3:]]
    assert limits[2] == ["1000", "-5353 to 7353"]  # t of 1 degree of freedom: 12.706 * 500
    assert re.split(r"  +", overhead_parts.lines([dearer])[5].strip())[:2] == ["scrape", "1500"]


def test_each_variant_leaves_out_what_its_name_says() -> None:
    telemetry = {one.name: dict(one.variables) for one in overhead_parts.VARIANTS}
    off = {"OTEL_SDK_DISABLED": "true", "OTEL_METRICS_EXPORTER": "none", "OTEL_TRACES_EXPORTER": "none"}
    assert telemetry == {
        "on": {},
        "not scraped": {},
        "spans only": {"OTEL_METRICS_EXPORTER": "none"},
        "metrics only": {"OTEL_TRACES_EXPORTER": "none"},
        "off": off,
        "off, nothing propagated": off | {"OTEL_PROPAGATORS": "none"},
    }
    assert [one.name for one in overhead_parts.VARIANTS if one.scraped] == ["on"]


def test_the_load_is_a_closed_loop_with_a_seeded_plan() -> None:
    load = scenario(40)
    assert (load.cases[0].concurrency, load.cases[0].iterations.quick, load.cases[0].warmup.quick) == (16, 40, 16)
    assert len(plan_run([load], "quick", 3)) == 40 + IN_FLIGHT


@pytest.mark.acceptance
@pytest.mark.extended
def test_the_command_measures_both_and_leaves_no_process(
    prometheus: PrometheusBinary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    command = [sys.executable, str(ROOT / "scripts" / "bench_overhead.py"), "--pairs", "1", "--jobs", "16"]
    command += ["--rounds", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    first, *ratios = done.stdout.splitlines()[:3]
    assert first == "telemetry on / off, 1 pairs, 16 jobs in flight"
    assert [line.split("  ")[0] for line in ratios] == ["jobs/s", "P95 response"]
    assert all(0.2 < float(line.split()[-1]) < 5 for line in ratios)
    empty, title, *table = done.stdout.splitlines()[3:]
    assert (empty, title) == ("", "CPU time a job of service, providers and Prometheus, 1 rounds")
    costs = {row[0]: float(row[1]) for line in table[2:] if (row := re.split(r"  +", line))}
    assert list(costs) == [part.name for part in overhead_parts.PARTS]
    assert costs["total"] == pytest.approx(sum(list(costs.values())[:4]), abs=5)
    pair, one = done.stderr.splitlines()
    assert pair.startswith(("pair 1 of 1: on ", "pair 1 of 1: off "))
    assert one.startswith("round 1 of 1: on ")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.delenv("TMPDIR")
    assert left_behind(tmp_path) == []

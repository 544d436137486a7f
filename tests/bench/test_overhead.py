from __future__ import annotations

import math
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from reelbench.bench.generators import BenchError
from reelbench.bench.overhead import IN_FLIGHT, Measured, lines, measured, order, scenario
from reelbench.bench.ratio import Ratio, ratio
from reelbench.loadgen.plan.plan import plan_run
from reelbench.loadgen.record.jobs import Outcome
from reelbench.stack.prometheus import PrometheusBinary
from tests.commands import left_behind
from tests.data_helper import job

ROOT = Path(__file__).parents[2]


def test_the_order_is_seeded_and_each_pair_has_both() -> None:
    assert order(20, 1) == order(20, 1) != order(20, 2)
    assert {frozenset(pair) for pair in order(20, 1)} == {frozenset({"on", "off"})}
    firsts = Counter(first for first, _ in order(200, 1))
    assert min(firsts["on"], firsts["off"]) > 70


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
    found = measured([warm, *jobs])
    assert found.rate == pytest.approx(20 / (1.9 + 0.5 + 0.19))
    assert found.p95 == pytest.approx(0.5 + 0.18)  # the 19th of 20


def test_a_load_with_failures_is_no_measurement() -> None:
    with pytest.raises(BenchError, match=r"^1 of 2 jobs were not completed; run it again on a quiet machine$"):
        measured([job(), job(outcome=Outcome.FAILED)])
    with pytest.raises(BenchError, match=r"^0 of 0 jobs"):
        measured([])


def test_the_result_is_two_ratios() -> None:
    pairs = [(Measured(9.0, 1.1), Measured(10.0, 1.0)), (Measured(18.0, 2.2), Measured(20.0, 2.0))]
    assert lines(pairs) == [
        "telemetry on / off, 2 pairs, 16 jobs in flight",
        "jobs/s        0.900 (95 % interval 0.900 to 0.900)",
        "P95 response  1.100 (95 % interval 1.100 to 1.100)",
    ]
    assert lines(pairs[:1])[1] == "jobs/s        0.900"


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
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert [line.split("  ")[0] for line in done.stdout.splitlines()] == [
        "telemetry on / off, 1 pairs, 16 jobs in flight",
        "jobs/s",
        "P95 response",
    ]
    assert all(0.2 < float(line.split()[-1]) < 5 for line in done.stdout.splitlines()[1:])
    (line,) = done.stderr.splitlines()
    assert line.startswith(("pair 1 of 1: on ", "pair 1 of 1: off "))
    assert list(tmp_path.iterdir()) == []
    monkeypatch.delenv("TMPDIR")
    assert left_behind(tmp_path) == []

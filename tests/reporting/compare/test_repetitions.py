from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from reelbench.loadgen.record.run_files import RecordError
from reelbench.reporting.compare.folders import repeated_runs
from reelbench.reporting.compare.records import Repeated, RepetitionsRecord
from reelbench.reporting.compare.repetitions import write_repetitions
from reelbench.reporting.statistics.intervals import Interval
from tests.reporting.compare.variants import copy


def made(source: Path, folder: Path, factors: list[float]) -> RepetitionsRecord:
    runs = [copy(source, folder / f"x.r{i}", scale=1 / f) for i, f in enumerate(factors, 1)]
    return write_repetitions(folder / "x.repeat", runs).record


def of(record: RepetitionsRecord, sli: str, scenario: str, case: str) -> Repeated:
    (found,) = [r for r in record.indicators if (r.sli, r.scenario, r.case) == (sli, scenario, case)]
    return found


def test_mean_and_interval_over_runs_are_students_t(measured_dir: Path, tmp_path: Path) -> None:
    found = of(made(measured_dir, tmp_path, [1.0, 1.25, 0.8]), "throughput", "throughput", "n50")
    expected = stats.ttest_1samp(found.values, 0).confidence_interval(0.95)
    assert (found.interval.lower, found.interval.upper) == pytest.approx((expected.low, expected.high))
    first = found.values[0]
    assert found.values == pytest.approx((first, first / 1.25, first / 0.8))
    assert (found.n, found.minimum, found.maximum) == (3, pytest.approx(first / 1.25), pytest.approx(first / 0.8))
    assert found.cv == pytest.approx(stats.variation([1.0, 0.8, 1.25], ddof=1))
    assert found.median_interval == Interval(None, None)
    assert found.within == Interval(None, None)


def test_the_interval_within_the_first_run_and_the_spread_between_runs(measured_dir: Path, tmp_path: Path) -> None:
    record = made(measured_dir, tmp_path, [1.0, 1.3])
    found = of(record, "response_time_avg", "single_request", "n01")
    assert found.values[1] == pytest.approx(1.3 * found.values[0])
    assert found.within.lower is not None
    assert found.within.upper is not None
    assert found.within.lower < found.values[0] < found.within.upper
    assert found.spread is not None
    error = (found.within.upper - found.within.lower) / (2 * 1.96)
    assert found.spread == pytest.approx(np.std(found.values, ddof=1) / error)


def test_the_median_needs_six_runs_for_an_interval(measured_dir: Path, tmp_path: Path) -> None:
    found = of(made(measured_dir, tmp_path, [1.0, 1.1, 1.2, 0.9, 0.8, 1.3]), "response_time_avg", "throughput", "n50")
    assert found.median_interval == Interval(min(found.values), max(found.values))
    text = (tmp_path / "x.repeat" / "reports" / "repetitions_report.md").read_text()
    assert "95 % CI of the median" in text


def test_one_run_has_no_interval(measured_dir: Path, tmp_path: Path) -> None:
    found = of(made(measured_dir, tmp_path, [1.0]), "throughput", "throughput", "n50")
    assert (found.interval, found.stddev, found.cv) == (Interval(None, None), None, None)


def test_the_same_runs_give_the_same_bytes_wherever_they_were_moved(measured_dir: Path, tmp_path: Path) -> None:
    made(measured_dir, tmp_path / "here", [1.0, 1.3])
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    folder = tmp_path / "there" / "x.repeat"
    before = {path.name: path.read_bytes() for path in (folder / "reports").iterdir()}
    assert repeated_runs(folder) == [tmp_path / "there" / "x.r1", tmp_path / "there" / "x.r2"]
    write_repetitions(folder, repeated_runs(folder))
    assert {path.name: path.read_bytes() for path in (folder / "reports").iterdir()} == before


def test_a_folder_without_repetitions_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"cannot read repetitions.json"):
        repeated_runs(tmp_path)
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "repetitions.json").write_text('{"schema_version": 9}')
    with pytest.raises(RecordError, match=r"schema version 9, .* version 1"):
        repeated_runs(tmp_path)

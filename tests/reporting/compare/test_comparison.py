from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from reelbench.loadgen.record.jobs import JobRecord, Outcome
from reelbench.loadgen.record.run import RunRecord, RunState
from reelbench.loadgen.record.run_files import RecordError
from reelbench.reporting.catalogue.sli import Kind
from reelbench.reporting.catalogue.sli_file import load
from reelbench.reporting.compare.comparison import export
from reelbench.reporting.compare.folders import COMPARISON_FILE
from reelbench.reporting.compare.judge import ALIKE, CONSTANT, INVALID, ONE_VALUE
from reelbench.reporting.compare.records import ComparisonRecord, Finding, Verdict
from reelbench.reporting.compare.repetitions import write_repetitions
from reelbench.reporting.compare.side import CompareError
from reelbench.reporting.statistics.difference import holds_zero
from reelbench.reporting.statistics.significance import corrected
from tests.reporting.compare.variants import alter, copy, noisy, slower


def of(record: ComparisonRecord, sli: str, place: str) -> Finding:
    (found,) = [f for f in record.findings if f.sli == sli and f"{f.scenario}/{f.case}{f.member}" == place]
    return found


def text(folder: Path) -> str:
    return (folder / "reports" / "comparison_report.md").read_text()


def repeat(source: Path, folder: Path, name: str, factors: list[float]) -> Path:
    runs = [copy(source, folder / f"{name}.r{i}", scale=1 / f) for i, f in enumerate(factors, 1)]
    write_repetitions(folder / f"{name}.repeat", runs)
    return folder / f"{name}.repeat"


@pytest.mark.extended
def test_a_run_with_jobs_a_third_slower_differs_in_these_two_runs(measured_dir: Path, tmp_path: Path) -> None:
    run = copy(measured_dir, tmp_path / "slow", scale=1 / 1.3)
    compared = export(run, measured_dir)
    assert not compared.record.worse  # identical code differs from run to run too
    found = of(compared.record, "response_time_avg", "concurrent_load/n50")
    assert (found.verdict, found.test, found.reason) == (Verdict.DIFFERS, "Welch's t", "")
    assert found.relative == pytest.approx(0.3, abs=1e-7)
    assert found.relative_interval.lower is not None
    assert found.relative_interval.upper is not None
    assert 0.2 < found.relative_interval.lower < 0.3 < found.relative_interval.upper < 0.4
    assert of(compared.record, "response_time_p50", "concurrent_load/n50").test == "Mann-Whitney"
    p95 = of(compared.record, "response_time_p95", "concurrent_load/n50")
    assert (p95.verdict, p95.test) == (Verdict.DIFFERS, "permutation")
    differing = {f.sli for f in compared.record.findings if f.verdict is Verdict.DIFFERS}
    # The steady parts are too small for P99, which is their maximum.
    assert differing == {"response_time_avg", "response_time_p50", "response_time_p95"}
    assert (compared.record.count(Verdict.BETTER), compared.record.count(Verdict.WORSE)) == (0, 0)
    (cause,) = compared.record.causes(Verdict.DIFFERS)  # one shift, however many indicators and places show it
    assert (cause.lead.sli, len(cause.findings)) == ("response_time_avg", compared.record.count(Verdict.DIFFERS))
    assert not [f.sli for f in compared.record.findings if f.sli.endswith("_n")], "sample sizes are not compared"
    line = next(line for line in text(run).splitlines() if line.startswith("- **differs in these two runs**: Average"))
    assert ", +30.0 % (95 % CI +" in line
    few = of(compared.record, "response_time_p95", "concurrent_load/n01")
    assert (few.verdict, few.n_run, few.interval.upper) == (Verdict.CANNOT_TELL, 40, None)
    turned = export(measured_dir, run)
    assert not turned.record.worse
    found = of(turned.record, "response_time_avg", "concurrent_load/n50")
    assert (found.verdict, found.relative) == (Verdict.DIFFERS, pytest.approx(1 / 1.3 - 1))


def test_the_same_jobs_with_noise_show_no_difference(measured_dir: Path, tmp_path: Path) -> None:
    record = export(copy(measured_dir, tmp_path / "again", noisy(7)), measured_dir).record
    assert (record.count(Verdict.WORSE), record.count(Verdict.BETTER)) == (0, 0)
    found = of(record, "response_time_avg", "concurrent_load/n50")
    assert (found.verdict, found.reason) == (Verdict.NOT_SHOWN, "")
    assert found.p is not None
    assert found.p > 0.05


def test_one_value_per_run_is_undecided(measured_dir: Path, tmp_path: Path) -> None:
    record = export(copy(measured_dir, tmp_path / "slow", scale=0.5), measured_dir).record
    found = of(record, "throughput", "throughput/n50")
    assert (found.verdict, found.p) == (Verdict.CANNOT_TELL, None)
    assert found.relative == pytest.approx(-0.5)
    assert found.reason == ONE_VALUE


def test_more_failures_differ_and_equal_shares_are_not_tested(measured_dir: Path, tmp_path: Path) -> None:
    run = copy(measured_dir, tmp_path / "failing")
    kept = json.loads((run / "measurements.json").read_text())
    for m in kept["measurements"]:
        if (m["sli"], m["scenario"], m["case"]) == ("success_rate", "concurrent_load", "n50"):
            m["value"] = 0.9  # 396 of 400 in the baseline
    (run / "measurements.json").write_text(json.dumps(kept))
    record = export(run, measured_dir).record
    found = of(record, "success_rate", "concurrent_load/n50")
    assert (found.verdict, found.test, found.n_run) == (Verdict.DIFFERS, "Fisher", 400)
    assert found.difference == pytest.approx(-0.09)
    alike = of(record, "success_rate", "concurrent_load/n10")
    assert (alike.verdict, alike.reason, alike.p) == (Verdict.NOT_SHOWN, ALIKE, None)


def test_every_share_and_count_that_is_compared_has_a_sample_size() -> None:
    shares = [sli for sli in load().slis if sli.better and sli.kind in {Kind.SHARE, Kind.COUNT}]
    assert len(shares) > 1
    assert all(sli.n or sli.function for sli in shares)
    assert {sli.unit for sli in shares if sli.kind is Kind.SHARE} == {"ratio"}


def test_significant_but_negligible_is_no_difference(measured_dir: Path, tmp_path: Path) -> None:
    def shift(job: JobRecord) -> JobRecord:
        done = job.due + 1 + 2e-5 * (job.index % 400) + (0.000396 if shifted else 0.0)
        return msgspec.structs.replace(job, done=done, outcome=Outcome.COMPLETED)

    shifted = False
    baseline = copy(measured_dir, tmp_path / "steady", shift)
    shifted = True
    record = export(copy(measured_dir, tmp_path / "shifted", shift), baseline).record
    found = of(record, "response_time_avg", "throughput/n50")
    ahead = 0.000396 / 2e-5 / (found.n_run or 1)  # share of the times that the shift overtakes
    assert found.a12 == pytest.approx(0.5 + ahead - ahead**2 / 2, abs=0.002)
    assert (found.p_corrected or 1) <= 0.05
    assert found.verdict is Verdict.NOT_SHOWN
    assert "negligible: |A12 - 0.5| = 0.05" in found.reason


@pytest.mark.extended
def test_three_runs_per_side_are_undecided_and_four_decide(measured_dir: Path, tmp_path: Path) -> None:
    slow, fast = [1.50, 1.52, 1.51, 1.53], [1.00, 1.02, 1.01, 0.99]
    three = export(
        repeat(measured_dir, tmp_path, "a", slow[:3]), repeat(measured_dir, tmp_path, "b", fast[:3])
    ).record  # fmt: skip
    found = of(three, "throughput", "throughput/n50")
    assert (found.verdict, found.p) == (Verdict.CANNOT_TELL, None)
    assert found.reason.startswith("3 against 3 runs: p ≤ 0.05 is out of reach")
    four = export(repeat(measured_dir, tmp_path, "c", slow), repeat(measured_dir, tmp_path, "d", fast)).record
    found = of(four, "throughput", "throughput/n50")
    assert (found.verdict, found.test, found.n_run, found.a12) == (Verdict.WORSE, "Welch's t over runs", 4, 0.0)
    times = of(four, "response_time_p95", "concurrent_load/n05")
    assert (times.verdict, times.relative) == (Verdict.WORSE, pytest.approx(1.515 / 1.005 - 1))
    assert four.over_runs


@pytest.mark.extended
def test_one_run_is_compared_with_the_spread_of_four(measured_dir: Path, tmp_path: Path) -> None:
    many = repeat(measured_dir, tmp_path, "many", [1.00, 1.02, 1.01, 0.99])
    slow = export(copy(measured_dir, tmp_path / "slow", scale=1 / 1.5), many).record
    assert of(slow, "throughput", "throughput/n50").verdict is Verdict.WORSE
    like = export(copy(measured_dir, tmp_path / "like", scale=1 / 1.01), many).record
    assert of(like, "throughput", "throughput/n50").verdict is Verdict.NOT_SHOWN
    turned = export(many, tmp_path / "slow").record
    there, back = of(slow, "throughput", "throughput/n50"), of(turned, "throughput", "throughput/n50")
    assert back.verdict is Verdict.BETTER
    assert back.p == there.p
    assert back.interval.lower == pytest.approx(-(there.interval.upper or 0))


@pytest.mark.extended
def test_constant_values_on_both_sides_are_compared_exactly(measured_dir: Path, tmp_path: Path) -> None:
    sides = []
    for name, scale in (("a", 0.5), ("b", 1.0), ("c", 1.0)):
        runs = [copy(measured_dir, tmp_path / f"{name}.r{i}", scale=scale) for i in range(4)]
        write_repetitions(tmp_path / f"{name}.repeat", runs)
        sides.append(tmp_path / f"{name}.repeat")
    found = of(export(*sides[:2]).record, "throughput", "throughput/n50")
    assert (found.verdict, found.test, found.p) == (Verdict.WORSE, "exact", None)
    same = of(export(sides[2], sides[1]).record, "response_time_avg", "throughput/n50")
    assert (same.verdict, same.reason, same.test) == (Verdict.NOT_SHOWN, CONSTANT, None)


@pytest.mark.extended
def test_a_percentile_that_is_the_maximum_is_undecided(measured_dir: Path, tmp_path: Path) -> None:
    sides = [repeat(measured_dir, tmp_path, name, [f, f * 1.01, f, f * 1.02]) for name, f in (("a", 2.0), ("b", 1.0))]
    record = export(*sides).record
    found = of(record, "response_time_p99", "concurrent_load/n01")
    assert (found.verdict, found.reason) == (Verdict.CANNOT_TELL, "P99 of 40 samples per run is their maximum")
    assert of(record, "response_time_p95", "concurrent_load/n01").verdict is Verdict.WORSE


def test_different_plans_are_refused_unless_forced_and_the_report_says_so(measured_dir: Path, tmp_path: Path) -> None:
    def other(run: RunRecord) -> RunRecord:
        return msgspec.structs.replace(run, plan_hash="q" * 64, seed=2)

    run = copy(measured_dir, tmp_path / "other")
    alter(run, other)
    with pytest.raises(CompareError) as refused:
        export(run, measured_dir)
    (error,) = refused.value.errors
    assert all(part in error for part in ("seed 2, paper.pdf, plan qqqqqqqq", "seed 1, paper.pdf, plan pppppppp"))
    assert error.endswith("add --force")
    assert not (run / "reports" / COMPARISON_FILE).exists()
    record = export(run, measured_dir, force=True).record
    assert len(record.forced) == 1
    lines = text(run).splitlines()
    assert next(line for line in lines if line.startswith("- ")).startswith("- **Forced:** the plans differ")


def test_every_reason_to_refuse_is_named_at_once(measured_dir: Path, run_dir: Path, tmp_path: Path) -> None:
    def unfinished(run: RunRecord) -> RunRecord:
        data = msgspec.to_builtins(run)
        data["state"] = RunState.INTERRUPTED
        data["scenarios"][1]["cases"][4]["generator_cpu"] = 0.93
        return msgspec.convert(data, RunRecord)

    baseline = copy(measured_dir, tmp_path / "base")
    alter(baseline, unfinished)
    with pytest.raises(CompareError) as refused:
        export(measured_dir, baseline)
    assert [error.split(";")[0] for error in refused.value.errors] == [
        "the baseline base is not finished (its state is interrupted)",
        "the baseline base is INVALID: the load generator was the bottleneck in concurrent_load / n50",
    ]
    record = export(measured_dir, baseline, force=True).record
    found = of(record, "response_time_avg", "concurrent_load/n50")
    assert (found.verdict, found.reason) == (Verdict.CANNOT_TELL, INVALID)
    with pytest.raises(CompareError, match="is on both sides"):
        export(measured_dir, measured_dir)
    with pytest.raises(RecordError, match=r"has no measurements\.json; write it with: reelbench report "):
        export(measured_dir, run_dir)


def test_only_differences_are_listed(measured_dir: Path, tmp_path: Path) -> None:
    def moved(run: RunRecord) -> RunRecord:
        environment = msgspec.structs.replace(run.environment, commit="e" * 40, dirty=False, cpu_count=8)
        return msgspec.structs.replace(run, environment=environment, switches={"cache": False}, target="http://h:2")

    run = copy(measured_dir, tmp_path / "moved")
    alter(run, moved)
    found = {d.item: (d.run, d.baseline) for d in export(run, measured_dir).record.differs}
    assert found == {
        "Commit": ("eeeeeeeeeeee", "cccccccccccc, with uncommitted changes"),
        "Switch cache": ("off", "-"),
        "Processor": ("Made CPU, 8 cores", "Made CPU, 2 cores"),
    }


@pytest.mark.extended
def test_the_same_two_runs_give_the_same_bytes(measured_dir: Path, tmp_path: Path) -> None:
    run = copy(measured_dir, tmp_path / "slow", noisy(3, 0.4))
    files = [run / "reports" / name for name in ("comparison.json", "comparison_report.md")]
    export(run, measured_dir)
    before = [path.read_bytes() for path in files]
    export(run, measured_dir)
    assert [path.read_bytes() for path in files] == before
    assert json.loads(before[0])["schema_version"] == 1
    assert msgspec.json.decode(before[0], type=ComparisonRecord).run.name == "slow"


def test_repeated_runs_count_one_cause_and_fail(measured_dir: Path, tmp_path: Path) -> None:
    slow = repeat(measured_dir, tmp_path, "slow", [1.50, 1.51, 1.52, 1.53])
    base = repeat(measured_dir, tmp_path, "base", [1.00, 1.01, 1.00, 1.01])
    record = export(slow, base).record
    assert record.worse
    (cause,) = record.causes(Verdict.WORSE)
    assert cause.lead.sli == "response_time_avg"
    assert {f.sli for f in cause.findings} >= {"response_time_avg", "response_time_p50", "throughput"}
    assert "**1 worse, 0 better" in text(slow)


def test_primary_indicators_are_corrected_apart_from_those_that_follow(measured_dir: Path, tmp_path: Path) -> None:
    record = export(copy(measured_dir, tmp_path / "slow", slower(1.05)), measured_dir).record
    tested = [f for f in record.findings if f.p is not None]
    first = [f for f in tested if not f.follows]
    assert {f.follows for f in tested if f.sli in {"response_time_p50", "response_time_p95"}} == {"response_time_avg"}
    assert [f.p_corrected for f in first] == pytest.approx(corrected([f.p for f in first if f.p is not None]))


@pytest.mark.extended
@pytest.mark.parametrize("factor", [1.0, 1.02, 1.05, 1.1, 1.3])
def test_a_relative_interval_never_contradicts_the_difference(
    measured_dir: Path, tmp_path: Path, factor: float
) -> None:
    change = noisy(3, 0.3)
    run = copy(measured_dir, tmp_path / "run", lambda job: slower(factor)(change(job)))
    for f in export(run, measured_dir).record.findings:
        if f.relative_interval.lower is not None and f.relative_interval.upper is not None:
            assert holds_zero(f.relative_interval) == holds_zero(f.interval)
            assert f.verdict is not Verdict.DIFFERS or not holds_zero(f.relative_interval)

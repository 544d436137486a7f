"""A history of runs: which runs are read, which changes are found, and what the report and the command say."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from reelbench.exit_code import ExitCode
from reelbench.loadgen.record.run_files import RecordError
from reelbench.reporting.export import export as export_run
from reelbench.reporting.formats import Format
from reelbench.reporting.statistics.change_points import CORRELATION, change_points, shift, widened
from reelbench.reporting.trend.history import read_history
from reelbench.reporting.trend.records import Outcome, TrendRecord
from reelbench.reporting.trend.report import causes
from reelbench.reporting.trend.trend import export
from reelbench.suite.commands.command_line import main
from tests.reporting.made_run import RUN_ID, make

PLACES = [
    *(("response_time_avg", "s", "concurrent_load", case) for case in ("n01", "n05", "n10", "n20")),
    *(("response_time_p95", "s", "concurrent_load", case) for case in ("n01", "n05", "n10", "n20")),
    *(("stage_avg", "s", "component_speed", case) for case in ("llm", "tts", "image", "compose")),
    *(("memory_per_job", "By", "single_job", case) for case in ("a", "b")),
    *(("success_rate", "ratio", "normal_operation", case) for case in ("a", "b")),
]
MEAN = {"s": 0.4, "By": 40e6, "ratio": 1.0}
Change = Callable[[str, str, int], float]


def value(sli: str, unit: str, scenario: str, case: str, number: float | None) -> dict[str, Any]:
    names = {"sli": sli, "title": sli.replace("_", " "), "scenario": scenario, "case": case, "member": "", "unit": unit}
    return {**names, "value": number, "n": 100, "objective": None}


def results(number: int, numbers: Sequence[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    """Return what results.json holds of a run, as far as it is read."""
    environment = {
        "cpu_model": "made", "cpu_count": 4, "memory_bytes": 8 * 2**30, "os": "made", "python": "CPython 3.12",
        "packages": {}, "commit": "abcdef"[number // 10] * 40, "dirty": False, "lock_sha256": None,
    }  # fmt: skip
    provenance = {
        "plan_sha256": "ab" * 32, "replicas": 1, "document": None, "switches": {"retries": True},
        "environment": environment | fields.pop("environment", {}),
        "stack": {"kind": "embedded", "components": [{"name": "service", "version": "1"}]},
    }  # fmt: skip
    return {
        "schema_version": 2, "run_id": f"run-{number:02d}", "profile": "quick", "target": "http://127.0.0.1:1",
        "state": "completed", "started": 1e9 + number, "verdict": "PASS", "dimensions": [{"problems": []}],
        "numbers": list(numbers), "provenance": provenance | fields.pop("provenance", {}), **fields,
    }  # fmt: skip


def write(folder: Path, made: dict[str, Any]) -> None:
    path = folder / made["run_id"] / "reports" / "results.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(made))
    (path.parent.parent / "run.json").write_text("{}")


def history(folder: Path, runs: int, change: Change = lambda *_: 1.0, seed: int = 1) -> Path:
    """Write runs whose values vary by 5 % from run to run, times what `change` gives for indicator, case and run."""
    noise = random.Random(seed)
    for number in range(1, runs + 1):
        numbers = [
            value(sli, unit, scenario, case, MEAN[unit] * change(sli, case, number) * (
                1 if unit == "ratio" else 1 + noise.gauss(0, 0.05)
            ))
            for sli, unit, scenario, case in PLACES
        ]  # fmt: skip
        write(folder, results(number, numbers))
    return folder


def regressions(sli: str, case: str, run: int) -> float:
    """Three changes: stage llm +25 % from run 11 on, response times of n20 +20 % from 19, memory +30 % from 25."""
    slower = sli.startswith("response_time") and case == "n20" and run >= 19
    return 1.25 if (sli, case) == ("stage_avg", "llm") and run >= 11 else (
        1.2 if slower else 1.3 if (sli, case) == ("memory_per_job", "b") and run >= 25 else 1.0
    )  # fmt: skip


def made(folder: Path, **options: Any) -> TrendRecord:
    return export([folder], folder / "trend", charts=False, **options).record


@pytest.mark.parametrize("seed", [1, 2])
def test_thirty_runs_of_one_code_have_no_change(tmp_path: Path, seed: int) -> None:
    (group,) = made(history(tmp_path, 30, seed=seed)).groups
    assert [len(group.runs), group.count(Outcome.UNCHANGED), group.count(Outcome.CONSTANT)] == [30, 14, 2]
    assert group.count(Outcome.CHANGED) == 0


def test_three_regressions_are_found_at_their_runs(tmp_path: Path) -> None:
    record = made(history(tmp_path, 30, regressions))
    (group,) = record.groups
    found = {(c.lead.sli, c.lead.case, c.change.run, c.change.worse, len(c.findings)) for c in causes(group)}
    assert found == {
        ("stage_avg", "llm", 11, True, 1),
        ("response_time_avg", "n20", 19, True, 2),
        ("memory_per_job", "b", 25, True, 1),
    }
    changes = {c.lead.sli: c.change for c in causes(group)}
    assert changes["stage_avg"].relative == pytest.approx(0.25, abs=0.04)
    assert (changes["stage_avg"].n_before, changes["stage_avg"].n_after) == (10, 20)
    assert all(0 < (change.p_corrected or 0) < 1e-3 for change in changes.values())
    assert record.worse


def test_a_sentence_names_change_run_and_commits(tmp_path: Path) -> None:
    folder = history(
        tmp_path, 20, lambda sli, case, run: 1.5 if (sli, case, run > 9) == ("stage_avg", "tts", True) else 1
    )
    written = export([folder], folder / "trend", charts=False)
    (line,) = [line for line in written.summary if "worse:" in line]
    assert "stage avg in component_speed / tts" in line
    assert "at run run-10 (commit aaaaaaaaaaaa to bbbbbbbbbbbb)" in line
    assert "in 9 runs to" in line
    report = Path(written.summary[-1]).read_text()
    assert "### At run run-10" in report
    assert "Different from the run before: Commit aaaaaaaaaaaa to bbbbbbbbbbbb." in report


def test_a_regression_that_was_mended_does_not_fail(tmp_path: Path) -> None:
    record = made(
        history(tmp_path, 30, lambda sli, _case, run: 1.4 if sli == "memory_per_job" and 10 < run <= 20 else 1)
    )
    (group,) = record.groups
    assert [(c.change.run, c.change.worse) for c in causes(group)] == [(21, False), (11, True)]
    assert not record.worse


def test_a_step_of_a_count_is_exact_and_one_outlier_is_no_change() -> None:
    assert [(c.index, c.p) for c in change_points([5.0] * 6 + [7.0] * 4, 0.01, 0.02)] == [(6, None)]
    assert change_points([5.0] * 6 + [9.0] + [5.0] * 6, 0.01, 0.02) == ()
    assert change_points([5.0] * 9 + [9.0], 0.01, 0.02) == ()


def test_p_is_that_of_students_t_for_correlated_values_times_the_places() -> None:
    values = [1.0, 1.1, 0.9, 1.0, 1.1, 0.9, 2.0, 2.1, 1.9, 2.0]
    (found,) = change_points(values, 0.01, 0.02)
    assert (found.index, found.n_before, found.n_after) == (6, 6, 4)
    widening, freedom = widened(6, 4)
    t = 1 / math.sqrt(widening * 0.0075 * (1 / 6 + 1 / 4))  # the pooled variance is 0.0075
    assert found.p == pytest.approx(9 * 2 * stats.t.sf(t, freedom))


def test_independent_values_have_the_plain_t_test() -> None:
    assert widened(6, 4, 0.0) == pytest.approx((1.0, 8.0))
    # n = m = 2, r = 0.5: the difference of means has variance 0.9375, the pooled variance is 0.5 on average
    assert widened(2, 2, 0.5)[0] == pytest.approx(0.9375 / 0.5)


@pytest.mark.extended
@pytest.mark.parametrize(("n", "m"), [(20, 10), (20, 3), (5, 5)])
def test_the_test_holds_its_level_where_neighbours_are_correlated(n: int, m: int) -> None:
    noise, below = random.Random(n * m), 0
    for _ in range(1000):
        values = [noise.gauss(0, 1)]
        while len(values) < n + m:
            values.append(CORRELATION * values[-1] + math.sqrt(1 - CORRELATION**2) * noise.gauss(0, 1))
        below += (shift(values[:n], values[n:])[1] or 0) <= 0.05
    assert 30 <= below <= 70  # 50 are expected, with a standard deviation of 7


def test_logarithms_decide_only_over_a_difference_of_the_same_direction() -> None:
    values = [1.0, 1.1, 0.9, 1.0, 1.1, 0.9, 2.0, 2.1, 1.9, 2.0, 2.1, 1.9]
    (plain,), (logarithmic,) = (change_points(values, 0.01, 0.02, logarithmic=given) for given in (False, True))
    assert (plain.index, plain.before, plain.after) == (logarithmic.index, logarithmic.before, logarithmic.after)
    assert logarithmic.p == pytest.approx(
        11 * (shift(*([math.log(v) for v in s] for s in (values[:6], values[6:])))[1] or 0)
    )
    assert change_points([0.0, *values[1:]], 0.01, 0.02, logarithmic=True) == change_points(
        [0.0, *values[1:]], 0.01, 0.02
    )
    # the logarithms fall at the seventh value, the mean rises
    assert change_points([5, 5.1, 4.9, 5, 5.1, 4.9, *[0.1, 0.1, 0.1, 0.1, 0.1, 40]], 0.5, 0.02, logarithmic=True) == ()


def test_more_than_one_change_is_corrected_for_both_ends() -> None:
    values = [1.0, 1.1, 0.9, 1.0, 1.1, 0.9, 2.0, 2.1, 1.9, 2.0, 2.1, 1.9, 1.0, 1.1, 0.9, 1.0, 1.1, 0.9]
    one, two = change_points(values, 0.01, 0.02)
    assert (one.index, two.index) == (6, 12)
    (alone,) = change_points(values[:12], 0.01, 0.02)
    assert one.p is not None
    assert alone.p is not None
    assert one.p / alone.p == pytest.approx(136 / 11)  # 2 of 17 places, against 1 of 11


def test_runs_that_cannot_be_trusted_are_left_out_and_named(tmp_path: Path) -> None:
    history(tmp_path, 8)
    one = [value("stage_avg", "s", "component_speed", "llm", 0.4)]
    disturbed = [{"problems": ["others took 40 % of the CPU", "counts differ"]}]
    write(tmp_path, results(41, one, verdict="INCONCLUSIVE", dimensions=disturbed))
    write(tmp_path, results(42, one, verdict="INVALID", dimensions=[{"problems": ["late"]}]))
    write(tmp_path, results(43, one, state="interrupted"))
    write(tmp_path, results(44, one, verdict="INCONCLUSIVE"))  # a violation that is not proven: how a regression begins
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "run.json").write_text("{}")
    record = made(tmp_path)
    reasons = {Path(one.run).name: one.reason for one in record.left_out}
    assert reasons["run-41"] == "it is INCONCLUSIVE: others took 40 % of the CPU, and 1 more"
    assert reasons["run-42"] == "it is INVALID: late"
    assert reasons["run-43"] == "it is not finished (its state is interrupted)"
    assert "reelbench report" in reasons["raw"]
    assert [run.run_id for run in record.groups[0].runs][-1] == "run-44"
    assert len(reasons) == 4


def test_runs_of_another_plan_or_machine_are_another_group(tmp_path: Path) -> None:
    history(tmp_path, 6)
    one = [value("stage_avg", "s", "component_speed", "llm", 0.4)]
    write(tmp_path, results(50, one, provenance={"plan_sha256": "cd" * 32}))
    write(tmp_path, results(51, one, environment={"cpu_count": 8}))
    write(tmp_path, results(52, one, target="http://10.0.0.1:1", provenance={"stack": None}))
    write(tmp_path, results(53, one, environment={"python": "CPython 3.13"}))
    record = made(tmp_path)
    assert [[run.run_id for run in group.runs][-1] for group in record.groups] == [
        "run-53",
        "run-52",
        "run-51",
        "run-50",
    ]
    assert [len(group.runs) for group in record.groups] == [7, 1, 1, 1]
    assert {one.item: one.run for one in record.groups[0].runs[-1].differs}["Python"] == "CPython 3.13"


def test_the_newest_runs_alone_are_read_on_request(tmp_path: Path) -> None:
    history(tmp_path, 9)
    (group,) = made(tmp_path, newest=6).groups
    assert [run.run_id for run in group.runs] == [f"run-{number:02d}" for number in range(4, 10)]


@pytest.mark.extended
def test_the_results_of_a_run_are_read_with_the_exact_numbers(tmp_path: Path) -> None:
    export_run(make().write(tmp_path), None, formats=(Format.JSON,), charts=False)
    data = json.loads(next(tmp_path.rglob("results.json")).read_bytes())
    found = read_history([tmp_path])
    (run,) = [run for runs in found.groups.values() for run in runs]
    assert run.run_id == RUN_ID
    exact = [n for n in data["numbers"] if (n["sli"], n["scenario"]) == ("response_time_p95", "single_request")][-1]
    assert "PromQL" not in exact["title"]
    assert run.places["response_time_p95", "single_request", "n01", ""].value == exact["value"] > 0


def test_the_command_writes_report_charts_and_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    history(tmp_path, 12, lambda sli, case, run: 1.5 if (sli, case, run > 8) == ("stage_avg", "tts", True) else 1)
    assert main(["trend", str(tmp_path), "--fail-on", "worse"]) == ExitCode.FAIL
    said = capsys.readouterr().out
    assert "12 runs, 1 worse, 0 better" in said
    chart = (tmp_path / "trend" / "figures" / "trend_1_1.svg").read_text()
    assert "mean of 8 runs" in chart
    assert "mean of 4 runs" in chart
    assert json.loads((tmp_path / "trend" / "trend.json").read_bytes())["least_runs"] == 6
    assert main(["trend", str(tmp_path), "--no-charts"]) == ExitCode.PASS


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["few"], ExitCode.INCONCLUSIVE, "no change can be found in fewer than 6, of which 3 are after it"),
        (["empty"], ExitCode.USAGE, "make one with: reelbench run"),
        (["few", "--fail-on", "better"], ExitCode.USAGE, "use worse"),
        (["few", "--newest", "0"], ExitCode.USAGE, "--newest: 0"),
        (["absent"], ExitCode.USAGE, "there is no run in"),
    ],
)
def test_what_cannot_be_judged_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: ExitCode, words: str
) -> None:
    history(tmp_path / "few", 5)
    (tmp_path / "empty").mkdir()
    assert main(["trend", str(tmp_path / arguments[0]), "--no-charts", *arguments[1:]]) == code
    said = capsys.readouterr()
    assert words in said.out + said.err
    assert said.err.count("error:") == (code == ExitCode.USAGE)


def test_without_otava_the_command_says_how_to_get_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reelbench.suite.commands.trend.find_spec", lambda _: None)
    assert main(["trend", str(tmp_path)]) == ExitCode.USAGE
    assert "pip install --no-deps apache-otava" in capsys.readouterr().err


def test_a_damaged_file_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_bytes(b"\xff{")
    found = read_history([tmp_path])
    assert found.groups == {}
    assert "export the run again" in found.left_out[0].reason
    with pytest.raises(RecordError, match="there is no run"):
        read_history([tmp_path / "absent"])

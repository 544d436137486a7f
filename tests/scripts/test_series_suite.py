"""Several runs of one plan on the real embedded stack, run with the users' command."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from reelbench.loadgen.record.jobs import read_calls
from reelbench.loadgen.record.run import read_run
from reelbench.reporting.compare.records import AblationRecord, RepetitionsRecord
from reelbench.stack.prometheus import PrometheusBinary
from tests.commands import left_behind, run


def folders(runs: Path) -> dict[str, Path]:
    """Run folders by the part of their name after the common prefix."""
    return {path.name.split(".", 1)[1]: path for path in runs.iterdir()}


@pytest.mark.acceptance
@pytest.mark.extended
@pytest.mark.usefixtures("prometheus")
def test_two_repetitions_run_one_plan_and_share_a_report(tmp_path: Path) -> None:
    options = ("--embedded", "--no-charts", "--scenario", "component_speed", "--runs", str(tmp_path))
    done = run("run_suite.py", *options, "--repeat", "2")
    assert done.returncode == 0, done.stderr + done.stdout
    assert left_behind(tmp_path) == []
    made = folders(tmp_path)
    assert set(made) == {"r1", "r2", "repeat"}
    assert len({read_run(made[name]).plan_hash for name in ("r1", "r2")}) == 1
    reports = made["repeat"] / "reports"
    record = msgspec.json.decode((reports / "repetitions.json").read_bytes(), type=RepetitionsRecord)
    assert record.runs == (made["r1"].name, made["r2"].name)
    (average,) = [r for r in record.indicators if r.sli == "response_time_avg"]
    assert average.n == 2
    assert average.mean == pytest.approx(sum(average.values) / 2)
    before = {path: path.read_bytes() for path in reports.rglob("*") if path.is_file()}
    again = run("export_reports.py", str(made["repeat"]), "--no-charts")
    assert (again.returncode, again.stdout.splitlines()) == (0, done.stdout.splitlines()[-2:])
    assert {path: path.read_bytes() for path in reports.rglob("*") if path.is_file()} == before


@pytest.mark.acceptance
@pytest.mark.extended
def test_an_ablation_of_the_cache_runs_with_and_without_it(prometheus: PrometheusBinary, tmp_path: Path) -> None:
    options = ("--embedded", "--no-charts", "--scenario", "cache_efficiency", "--runs", str(tmp_path))
    done = run("run_suite.py", *options, "--ablate", "cache")
    assert done.returncode == 0, (
        done.stderr + done.stdout
    )  # the run without the cache has no hit rate, which is allowed
    assert left_behind(tmp_path) == []
    made = folders(tmp_path)
    assert set(made) == {"full", "no_cache", "ablation"}
    switches = {name: read_run(made[name]).switches for name in ("full", "no_cache")}
    everything = dict.fromkeys(("retries", "breaker", "cache", "pooling", "scene_concurrency"), True)
    assert switches == {"full": everything, "no_cache": everything | {"cache": False}}
    warm = {name: sum(call.case == "warm" for call in read_calls(made[name])) for name in ("full", "no_cache")}
    assert warm == {"full": 0, "no_cache": 110}  # 10 jobs of 11 calls each
    data = (made["ablation"] / "reports" / "ablation.json").read_bytes()
    (effect,) = msgspec.json.decode(data, type=AblationRecord).effects
    calls = {
        f.member: (f.run, f.baseline)
        for f in effect.comparison.findings
        if (f.sli, f.case) == ("job_calls", "half_new")
    }
    assert calls == {"llm": (5, 10), "tts": (25, 50), "image": (25, 50)}
    alone = {(a.case, a.member): (a.run, a.baseline) for a in effect.comparison.alone if a.sli == "job_calls"}
    assert alone == {("warm", "llm"): (None, 10), ("warm", "tts"): (None, 50), ("warm", "image"): (None, 50)}

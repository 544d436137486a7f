from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from reelbench.loadgen.record.run import RunRecord
from reelbench.reporting.catalogue.sli_file import load
from reelbench.reporting.compare.ablation import KEY, write_ablation
from reelbench.reporting.compare.records import AblationRecord, Verdict
from tests.reporting.compare.variants import alter, copy, slower


def own_switch(run: RunRecord) -> RunRecord:
    """A run with a case that sets the cache toggle itself."""
    data = msgspec.to_builtins(run)
    data["scenarios"][0]["cases"][0]["switches"] = {"cache": False}
    return msgspec.convert(data, RunRecord)


def text(folder: Path) -> str:
    return (folder / "reports" / "ablation_report.md").read_text()


@pytest.mark.extended
def test_a_switch_that_speeds_up_differs_for_the_better(measured_dir: Path, tmp_path: Path) -> None:
    full = copy(measured_dir, tmp_path / "x.full")
    without = {
        "cache": [copy(measured_dir, tmp_path / "x.no_cache", scale=1 / 1.5)],
        "pooling": [copy(measured_dir, tmp_path / "x.no_pooling")],
    }
    record = write_ablation(tmp_path / "x.ablation", [full], without).record
    cache, pooling = record.effects
    assert (cache.optimization, pooling.optimization) == ("cache", "pooling")
    found = {
        (f.scenario, f.case): f for f in cache.comparison.findings if f.sli == "response_time_avg"
    }["throughput", "n50"]  # fmt: skip
    assert (found.verdict, round(found.relative or 0, 6)) == (Verdict.DIFFERS, round(1 / 1.5 - 1, 6))
    assert not found.gone_worse
    assert pooling.comparison.count(Verdict.DIFFERS) == pooling.comparison.count(Verdict.WORSE) == 0
    shown = text(tmp_path / "x.ablation")
    assert "**One run for each configuration:**" in shown
    assert shown.index("## Impact of cache") < shown.index("## Impact of pooling")
    assert {sli.role for sli in load().slis if sli.better} >= set(KEY), "what is always shown can be compared"


@pytest.mark.extended
def test_both_comparisons_are_corrected_together(measured_dir: Path, tmp_path: Path) -> None:
    full = copy(measured_dir, tmp_path / "x.full")
    slow = {"cache": [copy(measured_dir, tmp_path / "x.no_cache", slower(1.1))]}
    same = {"pooling": [copy(measured_dir, tmp_path / "x.no_pooling")]}
    (alone,) = write_ablation(tmp_path / "a", [full], slow).record.effects
    together, _ = write_ablation(tmp_path / "b", [full], slow | same).record.effects
    first = {f.p_corrected for f in alone.comparison.findings if f.p_corrected is not None}
    second = {f.p_corrected for f in together.comparison.findings if f.p_corrected is not None}
    assert max(second) == 1.0
    assert min(second) > min(first)
    assert [f.p for f in alone.comparison.findings] == [f.p for f in together.comparison.findings]


@pytest.mark.extended
def test_a_case_that_sets_the_toggle_is_left_out_of_that_comparison_only(measured_dir: Path, tmp_path: Path) -> None:
    runs = [copy(measured_dir, tmp_path / name) for name in ("full", "no_cache", "no_pooling")]
    for run in runs:
        alter(run, own_switch)
    record = write_ablation(tmp_path / "x", runs[:1], {"cache": runs[1:2], "pooling": runs[2:]}).record
    cache, pooling = record.effects
    assert (cache.set_by_cases, pooling.set_by_cases) == (("single_request / n01",), ())
    assert not [f for f in cache.comparison.findings if f.scenario == "single_request"]
    assert [f for f in pooling.comparison.findings if f.scenario == "single_request"]
    part = text(tmp_path / "x").split("\n## Impact of cache\n")[1].split("\n## Impact of pooling\n")[0]
    assert part.count("single_request / n01") == 1, "named once, as left out"


def test_the_same_runs_give_the_same_bytes(measured_dir: Path, tmp_path: Path) -> None:
    runs = [copy(measured_dir, tmp_path / name, slower(f)) for name, f in (("full", 1.0), ("no_cache", 1.2))]
    written = [write_ablation(tmp_path / "x", runs[:1], {"cache": runs[1:]}).path.read_bytes() for _ in range(2)]
    assert written[0] == written[1]
    data = (tmp_path / "x" / "reports" / "ablation.json").read_bytes()
    assert msgspec.json.decode(data, type=AblationRecord).schema_version == 1

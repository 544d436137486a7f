from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from reelbench.loadgen.record.run import RunRecord, RunState
from reelbench.reporting.compare.repetitions import write_repetitions
from reelbench.reporting.export import export
from reelbench.stack.errors import StackError
from reelbench.stack.forwarding import Forwarding
from reelbench.suite import series
from reelbench.suite.measuring import Ended, Load
from reelbench.suite.series import NAMES, Variant, ablate_errors, parse_ablate, variants
from tests.reporting.compare.variants import copy
from tests.reporting.made_run import make


class Bench:
    """Replaces the measuring of runs: sets the exit code of each and records their order."""

    def __init__(self, folder: Path, source: Path | None = None) -> None:
        self.folder, self.source = folder, source
        self.order: list[str] = []
        self.ends: dict[str, int | Exception] = {}
        self.said: list[str] = []
        self.shown: list[str] = []

    def load(self) -> Load:
        return Load(
            runs=self.folder, arguments=(), target=None, charts=False, forwarding=Forwarding(),
            say=self.said.append, show=self.shown.append,
        )  # fmt: skip

    def measure(self, load: Load, run_id: str, environment: Mapping[str, str]) -> Ended:
        self.order.append(run_id)
        end = self.ends.get(run_id, 0)
        if isinstance(end, Exception):
            raise end
        if self.source is not None:
            copy(self.source, load.runs / run_id)
        state = RunState.INTERRUPTED if end == 130 else RunState.COMPLETED
        return Ended(end, msgspec.structs.replace(RUN, state=state))


RUN: RunRecord = make().run


@contextmanager
def unswitched(_load: Load, _variant: Variant) -> Iterator[dict[str, str]]:
    yield {}


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    bench = Bench(tmp_path)
    monkeypatch.setattr(series, "measure", bench.measure)
    monkeypatch.setattr(series, "configured", unswitched)
    monkeypatch.setattr(series, "_report", lambda *_arguments, **_options: None)
    return bench


def test_configurations_alternate_and_every_second_round_is_reversed(bench: Bench) -> None:
    assert series.run_series(bench.load(), "x", repeat=3, ablate=("cache",)) == 0
    assert bench.order == ["x.full.r1", "x.no_cache.r1", "x.no_cache.r2", "x.full.r2", "x.full.r3", "x.no_cache.r3"]


def test_run_ids_name_the_repetition_and_variant_if_any(bench: Bench) -> None:
    series.run_series(bench.load(), "x", repeat=2, ablate=())
    series.run_series(bench.load(), "y", repeat=1, ablate=("cache", "pooling"))
    assert bench.order == ["x.r1", "x.r2", "y.full", "y.no_cache", "y.no_pooling"]


def test_the_exit_code_of_repetitions_is_the_worst(bench: Bench) -> None:
    bench.ends = {"x.r1": 3, "x.r2": 1}
    assert series.run_series(bench.load(), "x", repeat=3, ablate=()) == 1
    assert [series.worst(codes) for codes in ([0, 3], [3, 1, 0], [1, 4], [4, 130], [0, 0])] == [3, 1, 4, 130, 0]


def test_only_the_full_run_decides_the_exit_code_of_an_ablation(bench: Bench) -> None:
    bench.ends = {"x.no_cache": 1}
    assert series.run_series(bench.load(), "x", repeat=1, ablate=("cache",)) == 0
    bench.ends = {"y.full": 1}
    assert series.run_series(bench.load(), "y", repeat=1, ablate=("cache",)) == 1


def test_a_run_that_cannot_start_ends_the_series_with_its_reason(bench: Bench) -> None:
    bench.ends = {"x.no_cache": StackError("no port is free.")}
    assert series.run_series(bench.load(), "x", repeat=1, ablate=("cache", "pooling")) == 4
    assert bench.order == ["x.full", "x.no_cache"]
    assert bench.said[-1] == "error: no port is free."


def test_a_full_disk_ends_the_series_with_one_sentence(bench: Bench) -> None:
    bench.ends = {"x.r2": OSError(errno.ENOSPC, "No space left on device", "report.html")}
    assert series.run_series(bench.load(), "x", repeat=3, ablate=()) == 2
    assert bench.order == ["x.r1", "x.r2"]
    assert bench.said[-1] == (
        "error: cannot write report.html (No space left on device); make room, or choose another --runs"
    )


def test_an_interrupt_ends_the_series_after_the_current_run(bench: Bench) -> None:
    bench.ends = {"x.r2": 130}
    assert series.run_series(bench.load(), "x", repeat=4, ablate=()) == 130
    assert bench.order == ["x.r1", "x.r2"]
    assert bench.said[-1].startswith("x.r2 was not finished: ")


@pytest.mark.extended
def test_all_runs_are_reported_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "source"
    source.mkdir()
    export(make().write(source), None, charts=False)
    bench = Bench(tmp_path, source)
    monkeypatch.setattr(series, "measure", bench.measure)
    assert series.run_series(bench.load(), "x", repeat=2, ablate=("breaker",)) == 0
    folders = {path.name for path in tmp_path.iterdir()} - {"source"}
    runs = {"x.full.r1", "x.full.r2", "x.no_breaker.r1", "x.no_breaker.r2"}
    assert folders == {*runs, "x.full.repeat", "x.no_breaker.repeat", "x.ablation"}
    text = (tmp_path / "x.ablation" / "reports" / "ablation_report.md").read_text()
    assert "## Impact of breaker" in text
    assert bench.shown[-1] == str(tmp_path / "x.ablation" / "reports" / "ablation_report.md")
    again = write_repetitions(tmp_path / "x.full.repeat", [tmp_path / "x.full.r1", tmp_path / "x.full.r2"])
    assert again.record.runs == ("x.full.r1", "x.full.r2")


def test_every_wrong_name_is_reported_with_the_known_ones() -> None:
    known = "retries, breaker, cache, pooling, scene_concurrency"
    assert ", ".join(NAMES) == known
    assert ablate_errors(parse_ablate("cache, nope,cache,")) == [
        f"--ablate: 'nope' is unknown; use {known}",
        f"--ablate: '' is unknown; use {known}",
        "--ablate: 'cache' is given more than once; give it once",
    ]
    assert ablate_errors(parse_ablate("retries,breaker")) == ablate_errors(parse_ablate(None)) == []


def test_each_configuration_states_every_toggle() -> None:
    full, without = variants(("pooling",))
    assert (full.name, set(full.switches.values())) == ("full", {True})
    assert (without.name, [name for name, on in without.switches.items() if not on]) == ("no_pooling", ["pooling"])
    (alone,) = variants(())
    assert alone.switches == {}

"""The impact of each optimization: runs with everything on against runs without it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reelbench.reporting.catalogue.sli import Catalogue
from reelbench.reporting.catalogue.sli_file import load
from reelbench.reporting.compare import ablation_report
from reelbench.reporting.compare.check import refusals
from reelbench.reporting.compare.compare import compare, describe
from reelbench.reporting.compare.effects import AblationRecord, Effect
from reelbench.reporting.compare.folders import ABLATION_FILE, REPORTS_DIR
from reelbench.reporting.compare.pairs import Skip
from reelbench.reporting.compare.side import Side, read_evidence
from reelbench.reporting.compare.written import write
from reelbench.reporting.evidence.evidence import place_name


@dataclass(frozen=True, slots=True)
class Written:
    """An ablation that was reported."""

    record: AblationRecord
    path: Path
    """Of the report."""

    @property
    def summary(self) -> tuple[str, ...]:
        """Lines for the terminal."""
        return (
            *(f"impact of {e.optimization}: {ablation_report.tally(e)}" for e in self.record.effects),
            str(self.path),
        )


def write_ablation(folder: Path, full: Sequence[Path], without: Mapping[str, Sequence[Path]]) -> Written:
    """Write ``ablation_report.md`` and ``ablation.json`` of exported runs; the same bytes each time.

    Args:
        folder: The folder of the ablation, beside those of the runs.
        full: Runs with everything on.
        without: Runs without an optimization, by its name.

    Raises:
        RecordError: a run cannot be read.
    """
    catalogue = load()
    name = folder.resolve().name
    record = ablation(
        name,
        _side("full", full, catalogue),
        {off: _side(f"no_{off}", paths, catalogue) for off, paths in without.items()},
    )
    return Written(record, write(folder / REPORTS_DIR, ABLATION_FILE, record, ablation_report.build(record)))


def ablation(name: str, full: Side, without: Mapping[str, Side]) -> AblationRecord:
    """Compare the full configuration with each of the others; all tests are corrected together."""
    own = {off: _set_by_cases(full, off) for off in without}
    comparisons = compare(
        [(full, side) for side in without.values()], skips=[_skip(own[off]) for off in without]
    )  # fmt: skip
    return AblationRecord(
        name=name,
        full=describe(full),
        effects=tuple(
            Effect(
                optimization=off,
                comparison=comparison,
                set_by_cases=tuple(place_name(*place) for place in own[off]),
                problems=(*full.problems, *refusals(full, without[off])),
            )
            for off, comparison in zip(without, comparisons, strict=True)
        ),
    )


def _set_by_cases(side: Side, switch: str) -> tuple[tuple[str, str], ...]:
    run = side.runs[0].run
    return tuple((s.name, c.name) for s in run.scenarios for c in s.cases if switch in c.switches)


def _skip(own: tuple[tuple[str, str], ...]) -> Skip:
    """Skip these cases, and what is measured over all cases of their scenarios."""
    places = {*own, *((scenario, "") for scenario, _ in own)}
    return lambda scenario, case: (scenario, case) in places


def _side(name: str, folders: Sequence[Path], catalogue: Catalogue) -> Side:
    return Side(name, tuple(read_evidence(folder, catalogue) for folder in folders))

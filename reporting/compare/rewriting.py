"""The report about several runs, written again from the folder of the first time."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import msgspec

from reelbench.loadgen.record.run_files import RecordError, VersionedFile
from reelbench.reporting.compare.ab.records import AbRecord
from reelbench.reporting.compare.ab.report import write_ab
from reelbench.reporting.compare.ablation import write_ablation
from reelbench.reporting.compare.folders import (
    AB_FILE,
    AB_SUFFIX,
    ABLATION_FILE,
    ABLATION_SUFFIX,
    REPORTS_DIR,
    real_name,
    repeated_runs,
    siblings,
)
from reelbench.reporting.compare.records import AblationRecord
from reelbench.reporting.compare.repetitions import write_repetitions
from reelbench.reporting.compare.writing import Output, Written

R = TypeVar("R", bound=msgspec.Struct)


def rewrite(folder: Path, output: Output) -> Written[Any]:
    """Write the report of repetitions, of an ablation, or of an interleaved comparison again.

    Repetitions and ablations are computed anew from their runs. An interleaved comparison is not: which pairs it looked
    at, and when, is in its record alone.

    Args:
        folder: The folder of the report, whose name says what it is of.
        output: Formats to write.

    Raises:
        RecordError: the record of the folder, or a run, cannot be read.
    """
    name = real_name(folder)
    if name.endswith(AB_SUFFIX):
        return write_ab(folder, _record(folder, AB_FILE, AbRecord), output)
    if name.endswith(ABLATION_SUFFIX):
        record = _record(folder, ABLATION_FILE, AblationRecord)
        full = siblings(folder, ABLATION_FILE, record.full.runs)
        without = {
            effect.optimization: siblings(folder, ABLATION_FILE, effect.comparison.baseline.runs)
            for effect in record.effects
        }
        return write_ablation(folder, full, without, output)
    return write_repetitions(folder, repeated_runs(folder), output)


def _record(folder: Path, file: str, kind: type[R]) -> R:
    found = VersionedFile(file, kind, "make it again").read(folder / REPORTS_DIR)
    if found is None:
        raise RecordError(f"{folder} has no {REPORTS_DIR}/{file}; it was not finished, make it again")
    return found

"""Folders of the reports on several runs: siblings of the run folders, which they refer to by name.

Those of interleaved comparisons hold the folders of their runs.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from reelbench.loadgen.record.run_files import RecordError, VersionedFile

REPORTS_DIR = "reports"
REPEAT_SUFFIX = ".repeat"
ABLATION_SUFFIX = ".ablation"
REPETITIONS_FILE = "repetitions.json"
COMPARISON_FILE = "comparison.json"
ABLATION_FILE = "ablation.json"
AB_SUFFIX = ".ab"
AB_FILE = "ab.json"
_CURES = {
    REPETITIONS_FILE: "run the suite again with --repeat",
    ABLATION_FILE: "run the suite again with --ablate",
}
"""What to do about a damaged file."""


class _Head(msgspec.Struct):
    runs: tuple[str, ...] = ()


def has_several_runs(folder: Path) -> bool:
    """Return True for the folder of repetitions, of an ablation, or of an interleaved comparison."""
    return real_name(folder).endswith((REPEAT_SUFFIX, ABLATION_SUFFIX, AB_SUFFIX))


def real_name(folder: Path) -> str:
    """Return the name of a folder, also where it is named as `.` or by a link."""
    return Path(os.path.realpath(folder)).name  # resolve() raises on circular links


def repeated_runs(folder: Path) -> list[Path]:
    """Return the run directories named in a folder of repetitions, which are its siblings.

    Raises:
        RecordError: the folder is not one of repetitions, is damaged, or names no run.
    """
    path = folder / REPORTS_DIR / REPETITIONS_FILE
    try:
        raw = path.read_bytes()
    except OSError as error:
        msg = (
            f"{folder} is neither a run nor a folder of repetitions: cannot read {path.name} ({error.strerror}); "
            f"name a folder under runs/, or one that ends in {REPEAT_SUFFIX}"
        )
        raise RecordError(msg) from error
    head = VersionedFile(REPETITIONS_FILE, _Head, _CURES[REPETITIONS_FILE]).decode(path, raw)
    if not head.runs:
        raise RecordError(f"{folder} names no run; repeat a run with: reelbench run --repeat 5")
    return siblings(folder, REPETITIONS_FILE, head.runs)


def siblings(folder: Path, file: str, names: Sequence[str]) -> list[Path]:
    """Return the run directories next to a folder that a file of its reports names.

    Raises:
        RecordError: a name is a path.
    """
    if wrong := [name for name in names if Path(name).name != name or "\0" in name]:
        path = folder / REPORTS_DIR / file
        raise RecordError(f"{path} is damaged ({wrong[0]!r} is not the name of a sibling run); {_CURES[file]}")
    return [folder.resolve().parent / name for name in names]

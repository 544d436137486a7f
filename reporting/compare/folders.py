"""Folders of the reports on several runs: siblings of the run folders, which they refer to by name."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from reelbench.loadgen.record.run_files import RecordError, VersionedFile

REPORTS_DIR = "reports"
REPEAT_SUFFIX = ".repeat"
ABLATION_SUFFIX = ".ablation"
REPETITIONS_FILE = "repetitions.json"
COMPARISON_FILE = "comparison.json"
ABLATION_FILE = "ablation.json"


class _Head(msgspec.Struct):
    runs: tuple[str, ...] = ()


def is_repeated(folder: Path) -> bool:
    """Return True for a folder of repetitions."""
    return Path(os.path.realpath(folder)).name.endswith(REPEAT_SUFFIX)  # resolve() raises on circular links


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
    head = VersionedFile(REPETITIONS_FILE, _Head, "run the suite again with --repeat").decode(path, raw)
    if not head.runs:
        raise RecordError(f"{folder} names no run; repeat a run with: reelbench run --repeat 5")
    if wrong := [name for name in head.runs if Path(name).name != name or "\0" in name]:
        msg = f"{path} is damaged ({wrong[0]!r} is not the name of a sibling run)"
        raise RecordError(f"{msg}; run the suite again with --repeat")
    return [folder.resolve().parent / name for name in head.runs]

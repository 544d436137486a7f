"""Where the reports of several runs are: folders beside those of the runs, with the names of the runs they speak of."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from reelbench.loadgen.record.run_files import RecordError

REPORTS_DIR = "reports"
REPEAT_SUFFIX = ".repeat"
ABLATION_SUFFIX = ".ablation"
REPETITIONS_FILE = "repetitions.json"
COMPARISON_FILE = "comparison.json"
ABLATION_FILE = "ablation.json"
SCHEMA_VERSION = 1
"""Version of these three files. A reader refuses any other, rather than guess."""


class _Head(msgspec.Struct):
    schema_version: int
    runs: tuple[str, ...] = ()


def is_repeated(folder: Path) -> bool:
    """True for a folder of repetitions."""
    return Path(os.path.realpath(folder)).name.endswith(REPEAT_SUFFIX)  # unlike resolve, it bears links in a circle


def repeated_runs(folder: Path) -> list[Path]:
    """The run directories that a folder of repetitions names; they lie beside it.

    Raises:
        RecordError: it is no such folder, damaged, or names no run.
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
    try:
        head = msgspec.json.decode(raw, type=_Head)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RecordError(f"{path} is damaged ({error}); run the suite again with --repeat") from error
    if head.schema_version != SCHEMA_VERSION:
        msg = f"{path} has schema version {head.schema_version}, this Reelbench reads version {SCHEMA_VERSION}"
        raise RecordError(f"{msg}; use the Reelbench that wrote it")
    if not head.runs:
        raise RecordError(f"{folder} names no run; repeat a run with: python scripts/run_suite.py --repeat 5")
    if wrong := [name for name in head.runs if Path(name).name != name or "\0" in name]:
        raise RecordError(f"{path} is damaged ({wrong[0]!r} is no run beside it); run the suite again with --repeat")
    return [folder.resolve().parent / name for name in head.runs]

"""Folders of the reports on several runs: siblings of the run folders, which they refer to by name."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from reelbench.loadgen.record.run_files import RecordError, VersionedFile, write_atomically
from reelbench.reporting.document.report import Report

R = TypeVar("R", bound=msgspec.Struct)
REPORTS_DIR = "reports"
REPEAT_SUFFIX = ".repeat"
ABLATION_SUFFIX = ".ablation"
REPETITIONS_FILE = "repetitions.json"
COMPARISON_FILE = "comparison.json"
ABLATION_FILE = "ablation.json"


@dataclass(frozen=True, slots=True)
class Written(Generic[R]):
    """A record that was written with its report."""

    record: R
    path: Path
    """Path of the report."""
    summary: tuple[str, ...]
    """Lines for the terminal; the last one is the path."""


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


def write(folder: Path, data_file: str, record: R, report: Report, *lines: str) -> Written[R]:
    """Write a record as JSON and its report as Markdown below `folder`, each atomically.

    Args:
        folder: The folder of a run, of repetitions or of an ablation.
        data_file: Name of the JSON file.
        record: The record.
        report: The report.
        lines: Lines for the terminal.
    """
    folder = folder / REPORTS_DIR
    write_atomically(folder / data_file, msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")
    path = folder / f"{report.name}.md"
    from reelbench.reporting.render import markdown  # noqa: PLC0415 - where runs are only named, no report is written

    write_atomically(path, markdown.render(report, charts=True).encode())
    return Written(record, path, (*lines, str(path)))

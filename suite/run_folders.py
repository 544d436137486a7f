"""The runs in a folder: which there are, how large each is, and which of them go on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reelbench.loadgen.record.going_on import goes_on
from reelbench.loadgen.record.run import RunRecord, read_run
from reelbench.loadgen.record.run_files import RUN_FILE, RecordError


@dataclass(frozen=True, slots=True)
class Found:
    """A folder with the head of a run."""

    folder: Path
    run: RunRecord | None
    """None: the head cannot be read."""
    why: str
    """Why it cannot be read; empty where it can."""
    size: int
    """Bytes of all its files."""
    going: bool
    """Whether a process still works on it."""

    @property
    def state(self) -> str:
        """The state of the run; a run without an end on which no process works was cut off."""
        if self.run is None:
            return "unreadable"
        return "cut off" if self.run.ended is None and not self.going else str(self.run.state)


def folder_errors(runs: Path) -> list[str]:
    """Return what is wrong with the folder of new runs: a part of its path is a file, or its name is not UTF-8.

    Prometheus, records and reports name the folder in UTF-8.
    """
    there = next((path for path in (runs, *runs.absolute().parents) if path.exists()), None)
    if there is not None and not there.is_dir():
        return [f"--runs: {there} is a file; choose a folder"]
    shown = os.fsencode(runs.absolute()).decode(errors="backslashreplace")
    if shown != str(runs.absolute()):
        return [f"--runs: the path {shown} is not UTF-8; choose a folder whose path is"]
    return []


def find_runs(runs: Path, now: float) -> list[Found]:
    """Return the runs directly below a folder, by name; links are no runs."""
    return [_found(folder, now) for folder in _folders(runs)]


def _folders(runs: Path) -> Iterator[Path]:
    for head in sorted(runs.glob(f"*/{RUN_FILE}")):
        if not head.parent.is_symlink() and not head.parent.name.startswith("."):
            yield head.parent


def _found(folder: Path, now: float) -> Found:
    try:
        run, why = read_run(folder), ""
    except RecordError as error:
        run, why = None, str(error)
    return Found(folder, run, why, _size(folder), goes_on(folder, run.ended if run else None, now))


def _size(folder: Path) -> int:
    """Return the bytes of all files; links are not followed."""
    total = 0
    for where, _, files in os.walk(folder):
        for name in files:
            try:
                total += os.lstat(os.path.join(where, name)).st_size  # noqa: PTH118 - thousands of files
            except OSError:
                continue
    return total

"""Writer of the files of a run; a reader finds a valid run at any instant."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Self

import msgspec

from reelbench.loadgen.record.conditions import ConditionsRecord, write_conditions
from reelbench.loadgen.record.going_on import hold
from reelbench.loadgen.record.jobs import CallRecord, JobRecord, RequestRecord
from reelbench.loadgen.record.reserve import Reserve
from reelbench.loadgen.record.run import RunRecord, write_run
from reelbench.loadgen.record.run_files import (
    CALLS_FILE,
    JOBS_FILE,
    PLAN_FILE,
    PROCESSES_FILE,
    REQUESTS_FILE,
    RUN_FILE,
    VIDEOS_FILE,
    RecordError,
    to_line,
    write_atomically,
)
from reelbench.loadgen.record.videos import VideoRecord

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_ENCODER = msgspec.json.Encoder()


class JournalError(RecordError):
    """The run cannot be written (disk full, no permission); the message is one sentence."""


def occupied(folder: Path) -> str | None:
    """Return the name of a file of an earlier run in a folder; None: no such file."""
    return next((name for name in (RUN_FILE, PLAN_FILE, JOBS_FILE, REQUESTS_FILE) if (folder / name).exists()), None)


class Journal:
    """Writes one run directory; use as a context manager.

    Lines are written when a job ends, its requests first; in a run, the jobs that end within some milliseconds
    share one write to each file, as writes are a tenth of the work on a job. A process killed at any instant leaves
    complete lines, and loses only the requests of unfinished jobs and the jobs that ended in the last milliseconds.
    After a failed write nothing is appended, so damage stays at the end of a file.
    """

    def __init__(self, folder: Path, plan: bytes, later: Callable[[Callable[[], None]], object] | None = None) -> None:
        """Create the folder with its plan.

        Args:
            folder: the run directory.
            plan: content of ``plan.jsonl``.
            later: calls a function some milliseconds later; None: each job is written at once.

        Raises:
            JournalError: the folder cannot be created or written.
        """
        self.folder = folder
        self._broken: JournalError | None = None
        self._files: dict[str, int] = {}
        self._room: Reserve | None = None
        self._held: int | None = None
        """Descriptor with the lock that says that the run goes on."""
        self._later = later
        self._waits = False
        """Whether a write is due."""
        self._requests: list[RequestRecord] = []
        """To be written when their job ends."""
        self.request: Callable[[RequestRecord], None] = self._requests.append
        """Append a line to ``requests.jsonl``, at the latest when its job ends."""
        self._jobs: list[JobRecord] = []
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._held = hold(folder)
            write_atomically(folder / PLAN_FILE, plan)
            self._room = Reserve(folder)
        except OSError as error:
            self.close()
            raise self._failure(error) from error
        try:
            for name in (JOBS_FILE, REQUESTS_FILE):
                self._open(name)
        except JournalError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Write the waiting lines if possible, and close the files."""
        with suppress(JournalError):
            self.settle()
        while self._files:
            os.close(self._files.popitem()[1])
        if self._room is not None:
            self._room.release()
        if self._held is not None:
            os.close(self._held)
            self._held = None

    def head(self, run: RunRecord) -> None:
        """Replace ``run.json``; also attempted after a failed append, in the room that was kept for it.

        Raises:
            JournalError: the file cannot be written; the old one stays.
        """
        try:
            self._write_head(run)
        except OSError as error:
            raise self._failure(error) from error

    def _write_head(self, run: RunRecord) -> None:
        try:
            write_run(self.folder, run)
        except OSError as error:
            disk_full = error.errno in NO_ROOM
            if not (disk_full and self._room is not None and self._room.release()):
                raise
            write_run(self.folder, run)

    def conditions(self, record: ConditionsRecord) -> None:
        """Replace ``conditions.json``.

        Raises:
            JournalError: the file cannot be written; the old one stays.
        """
        try:
            write_conditions(self.folder, record)
        except OSError as error:
            raise self._failure(error) from error

    def job(self, record: JobRecord) -> None:
        """Append a line to ``jobs.jsonl``.

        Raises:
            JournalError: this line, or an earlier one, cannot be written.
        """
        if self._broken is not None:
            raise self._broken
        self._jobs.append(record)
        if self._later is None:
            self.settle()
        elif not self._waits:
            self._waits = True
            self._later(self._write_waiting)

    def calls(self, records: Iterable[CallRecord]) -> None:
        """Append lines to ``calls.jsonl``, which is created with the first line."""
        for record in records:
            if CALLS_FILE not in self._files:
                self._open(CALLS_FILE)
            self._append(CALLS_FILE, to_line(record))

    def video(self, record: VideoRecord) -> None:
        """Append a line to ``videos.jsonl``, which is created with the first line."""
        if VIDEOS_FILE not in self._files:
            self._open(VIDEOS_FILE)
        self._append(VIDEOS_FILE, to_line(record))

    def usage(self, lines: bytes) -> None:
        """Append lines to ``processes.jsonl``, which is created with the first ones.

        Raises:
            JournalError: these lines, or earlier ones, cannot be written.
        """
        if PROCESSES_FILE not in self._files:
            self._open(PROCESSES_FILE)
        self._append(PROCESSES_FILE, lines)

    def settle(self) -> None:
        """Write the lines that wait.

        Raises:
            JournalError: a line of this run cannot be written.
        """
        if self._broken is not None:
            raise self._broken
        for name, waiting in ((REQUESTS_FILE, self._requests), (JOBS_FILE, self._jobs)):
            if waiting:
                lines = _ENCODER.encode_lines(waiting)
                waiting.clear()
                self._append(name, lines)

    def _write_waiting(self) -> None:
        self._waits = False
        with suppress(JournalError):  # the next job, or the end of the case, raises it
            self.settle()

    def _open(self, name: str) -> None:
        try:
            self._files[name] = os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_EXCL, 0o644)
        except OSError as error:
            raise self._failure(error) from error

    def _append(self, name: str, lines: bytes) -> None:
        if self._broken is not None:
            raise self._broken
        try:
            written = os.write(self._files[name], lines)
            if written < len(lines):
                left = memoryview(lines)[written:]
                while left:
                    left = left[os.write(self._files[name], left) :]
        except OSError as error:
            self._broken = self._failure(error)
            raise self._broken from error

    def _failure(self, error: OSError) -> JournalError:
        return JournalError(
            f"cannot write the run to {self.folder} ({error.strerror}); make room or choose another --run-dir"
        )

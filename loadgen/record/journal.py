"""The files of a run while it runs: written so that a reader finds a valid run at any instant."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from reelbench.loadgen.record.jobs import CallRecord, JobRecord, RequestRecord
from reelbench.loadgen.record.run import RunRecord, write_run
from reelbench.loadgen.record.run_files import (
    CALLS_FILE,
    JOBS_FILE,
    PLAN_FILE,
    REQUESTS_FILE,
    RUN_FILE,
    RecordError,
    to_line,
    write_atomically,
)


class JournalError(RecordError):
    """The run cannot be written (disk full, no permission); the message is one sentence."""


def occupied(folder: Path) -> str | None:
    """Name the file of an earlier run that a folder holds, or None."""
    return next((name for name in (RUN_FILE, PLAN_FILE, JOBS_FILE, REQUESTS_FILE) if (folder / name).exists()), None)


class Journal:
    """Writes one run directory; use as a context manager.

    Lines go to the kernel when a job ends, its requests first: a process killed at any instant leaves whole lines,
    and loses only the requests of jobs that had not ended. After a failed write nothing more is appended, so that
    damage stays at the end of a file.
    """

    def __init__(self, folder: Path, plan: bytes) -> None:
        """Create the folder with its plan.

        Raises:
            JournalError: it cannot be created or written.
        """
        self.folder = folder
        self._broken: JournalError | None = None
        self._files: dict[str, int] = {}
        self._requests = bytearray()
        """Lines that wait for the end of a job."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_atomically(folder / PLAN_FILE, plan)
        except OSError as error:
            raise self._failure(error) from error
        try:
            for name in (JOBS_FILE, REQUESTS_FILE):
                self._open(name)
        except JournalError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the files, after writing the pending lines if possible."""
        if REQUESTS_FILE in self._files:
            with suppress(JournalError):
                self._flush()
        while self._files:
            os.close(self._files.popitem()[1])

    def head(self, run: RunRecord) -> None:
        """Replace ``run.json``; also tried after a failed append, as the state may still fit on the disk.

        Raises:
            JournalError: it cannot be written; the old one stays.
        """
        try:
            write_run(self.folder, run)
        except OSError as error:
            raise self._failure(error) from error

    def job(self, record: JobRecord) -> None:
        """Append a line to ``jobs.jsonl``."""
        self._flush()
        self._append(JOBS_FILE, to_line(record))

    def request(self, record: RequestRecord) -> None:
        """Append a line to ``requests.jsonl``, at the latest with that of its job."""
        self._requests += to_line(record)

    def calls(self, records: Iterable[CallRecord]) -> None:
        """Append lines to ``calls.jsonl``, which is created with the first."""
        for record in records:
            if CALLS_FILE not in self._files:
                self._open(CALLS_FILE)
            self._append(CALLS_FILE, to_line(record))

    def _flush(self) -> None:
        if self._requests:
            lines, self._requests = self._requests, bytearray()
            self._append(REQUESTS_FILE, lines)

    def _open(self, name: str) -> None:
        try:
            self._files[name] = os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_EXCL, 0o644)
        except OSError as error:
            raise self._failure(error) from error

    def _append(self, name: str, lines: bytes | bytearray) -> None:
        if self._broken is not None:
            raise self._broken
        left = memoryview(lines)
        try:
            while left:
                left = left[os.write(self._files[name], left) :]
        except OSError as error:
            self._broken = self._failure(error)
            raise self._broken from error

    def _failure(self, error: OSError) -> JournalError:
        return JournalError(
            f"cannot write the run to {self.folder} ({error.strerror}); make room or choose another --run-dir"
        )

"""Downloaded files on disk until they are checked: which ones, and at most how many bytes."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from reelbench.loadgen.plan.plan import PlannedJob
from reelbench.loadgen.videos.writer import DiskWriter

BACKLOG_BYTES: Final = 2 * 1024**3
"""Most bytes on disk of files that wait for their check; further files are not checked. Half of the free space if that
is less."""
FILE_BYTES: Final = 512 * 1024**2
"""Most bytes of one file."""
FOLDER: Final = "videos"
"""Folder of kept files in that of the run."""
TEMPORARY: Final = ".videos"
"""Folder of files that wait for their check."""

NO_FILE: Final = nullcontext()
"""Place of a download whose bytes are only counted."""

Place = tuple[str, str, int]
"""Scenario, case and index of a job."""


class Download:
    """One file while it is downloaded, a `FileSink`; a file that does not fit, or cannot be written, is given up.

    The event loop calls the methods; the disk is touched by the thread of the writer alone, in the order of the calls.
    """

    def __init__(self, job: PlannedJob, path: Path, files: VideoFiles) -> None:
        self.job = job
        self.path = path
        self.size = 0
        self.refused: str | None = None
        """Why the server's answer was no file; None: it was one, or there was no answer."""
        self._files = files
        self._writer = files.writer
        self._descriptor: int | None = None
        self._lost = False
        self._complete = False

    def begin(self) -> None:
        """Start an empty file."""
        self._files.free(self.size)
        self.size = 0
        self._writer.do(self._open)

    def write(self, chunk: bytes) -> None:
        """Append bytes to the file."""
        if self._lost:
            return
        size = len(chunk)
        if self.size + size > FILE_BYTES or not self._writer.fits(size) or not self._files.take(size):
            self._lost = True
            self._writer.do(self._empty)
            self._files.free(self.size)
            self.size = 0
            return
        self.size += size
        self._writer.do(partial(self._append, chunk), size)

    def complete(self) -> None:
        """Mark the file as the whole file of a job that goes on."""
        self._complete = True

    def refuse(self, why: str) -> None:
        """Mark the answer of the server as no file: it is empty, of another kind, or still missing."""
        self.refused = why

    def close(self) -> bool:
        """Close the file; return whether it may be checked or was refused, and delete it otherwise."""
        self._writer.do(self._close)
        if self.refused is not None:
            self.delete()
            return True
        if self._complete and self._lost:
            self._files.given_up += 1
        good = self._complete and not self._lost and self.size > 0
        if not good:
            self.delete()
        return good

    @property
    def written(self) -> bool:
        """Whether the whole file is on disk, or was refused; only after the writer is flushed."""
        return self.refused is not None or not self._lost

    def delete(self) -> None:
        """Delete the file."""
        self._writer.do(self._unlink)
        self._files.free(self.size)
        self.size = 0

    def _open(self) -> None:
        try:
            if self._descriptor is None:
                self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            else:
                os.ftruncate(self._descriptor, 0)
                os.lseek(self._descriptor, 0, os.SEEK_SET)
        except OSError:
            self._lost = True

    def _append(self, chunk: bytes) -> None:
        if self._lost or self._descriptor is None:
            return
        left = memoryview(chunk)
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
        except OSError:  # the disk is full, for one
            self._lost = True
            self._empty()

    def _empty(self) -> None:
        if self._descriptor is not None:
            with suppress(OSError):
                os.ftruncate(self._descriptor, 0)

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _unlink(self) -> None:
        with suppress(OSError):
            self.path.unlink(missing_ok=True)


@dataclass(slots=True)
class VideoFiles:
    """The files of the jobs that were chosen before the run."""

    folder: Path
    """Folder of the run."""
    chosen: frozenset[Place]
    writer: DiskWriter = field(default_factory=DiskWriter)
    given_up: int = 0
    """Downloaded files that are not checked because they are too large, or there was no room for them."""
    _room: int = BACKLOG_BYTES
    _waiting: list[Download] = field(default_factory=list)

    def download(self, job: PlannedJob) -> AbstractContextManager[Download | None]:
        """Provide the file of a job while it is downloaded; None for a job that was not chosen."""
        return self._download(job) if (job.scenario, job.case, job.index) in self.chosen else NO_FILE

    @contextmanager
    def _download(self, job: PlannedJob) -> Iterator[Download]:
        file = Download(job, self.folder / TEMPORARY / f"{job.scenario}.{job.case}.{job.index}", self)
        try:
            yield file
        finally:
            if file.close():
                self._waiting.append(file)

    def waiting(self) -> list[Download]:
        """Return the files that wait for their check, in the order of the plan; they no longer wait.

        Blocks until they are on disk; files that could not be written are left out.
        """
        self.writer.flush()
        found, self._waiting = sorted(self._waiting, key=lambda file: file.job.index), []
        for file in found:
            if not file.written:
                self.given_up += 1
                file.delete()
        return [file for file in found if file.written]

    def take(self, size: int) -> bool:
        """Reserve bytes; return False where they are not there."""
        if size > self._room:
            return False
        self._room -= size
        return True

    def free(self, size: int) -> None:
        """Return bytes that were reserved."""
        self._room += size

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Keep the temporary folder for the time of a run; a disk without room has no files to check."""
        if not self.chosen:
            yield
            return
        temporary = self.folder / TEMPORARY
        with suppress(OSError):
            temporary.mkdir(parents=True, exist_ok=True)
            self._room = min(BACKLOG_BYTES, shutil.disk_usage(temporary).free // 2)
        try:
            yield
        finally:
            self.writer.close()
            shutil.rmtree(temporary, ignore_errors=True)


def choose(plan: Sequence[PlannedJob], most: int | None, seed: int) -> frozenset[Place]:
    """Return the jobs whose files are checked: of each case at most `most` measured ones, drawn by the seed."""
    cases: dict[tuple[str, str], list[PlannedJob]] = {}
    for job in plan:
        if not job.warmup and "content" in job.steps:
            cases.setdefault((job.scenario, job.case), []).append(job)
    return frozenset(
        (job.scenario, job.case, job.index)
        for (scenario, case), jobs in cases.items()
        for job in (
            jobs
            if most is None or len(jobs) <= most
            else random.Random(f"{seed}:{scenario}:{case}:videos").sample(jobs, most)
        )
    )

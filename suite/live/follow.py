"""The records of a run, read as they grow: nothing is read twice, and nothing of the run waits for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Generic, TypeVar

import msgspec

from reelbench.loadgen.record.jobs import JobRecord
from reelbench.loadgen.record.processes import UsageSample
from reelbench.loadgen.record.run import RunRecord, read_run
from reelbench.loadgen.record.run_files import JOBS_FILE, PROCESSES_FILE, RUN_FILE, RecordError

SHARES_DIR: Final = "shares"
"""Folder of the run's folder with a folder for each load generator's share."""
CHUNK: Final = 8 << 20
"""Most bytes of a file that are read at once: the rest follows at the next look."""
R = TypeVar("R", bound=msgspec.Struct)


class Tail(Generic[R]):
    """The new lines of a JSON Lines file."""

    def __init__(self, path: Path, kind: type[R]) -> None:
        self._path = path
        self._decoder = msgspec.json.Decoder(kind)
        self._offset = 0

    def read(self) -> list[R]:
        """Return the records of the lines that were completed since the last look; damaged lines are left out."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                raw = file.read(CHUNK)
        except OSError:
            return []
        whole = raw[: raw.rfind(b"\n") + 1]
        self._offset += len(whole)
        found = []
        for line in whole.splitlines():
            try:
                found.append(self._decoder.decode(line))
            except (msgspec.MsgspecError, UnicodeDecodeError):
                continue
        return found


class Head:
    """The head of a run, read again when its file was replaced."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: tuple[int, int] | None = None
        self.run: RunRecord | None = None

    def read(self) -> bool:
        """Return whether the head has changed."""
        try:
            found = (self._folder / RUN_FILE).stat()
            seen = (found.st_mtime_ns, found.st_ino)
            if seen == self._seen:
                return False
            self.run = read_run(self._folder)
        except (OSError, RecordError):
            return False
        self._seen = seen
        return True


@dataclass(slots=True)
class _Source:
    """The files of one load generator."""

    folder: Path
    head: Head
    jobs: Tail[JobRecord]
    usage: Tail[UsageSample]


@dataclass(slots=True)
class News:
    """What is new since the last look."""

    head: bool = False
    jobs: list[JobRecord] = field(default_factory=list)
    usage: list[UsageSample] = field(default_factory=list)


class Follower:
    """Follows one run: its own files, or those of the shares of several load generators."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._sources: dict[Path, _Source] = {}

    def read(self) -> News:
        """Return what is new."""
        for folder in self._folders():
            if folder not in self._sources:
                self._sources[folder] = _Source(
                    folder,
                    Head(folder),
                    Tail(folder / JOBS_FILE, JobRecord),
                    Tail(folder / PROCESSES_FILE, UsageSample),
                )
        news = News()
        for number, one in enumerate(self._sources.values()):
            news.head |= one.head.read()
            news.jobs += one.jobs.read()
            if number == 0:  # the generators of one machine all read the same processes
                news.usage += one.usage.read()
        return news

    @property
    def heads(self) -> list[RunRecord]:
        """The head of each load generator's run."""
        return [one.head.run for one in self._sources.values() if one.head.run is not None]

    def _folders(self) -> list[Path]:
        """Return the shares where there are some: their merged run comes at the end, with the same jobs."""
        shares = sorted(path.parent for path in (self.folder / SHARES_DIR).glob(f"*/{RUN_FILE}"))
        return shares or ([self.folder] if not (self.folder / SHARES_DIR).is_dir() else [])

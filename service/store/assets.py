"""Files of the jobs: one folder per job, atomic writes, a sha256 per file."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import secrets
import shutil
from pathlib import Path
from typing import BinaryIO

from reelbench.service.data_folder import PRIVATE, open_file
from reelbench.service.domain.video import Asset

CONTENT = "content.mp4"
"""The finished video."""
_JOB = re.compile(r"video_[0-9a-f]{32}")

_log = logging.getLogger(__name__)


class Assets:
    """Files below the data directory. All methods block on the disk: call them in a thread."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def create(self, video_id: str) -> None:
        """Create the empty folder of a job."""
        (self._root / video_id).mkdir(PRIVATE)

    def exists(self, video_id: str) -> bool:
        """Return whether the job has a folder."""
        return (self._root / video_id).is_dir()

    def path(self, video_id: str, name: str) -> Path:
        """Return the path of the file `name` of a job."""
        return self._root / video_id / name

    def open(self, video_id: str, name: str) -> BinaryIO:
        """Open the file `name` of a job for reading; FileNotFoundError also for a link."""
        return open_file(self._root, video_id, name)

    def read(self, video_id: str, name: str) -> bytes:
        """Return the content of the file `name` of a job; FileNotFoundError also for a link."""
        with self.open(video_id, name) as file:
            return file.read()

    def has(self, video_id: str, name: str) -> bool:
        """Return whether the job has a file `name`, which is not a link."""
        try:
            self.open(video_id, name).close()
        except FileNotFoundError:
            return False
        return True

    def folders(self) -> set[str]:
        """Return the ids of the jobs that have a folder."""
        with os.scandir(self._root) as entries:
            return {entry.name for entry in entries if _JOB.fullmatch(entry.name)}

    def sizes(self) -> list[tuple[str, float, int]]:
        """Return each job with the time of its last change and the bytes of its files, oldest first."""
        found = []
        for video_id in self.folders():
            try:
                with os.scandir(self._root / video_id) as files:
                    size = sum(file.stat(follow_symlinks=False).st_size for file in files)
                found.append((video_id, (self._root / video_id).lstat().st_mtime, size))
            except OSError:  # removed in the meantime, or no folder
                continue
        return sorted(found, key=lambda one: one[1])

    def without(self, video_ids: set[str], name: str) -> set[str]:
        """Return those of the jobs that have no file `name`."""
        return {video_id for video_id in video_ids if not self.has(video_id, name)}

    def write(self, video_id: str, name: str, content: bytes, media_type: str) -> Asset:
        """Store `content`; raises FileNotFoundError when the folder of the job was removed."""
        target = self.path(video_id, name)
        part = target.with_name(f".{name}.part")
        part.write_bytes(content)
        part.replace(target)
        return Asset(path=name, sha256=hashlib.sha256(content).hexdigest(), bytes=len(content), media_type=media_type)

    def copy(self, video_id: str, name: str, source: BinaryIO, media_type: str) -> Asset:
        """Store the rest of `source` in chunks, without holding all of it in memory."""
        target = self.path(video_id, name)
        part = target.with_name(f".{name}.part")
        digest = hashlib.sha256()
        with part.open("wb") as file:
            while chunk := source.read(1 << 18):
                digest.update(chunk)
                file.write(chunk)
            size = file.tell()
        part.replace(target)
        return Asset(path=name, sha256=digest.hexdigest(), bytes=size, media_type=media_type)

    def remove(self, video_id: str) -> None:
        """Remove the folder of a job, if there is one.

        An error of the disk is logged and leaves the folder as an orphan: it must not keep the job from its end.
        """
        grave = self._root / f".{video_id}-{secrets.token_hex(4)}"
        try:
            # Renamed first: a thread that still works for the cancelled job cannot write any more.
            (self._root / video_id).rename(grave)
        except FileNotFoundError:
            return
        except OSError as error:
            _log.error("%s: its files cannot be removed: %s", video_id, error)
            return
        shutil.rmtree(grave, ignore_errors=True)

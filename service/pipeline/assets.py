"""Files of the jobs: one folder per job below the data directory, written atomically, each with its sha256."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import secrets
import shutil
from pathlib import Path
from typing import BinaryIO

from reelbench.service.api.schemas import Asset

CONTENT = "content.mp4"
"""The finished video."""
_JOB = re.compile(r"video_[0-9a-f]{32}")

_log = logging.getLogger(__name__)


class Assets:
    """All methods block on the disk: call them in a thread."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def open(self) -> None:
        """Create the data directory; raises OSError when it cannot be written."""
        self._root.mkdir(parents=True, exist_ok=True)
        probe = self._root / f".probe-{secrets.token_hex(8)}"
        probe.touch()
        probe.unlink()

    def create(self, video_id: str) -> None:
        """Make the empty folder of a job."""
        (self._root / video_id).mkdir()

    def exists(self, video_id: str) -> bool:
        """Whether the job has a folder."""
        return (self._root / video_id).is_dir()

    def path(self, video_id: str, name: str) -> Path:
        """Where the file `name` of a job lies."""
        return self._root / video_id / name

    def folders(self) -> set[str]:
        """The jobs that have a folder."""
        with os.scandir(self._root) as entries:
            return {entry.name for entry in entries if _JOB.fullmatch(entry.name)}

    def without(self, video_ids: set[str], name: str) -> set[str]:
        """Those of these jobs that have no file `name`."""
        return {video_id for video_id in video_ids if not self.path(video_id, name).is_file()}

    def write(self, video_id: str, name: str, content: bytes, media_type: str) -> Asset:
        """Store `content`; raises FileNotFoundError when the job's folder was removed."""
        target = self.path(video_id, name)
        part = target.with_name(f".{name}.part")
        part.write_bytes(content)
        part.replace(target)
        return Asset(path=name, sha256=hashlib.sha256(content).hexdigest(), bytes=len(content), media_type=media_type)

    def copy(self, video_id: str, name: str, source: BinaryIO, media_type: str) -> Asset:
        """Store what can still be read from `source`, without holding it in memory."""
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
        """Remove a job's folder with all files; nothing happens when there is none, or when the disk refuses.

        A disk that is read-only or broken must not keep a job from its end: its folder is an orphan then, and logged.
        """
        grave = self._root / f".{video_id}-{secrets.token_hex(4)}"
        try:
            # Renamed first: a thread that still works for the cancelled job finds no folder to write to.
            (self._root / video_id).rename(grave)
        except FileNotFoundError:
            return
        except OSError as error:
            _log.error("%s: its files cannot be removed: %s", video_id, error)
            return
        shutil.rmtree(grave, ignore_errors=True)

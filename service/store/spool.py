"""States of jobs on disk, while the store is away."""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec

from reelbench.service.data_folder import PRIVATE, open_file
from reelbench.service.domain.correlation import Correlation
from reelbench.service.store.state import State, Write

_log = logging.getLogger(__name__)
_SUFFIX = ".json"
_PROBE = 16 * 1024
"""Bytes; larger than most states."""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A state as its file holds it."""

    id: str
    sequence: int
    write: Write
    terminal: bool
    correlation: Correlation
    video: msgspec.Raw
    manifest: msgspec.Raw


class Spool:
    """One file per job in a folder of this process, which exists from the first write until `close`.

    The process holds a lock on its folder: folders without a lock were left by processes that are gone. All methods
    block on the disk: call them in a thread; those that write raise OSError.
    """

    def __init__(self, root: Path) -> None:
        self._root = root / ".unsaved"
        self._folder = self._root / secrets.token_hex(8)
        self._handle: int | None = None
        self._opening = threading.Lock()

    def write(self, state: State) -> None:
        """Write `state` to the disk and replace an earlier state of its job."""
        raw = {"video": msgspec.Raw(state.video), "manifest": msgspec.Raw(state.manifest)}
        self._put(self._path(state.id), msgspec.json.encode(_File(**msgspec.structs.asdict(state) | raw)))

    def discard(self, video_id: str) -> None:
        """Remove the state of a job, if there is one."""
        self._path(video_id).unlink(missing_ok=True)

    def probe(self) -> None:
        """Check that a state can be written; raises OSError."""
        path = self._folder / f"{secrets.token_hex(8)}.probe"
        self._put(path, bytes(_PROBE))
        path.unlink()

    def adopt(self) -> list[State]:
        """Take over the states of processes that are gone, and return them in order of sequence."""
        states = []
        folders = self._root.iterdir() if self._root.is_dir() and not self._root.is_symlink() else ()
        for folder in sorted(folders):
            handle = None if folder == self._folder else _lock(folder)
            if handle is not None:
                try:
                    states += [*self._take(folder)]
                finally:
                    os.close(handle)
        return sorted(states, key=lambda state: state.sequence)

    def close(self) -> None:
        """Release the folder, and remove it if it is empty."""
        with self._opening:
            if self._handle is not None:
                _remove_if_empty(self._folder)
                _remove_if_empty(self._root)
                os.close(self._handle)
                self._handle = None

    def _path(self, video_id: str) -> Path:
        return self._folder / f"{video_id}{_SUFFIX}"

    def _put(self, path: Path, content: bytes) -> None:
        handle = self._open()
        part = path.with_name(f".{path.name}.part")
        try:
            with part.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except OSError:
            part.unlink(missing_ok=True)
            raise
        os.fsync(handle)

    def _open(self) -> int:
        with self._opening:
            while self._handle is None:
                self._root.mkdir(PRIVATE, exist_ok=True)
                self._folder.mkdir(PRIVATE, exist_ok=True)
                # None: another process has adopted the empty folder and removed it.
                self._handle = _lock(self._folder)
                if self._handle is not None:
                    for folder in (self._root, self._root.parent):
                        _sync(folder)
            return self._handle

    def _take(self, folder: Path) -> Iterator[State]:
        for path in sorted(folder.iterdir()):
            if path.suffix != _SUFFIX:
                path.unlink()
                continue
            try:
                state = _read(path)
            except (OSError, msgspec.MsgspecError) as error:
                _log.error("%s cannot be read and is left in place: %s", path, error)
                continue
            try:
                self._open()
                path.replace(self._path(state.id))
            except OSError as error:
                # The state is written back now, and harmlessly once more at the next start.
                _log.warning("%s cannot be moved: %s", path, error)
            yield state
        _remove_if_empty(folder)


def _read(path: Path) -> State:
    with open_file(path.parent.parent, path.parent.name, path.name) as file:
        found = msgspec.json.decode(file.read(), type=_File)
    return State(**msgspec.structs.asdict(found) | {"video": bytes(found.video), "manifest": bytes(found.manifest)})


def _lock(folder: Path) -> int | None:
    """Open `folder` and lock it; None when another process holds the lock, or the folder is gone."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if folder.stat().st_ino == os.fstat(handle).st_ino:
            return handle
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError:
        os.close(handle)
        raise
    os.close(handle)
    return None


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return

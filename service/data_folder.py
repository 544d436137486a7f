"""The folder of the service's files: it belongs to the user of the process, and no link in it is followed."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from pathlib import Path
from tempfile import gettempdir
from typing import BinaryIO

PRIVATE = 0o700
"""Mode of a new folder: its user alone."""
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""Not blocking: the opening of a pipe would wait for its writer."""


_ABSENT = frozenset({errno.ENOENT, errno.ELOOP, errno.ENOTDIR, errno.EMLINK, errno.ENXIO})
"""Errors of an absent file, and of a link, which FreeBSD reports as EMLINK."""


class DataFolderError(Exception):
    """A folder that cannot be used; the message is one sentence with the cure."""


def default_folder() -> Path:
    """Return the folder of this user below the folder for temporary files."""
    return Path(gettempdir()) / f"reelbench-{os.geteuid()}"


def prepare(folder: Path) -> None:
    """Create `folder` with mode 0700, or check an existing one, and check that files can be written there.

    An existing folder must be a folder, not a link, belong to the user of this process, and be closed to the writes of
    others: files that another user can plant would be served as videos.

    Raises:
        DataFolderError: the folder cannot be used.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            folder.mkdir(PRIVATE)
        except FileExistsError:
            _check(folder)
        probe = folder / f".probe-{secrets.token_hex(8)}"
        probe.touch()
        probe.unlink()
    except (OSError, ValueError) as error:
        raise _refused(folder, f"({getattr(error, 'strerror', None) or error})") from error


def _check(folder: Path) -> None:
    found = folder.lstat()
    if stat.S_ISLNK(found.st_mode):
        raise _refused(folder, "because it is a symbolic link")
    if not stat.S_ISDIR(found.st_mode):
        raise _refused(folder, "because it is not a folder")
    if found.st_uid != os.geteuid():
        raise _refused(folder, f"because it belongs to another user (uid {found.st_uid})")
    if found.st_mode & _OTHERS_WRITE:
        raise _refused(folder, f"because other users can write to it (mode {stat.S_IMODE(found.st_mode):04o})")


def _refused(folder: Path, why: str) -> DataFolderError:
    return DataFolderError(
        f"The data folder {folder} cannot be used {why}; set SERVICE_DATA_DIR to a folder that only you can write."
    )


def open_file(folder: Path, job: str, name: str) -> BinaryIO:
    """Open the regular file `name` of `job` for reading.

    Raises:
        FileNotFoundError: there is no such file, or it is a link, not a regular file, or outside of the job's folder.
    """
    if "/" in name:
        raise FileNotFoundError(name)
    place = _open(_FOLDER, folder / job)
    try:
        handle = _open(_FILE, name, place)
    finally:
        os.close(place)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise FileNotFoundError(name)
    return os.fdopen(handle, "rb")


def _open(flags: int, path: Path | str, place: int | None = None) -> int:
    try:
        return os.open(path, flags, dir_fd=place)
    except OSError as error:
        if error.errno in _ABSENT:
            raise FileNotFoundError(path) from error
        raise

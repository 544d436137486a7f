"""Whether a process still works on a run: each holds a shared lock on the run's folder, which ends with the process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

try:
    import fcntl
except ImportError:  # a system without this kind of lock: only the age of the files then says that a run goes on
    fcntl = None  # type: ignore[assignment]

RECENT: Final = 600.0
"""Seconds since the last change of a run that has no end, within which it is taken for one that goes on elsewhere."""


def hold(folder: Path) -> int | None:
    """Take the shared lock; return the descriptor that has it, or None where the folder cannot be locked."""
    if fcntl is None:
        return None
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return None
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    return descriptor


@contextmanager
def holding(folder: Path) -> Iterator[None]:
    """Hold the shared lock while the context is entered."""
    descriptor = hold(folder)
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def is_held(folder: Path) -> bool:
    """Return whether a process on this machine holds the lock."""
    if fcntl is None:
        return False
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def goes_on(folder: Path, ended: float | None, now: float) -> bool:
    """Return whether a run goes on: a process holds it, or it has no end and its files changed a short time ago.

    Args:
        folder: folder of the run.
        ended: end of its load; None: it has none, as the load goes on or was killed.
        now: Unix time.
    """
    if is_held(folder):
        return True
    return ended is None and now - _changed(folder) < RECENT


def _changed(folder: Path) -> float:
    """Return when a file of the folder was changed last."""
    times = [folder.stat().st_mtime]
    for path in folder.iterdir():
        with suppress(OSError):
            times.append(path.lstat().st_mtime)
    return max(times)

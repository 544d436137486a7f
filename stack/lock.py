"""The lock on a run's metrics: at most one Prometheus opens them.

Some distributions build Prometheus without its own lock. This lock is on an open file that Prometheus inherits, so it
is held until Prometheus and the process that started it have both ended.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reelbench.stack.errors import InUseError, StackError

LOCK_FILE = "prometheus.lock"


@contextmanager
def exclusive(run_dir: Path) -> Iterator[int]:
    """Hold the lock; yield the file descriptor for Prometheus to inherit.

    Raises:
        InUseError: another process holds the lock.
        StackError: the run directory cannot be written.
    """
    path = run_dir / LOCK_FILE
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StackError(
            f"Cannot write {path} ({error.strerror}); fix the permissions of the run directory."
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(descriptor, 20, 0).decode(errors="replace").strip() or "unknown"
            raise InUseError(
                f"The metrics of {run_dir} are in use by process {holder} (or its Prometheus); "
                "wait until it has ended, or end it."
            ) from error
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)

"""The lock over a run's metrics: at most one Prometheus has them open.

Prometheus has a lock of its own, but distributions build it with that switched off. The lock here is on an open file
which Prometheus inherits: it holds until both Prometheus and the process that started it are gone.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reelbench.stack.errors import StackError

LOCK_FILE = "prometheus.lock"


@contextmanager
def exclusive(run_dir: Path) -> Iterator[int]:
    """Hold the lock; yields the file descriptor to hand on to Prometheus.

    Raises:
        StackError: another process has it, or the run directory cannot be written.
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
            raise StackError(
                f"The metrics of {run_dir} are in use by process {holder} (or its Prometheus); "
                "wait until it has ended, or end it."
            ) from error
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)

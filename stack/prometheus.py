"""Facts about Prometheus: versions, configuration, command line and error messages; the lock over a run's metrics.

Valid for 2.42, the oldest supported version, to 3.x.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from reelbench.stack.errors import InUseError, StackError

OLDEST = (2, 42)
SCRAPE_INTERVAL = 1
"""Seconds between two scrapes, and the time-out of one scrape."""
_FOREVER = "100y"
"""Retention that keeps old runs readable; the default deletes data after 15 days."""
_VERSION = re.compile(r"prometheus, version (\d+)\.(\d+)\.(\d+)")
_VERSION_TIMEOUT = 10.0
_TROUBLES = {
    "no space left on device": "the disk is full: free space and run again",
    "lock DB directory": "its data are in use by another Prometheus: end that one, or wait until it has ended",
    "address already in use": "its port was taken by another process: run again",
    "permission denied": "its data directory cannot be written: fix the permissions of the run directory",
    "opening storage failed": "its data are damaged: run the suite again",
}
"""Phrase in Prometheus' log -> its meaning; the more specific phrases first."""


@dataclass(frozen=True, slots=True)
class PrometheusBinary:
    """A Prometheus that works."""

    path: Path
    version: str
    """Version, such as 2.42.0."""
    source: str
    """Its source, for messages."""

    @property
    def release(self) -> tuple[int, int]:
        """Major and minor version."""
        major, minor, *_ = self.version.split(".")
        return int(major), int(minor)


def verify(path: Path, source: str) -> PrometheusBinary:
    """Run ``prometheus --version`` and check that the version is supported.

    Raises:
        StackError: the file cannot be run, is not Prometheus, or is too old.
    """
    try:
        done = subprocess.run([str(path), "--version"], capture_output=True, timeout=_VERSION_TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = getattr(error, "strerror", None) or "no answer in time"
        raise StackError(f"{path} cannot be run ({reason}).") from error
    found = _VERSION.search(
        (done.stdout + done.stderr).decode(errors="replace")
    )  # 2.x prints the version to standard output or standard error
    if found is None:
        raise StackError(f"{path} is not Prometheus: '--version' does not say so (exit status {done.returncode}).")
    version = ".".join(found.groups())
    check_version(version, str(path))
    return PrometheusBinary(path, version, source)


def check_version(version: str, what: str) -> None:
    """Reject a version older than 2.42.

    Raises:
        StackError: it is older.
    """
    major, minor, *_ = version.split(".")
    if (int(major), int(minor)) < OLDEST:
        raise StackError(f"{what} is Prometheus {version}; 2.42 is the oldest that is supported.")


def configuration(targets: Mapping[str, str]) -> str:
    """Return the text of ``prometheus.yml``: one static target (host:port) per component, named by its service.name.

    Without targets nothing is scraped. JSON strings are always valid YAML.
    """
    lines = [
        "global:",
        f"  scrape_interval: {SCRAPE_INTERVAL}s",
        f"  scrape_timeout: {SCRAPE_INTERVAL}s",
        "scrape_configs:" if targets else "scrape_configs: []",
    ]
    for name, address in targets.items():
        lines += [
            f"  - job_name: {json.dumps(name)}",
            "    static_configs:",
            f"      - targets: [{json.dumps(address)}]",
        ]
    return "\n".join(lines) + "\n"


def command(binary: Path, *, config: Path, data: Path, port: int) -> list[str]:
    """Return the command line: loopback only, no remote control, no deletion by age."""
    return [
        str(binary),
        f"--config.file={config}",
        f"--storage.tsdb.path={data}",
        f"--storage.tsdb.retention.time={_FOREVER}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]


def trouble(log: str) -> str | None:
    """Return the problem in Prometheus' log, with the cure; None when no known phrase is in it."""
    return next((meaning for phrase, meaning in _TROUBLES.items() if phrase in log), None)


LOCK_FILE = "prometheus.lock"


@contextmanager
def exclusive(run_dir: Path) -> Iterator[int]:
    """Hold the lock over a run's metrics; yield the file descriptor for Prometheus to inherit.

    Prometheus has its own lock, which distributions compile out. The lock here is on an open file that Prometheus
    inherits: it is held until both Prometheus and the process that started it are gone.

    Raises:
        InUseError: another process has it.
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

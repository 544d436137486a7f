"""Facts about Prometheus: versions, configuration, command line and error messages.

Valid for 2.42, the oldest supported version, to 3.x.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from reelbench.stack.errors import StackError

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

"""Facts about Prometheus: versions, configuration, command line and error messages; the lock over a run's metrics.

Valid for 2.42, the oldest supported version, to 3.x.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from reelbench.stack.errors import InUseError, StackError
from reelbench.stack.metrics_page import MOST_BYTES, MetricsPage

OLDEST = (2, 42)
SCRAPE_INTERVAL = 1
"""Seconds between two scrapes, and the time-out of one scrape."""
_FOREVER = "100y"
"""Retention that keeps old runs readable; the default deletes data after 15 days."""
_FALLBACK = (3, 0)
"""First version that refuses a page without a known media type, unless the configuration names a format."""
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


SOURCE_LABEL = "reelbench_source"
"""Label of all series of a server's own page: the number of the page, from 1."""
MOST_SAMPLES = 100_000
"""Of one scrape of a server's page."""


@dataclass(frozen=True, slots=True)
class ScrapedPage:
    """A page of the server under test, with what Prometheus needs to scrape it."""

    number: int
    page: MetricsPage
    descriptor: int | None = None
    """File descriptor of the password or the token, which Prometheus inherits; None: the page needs none."""

    @property
    def secret(self) -> str | None:
        """Path at which Prometheus reads the password or the token."""
        return None if self.descriptor is None else f"/proc/self/fd/{self.descriptor}"

    @property
    def job(self) -> str:
        """Name of its job in Prometheus."""
        return f"server_{self.number}"

    @property
    def selector(self) -> str:
        """Selector of its series."""
        return f'{{{SOURCE_LABEL}="{self.number}"}}'


def configuration(
    targets: Mapping[str, Sequence[str]], pages: Sequence[ScrapedPage] = (), *, release: tuple[int, int] = OLDEST
) -> str:
    """Return the text of ``prometheus.yml``: static targets (host:port) per component, named by its service.name.

    Without targets and pages nothing is scraped. JSON is always valid YAML.
    """
    lines = [
        "global:",
        f"  scrape_interval: {SCRAPE_INTERVAL}s",
        f"  scrape_timeout: {SCRAPE_INTERVAL}s",
        "scrape_configs:" if targets or pages else "scrape_configs: []",
    ]
    for name, addresses in targets.items():
        lines += [
            f"  - job_name: {json.dumps(name)}",
            "    static_configs:",
            f"      - targets: {json.dumps(list(addresses))}",
        ]
    lines += [f"  - {json.dumps(_page_job(page, release))}" for page in pages]
    return "\n".join(lines) + "\n"


def _page_job(scraped: ScrapedPage, release: tuple[int, int]) -> dict[str, object]:
    """Return the scrape configuration of a server's page: own label, times of the scrape, limits of size."""
    page, access = scraped.page, scraped.page.access
    job: dict[str, object] = {
        "job_name": scraped.job,
        "scrape_interval": f"{page.interval}s",
        "scrape_timeout": f"{page.interval}s",
        "honor_timestamps": False,
        "scheme": page.scheme,
        "metrics_path": page.path,
        "params": page.parameters,
        "sample_limit": MOST_SAMPLES,
        "body_size_limit": f"{MOST_BYTES}B",
        "static_configs": [{"targets": [page.address], "labels": {SOURCE_LABEL: str(scraped.number)}}],
    }
    if release >= _FALLBACK:
        job["fallback_scrape_protocol"] = "PrometheusText0.0.4"  # older versions read a page without a type so
    if page.scheme == "https":
        files = {"ca_file": access.ca_file, "cert_file": access.client_cert, "key_file": access.client_key}
        given = {name: str(path.resolve()) for name, path in files.items() if path is not None}
        job["tls_config"] = {**given, "insecure_skip_verify": access.insecure}
    if page.user is not None:
        job["basic_auth"] = {"username": page.user} | ({"password_file": scraped.secret} if scraped.secret else {})
    elif scraped.secret is not None:
        job["authorization"] = {"type": "Bearer", "credentials_file": scraped.secret}
    return job


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

"""The official release archive of Prometheus, checked against its published sha256 sums."""

from __future__ import annotations

import hashlib
import platform
import shutil
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

from reelbench.stack import http
from reelbench.stack.cache import BINARY, PROMTOOL, Cache
from reelbench.stack.errors import StackError
from reelbench.stack.prometheus import PrometheusBinary

VERSION = "3.14.0"
BASE_URL = "https://github.com/prometheus/prometheus/releases/download"
_STALLED = 5.0
"""Seconds without data after which a download fails, so a missing network is reported quickly."""
_DEADLINE = 300.0
_CHUNK = 1 << 18
_SYSTEMS = {"Linux": "linux", "Darwin": "darwin"}
_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def install(
    cache: Cache,
    *,
    base_url: str = BASE_URL,
    system: str | None = None,
    machine: str | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> PrometheusBinary:
    """Download the release for this machine into the cache.

    Raises:
        StackError: this machine has no release, the download failed, or the checksum is wrong.
    """
    stem = f"prometheus-{VERSION}.{_platform(system or platform.system(), machine or platform.machine())}"
    archive = f"{stem}.tar.gz"
    folder = f"{base_url}/v{VERSION}"
    with cache.work() as work:
        expected = _published_sum(f"{folder}/sha256sums.txt", archive)
        downloaded = work / archive
        actual = _download(f"{folder}/{archive}", downloaded, clock() + _DEADLINE, clock)
        if actual != expected:
            raise StackError(f"{folder}/{archive} has the sha256 {actual}, published is {expected}: not used.")
        for tool in (BINARY, PROMTOOL):
            _extract(downloaded, f"{stem}/{tool}", work / tool)
        return cache.install(work / BINARY, "release")


def _platform(system: str, machine: str) -> str:
    try:
        return f"{_SYSTEMS[system]}-{_MACHINES[machine.lower()]}"
    except KeyError:
        raise StackError(f"There is no release of Prometheus {VERSION} for {system} on {machine} known here.") from None


def _published_sum(url: str, archive: str) -> str:
    with http.stream(url, timeout=_STALLED) as pieces:
        text = next(pieces, b"").decode(errors="replace")
    sums = {name.lstrip("*"): digest for digest, _, name in (line.partition("  ") for line in text.splitlines())}
    if archive not in sums:
        raise StackError(f"{url} has no line for {archive}.")
    return sums[archive].lower()


def _download(url: str, path: Path, deadline: float, clock: Callable[[], float]) -> str:
    digest = hashlib.sha256()
    with http.stream(url, timeout=_STALLED) as pieces, path.open("wb") as file:
        for chunk in pieces:
            digest.update(chunk)
            file.write(chunk)
            if clock() > deadline:
                raise StackError(f"{url} did not arrive within {_DEADLINE:g} s.")
    return digest.hexdigest()


def _extract(archive: Path, member: str, path: Path) -> None:
    """Extract one file of the archive; its other members are ignored."""
    try:
        with tarfile.open(archive, "r:gz") as files:
            content = files.extractfile(member)
            if content is None:
                raise StackError(f"{member} in {archive.name} is not a file.")
            with path.open("wb") as file:
                shutil.copyfileobj(content, file, _CHUNK)
    except (OSError, EOFError, KeyError, tarfile.TarError) as error:
        raise StackError(f"{member} cannot be taken out of {archive.name} ({error}).") from error
    path.chmod(0o755)

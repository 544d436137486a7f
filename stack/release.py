"""The official release archive of Prometheus, checked against the sha256 sums that this repository pins."""

from __future__ import annotations

import hashlib
import platform
import shutil
import tarfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from reelbench.stack import http
from reelbench.stack.cache import BINARY, PROMTOOL, Cache
from reelbench.stack.errors import StackError
from reelbench.stack.prometheus import PrometheusBinary

VERSION = "3.14.0"
BASE_URL = "https://github.com/prometheus/prometheus/releases/download"
SUMS_FILE = Path(__file__).with_name("release_sums.txt")
"""Pinned sums, which scripts/pin_release.py writes."""
PUBLISHED = "sha256sums.txt"
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
    pinned: Mapping[str, str] | None = None,
) -> PrometheusBinary:
    """Download the release for this machine into the cache.

    The archive must have the sum of `pinned`, by default that of `SUMS_FILE`. An archive without a pinned sum is
    checked against the sums of its own site, which shows a broken download, but not a changed release.

    Raises:
        StackError: this machine has no release, the download failed, or the checksum is wrong.
    """
    stem = f"prometheus-{VERSION}.{_platform(system or platform.system(), machine or platform.machine())}"
    archive = f"{stem}.tar.gz"
    folder = f"{base_url}/v{VERSION}"
    with cache.work() as work:
        known = read_sums(SUMS_FILE.read_text("utf-8")) if pinned is None else pinned
        source = "pinned" if archive in known else "published"
        expected = known.get(archive) or published_sums(f"{folder}/{PUBLISHED}", archive)[archive]
        downloaded = work / archive
        actual = _download(f"{folder}/{archive}", downloaded, clock() + _DEADLINE, clock)
        if actual != expected:
            raise StackError(f"{folder}/{archive} has the sha256 {actual}, {source} is {expected}: not used.")
        for tool in (BINARY, PROMTOOL):
            _extract(downloaded, f"{stem}/{tool}", work / tool)
        return cache.install(work / BINARY, "release")


def archives() -> list[str]:
    """Return the names of the archives of all platforms."""
    machines = sorted(set(_MACHINES.values()))
    return [f"prometheus-{VERSION}.{name}-{machine}.tar.gz" for name in _SYSTEMS.values() for machine in machines]


def _platform(system: str, machine: str) -> str:
    try:
        return f"{_SYSTEMS[system]}-{_MACHINES[machine.lower()]}"
    except KeyError:
        raise StackError(f"There is no release of Prometheus {VERSION} for {system} on {machine} known here.") from None


def published_sums(url: str, archive: str) -> dict[str, str]:
    """Return the sums of a release by archive, as its site publishes them.

    Raises:
        StackError: there is no answer, or no sum of `archive`.
    """
    with http.stream(url, timeout=_STALLED) as pieces:
        sums = read_sums(next(pieces, b"").decode(errors="replace"))
    if archive not in sums:
        raise StackError(f"{url} has no line for {archive}.")
    return sums


def read_sums(text: str) -> dict[str, str]:
    """Return the sums of a file as ``sha256sum`` writes it, by name; lines that begin with # are comments."""
    lines = (line.partition("  ") for line in text.splitlines() if not line.startswith("#"))
    return {name.lstrip("*"): digest.lower() for digest, _, name in lines if name}


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

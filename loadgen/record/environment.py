"""Where the generator ran: as much as can be found out, never an error."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

import psutil

from reelbench.loadgen.record.limits import read_limits
from reelbench.loadgen.record.records import EnvironmentRecord

PACKAGES = ("aiohttp", "fastapi", "msgspec", "opentelemetry-sdk", "prometheus-client", "uvicorn", "uvloop")
LOCK_FILE = "requirements.lock"


def describe(root: Path) -> EnvironmentRecord:
    """Describe this machine and the checkout at `root`."""
    commit = _git(root, "rev-parse", "--verify", "HEAD")
    return EnvironmentRecord(
        cpu_model=_cpu_model(),
        cpu_count=os.cpu_count() or 1,
        memory_bytes=psutil.virtual_memory().total,
        os=_os(),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        packages={name: version for name in PACKAGES if (version := _version(name)) is not None},
        commit=commit or None,
        dirty=bool(_git(root, "status", "--porcelain")),
        lock_sha256=_sha256(root / LOCK_FILE),
        limits=read_limits(),
    )


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine() or "unknown"


def _os() -> str:
    try:
        name = platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:
        name = platform.system()
    return f"{name}, {platform.system()} {platform.release()}"


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git(root: Path, *arguments: str) -> str | None:
    """Ask git; None when there is no git, no repository or no answer."""
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", "-C", str(root), *arguments],
            capture_output=True,
            check=True,
            text=True,
            timeout=5,
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return done.stdout.strip()


def _sha256(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None

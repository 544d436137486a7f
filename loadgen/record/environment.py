"""Environment of the generator: machine, packages, commit, container limits; unknown values are no errors."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import psutil

from reelbench.loadgen.record.run import EnvironmentRecord, LimitsRecord

PACKAGES = ("aiohttp", "fastapi", "msgspec", "opentelemetry-sdk", "prometheus-client", "uvicorn", "uvloop")
LOCK_FILE = "requirements.lock"
CGROUPS, PROCESS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
_SHOWN = 120
_NO_LIMIT = 2**60
"""Control groups of version 1 report the largest multiple of a page when memory is not limited."""


def describe(root: Path) -> EnvironmentRecord:
    """Return the description of this machine and of the checkout at `root`."""
    commit, no_commit = _commit(root)
    return EnvironmentRecord(
        cpu_model=_cpu_model(),
        cpu_count=os.cpu_count() or 1,
        memory_bytes=psutil.virtual_memory().total,
        os=_os(),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        packages={name: version for name in PACKAGES if (version := _version(name)) is not None},
        commit=commit,
        no_commit=no_commit,
        dirty=commit is not None and bool(_git(root, "status", "--porcelain").output),
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


@dataclass(frozen=True, slots=True)
class _Answer:
    """What git printed; the output is empty when it refused or is not there."""

    output: str = ""
    refusal: str = ""


def _commit(root: Path) -> tuple[str | None, str | None]:
    """Return the commit of the checkout at `root`, or why there is none."""
    top = _git(root, "rev-parse", "--show-toplevel")
    if not top.output:
        return None, _why(top.refusal)
    if Path(top.output).resolve() != root.resolve():
        return None, "not a checkout: the files lie within another repository"
    head = _git(root, "rev-parse", "--verify", "HEAD")
    return (head.output, None) if head.output else (None, "the checkout has no commit")


def _why(refusal: str) -> str:
    """Return why git does not name the checkout, with the cure where git refuses."""
    if "not a git repository" in refusal:
        return "not a checkout"
    if "dubious ownership" in refusal:
        return (
            "git refuses to read the checkout, as it belongs to another user (dubious ownership); "
            "git config --global --add safe.directory and its folder allow it"
        )
    return f"git gave no answer: {' '.join(refusal.split())[:_SHOWN]}"


def _git(root: Path, *arguments: str) -> _Answer:
    """Return the answer of git about the folder, not about the repository that the environment of a hook names."""
    # GIT_DIR and the like, which git sets for its hooks, name the repository of the hook.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", "-C", str(root), *arguments],
            capture_output=True,
            check=False,
            text=True,
            timeout=5,
            env=environment | {"LC_ALL": "C"},
        )
    except FileNotFoundError:
        return _Answer(refusal="git is not installed")
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError) as error:
        return _Answer(refusal=type(error).__name__)
    return _Answer(done.stdout.strip()) if done.returncode == 0 else _Answer(refusal=done.stderr.strip() or "no reason")


def _sha256(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


def read_limits(cgroups: Path = CGROUPS, process: Path = PROCESS) -> LimitsRecord | None:
    """Return the tightest limits of the control groups (Linux, version 1 or 2) around this process; None: no limits."""
    cores = min(filter(None, (_cores(folder) for folder in control_groups(cgroups, process, "cpu"))), default=None)
    memory = min(filter(None, (_memory(folder) for folder in control_groups(cgroups, process, "memory"))), default=None)
    return LimitsRecord(cpu_cores=cores, memory_bytes=memory) if cores or memory else None


def control_groups(cgroups: Path, process: Path, controller: str) -> Iterator[Path]:
    """Yield the group of this process and its parents; within a container often only the root is visible."""
    for line in (_text(process) or "0::/").splitlines():
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if controllers and controller not in controllers.split(","):
            continue
        root = cgroups / controller if controllers else cgroups
        parts = [part for part in path.split("/") if part not in {"", ".."}]
        yield from (root.joinpath(*parts[:length]) for length in range(len(parts), -1, -1))


def _cores(folder: Path) -> float | None:
    words = (_text(folder / "cpu.max") or "").split()
    if not words:
        words = [_text(folder / "cpu.cfs_quota_us") or "", _text(folder / "cpu.cfs_period_us") or ""]
    quota, period = (_number(word) for word in (*words, "", "")[:2])
    return quota / period if quota and period else None


def _memory(folder: Path) -> int | None:
    found = _number(_text(folder / "memory.max") or _text(folder / "memory.limit_in_bytes") or "")
    return found if found and found < _NO_LIMIT else None


def _number(text: str) -> int | None:
    """Return a positive whole number; None for `max`, -1 and other text."""
    return int(text) if text.isdecimal() else None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None

"""The programs of two commits: a git worktree each, and an environment for each lock file."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from reelbench import HOME
from reelbench.suite.ab.ab_error import AbError
from reelbench.suite.ab.git import git, git_environment

LOCK_FILE = "requirements.lock"
_TAIL = 300


@dataclass(frozen=True, slots=True)
class Program:
    """Where service and providers of a side come from."""

    directory: Path
    """Working directory, which holds the package."""
    python: str


@contextmanager
def checked_out(
    commits: Sequence[str], checkout: Path, cache: Path, say: Callable[[str], None]
) -> Iterator[list[Program]]:
    """Check out each commit and yield their programs; all worktrees are removed at the end.

    A side whose lock file equals that of the running checkout uses its environment; any other gets one in the cache,
    which the next comparison with this lock file uses again.

    Raises:
        AbError: a commit cannot be checked out, or its environment cannot be made.
    """
    with TemporaryDirectory(prefix="reelbench-ab-") as folder:
        made: list[Path] = []
        try:
            programs = []
            for number, commit in enumerate(commits):
                path = Path(folder) / f"{number}-{commit[:12]}"
                made.append(path)
                command = git(checkout, "worktree", "add", "--quiet", "--detach", str(path), commit)
                _run(command, f"commit {commit[:12]} cannot be checked out")
                if not (path / "reelbench" / "service").exists():
                    raise AbError(
                        f"--ab: commit {commit[:12]} has no package reelbench.service, so this version cannot start "
                        "it; name a later commit"
                    )
                programs.append(Program(path, _python(path, cache, say)))
            yield programs
        finally:
            for path in made:
                command = git(checkout, "worktree", "remove", "--force", "--force", str(path))
                subprocess.run(command, capture_output=True, check=False, env=git_environment())


def _python(worktree: Path, cache: Path, say: Callable[[str], None]) -> str:
    """Return the interpreter whose packages are those of a worktree's lock file."""
    lock = _read(worktree / LOCK_FILE)
    if lock == _read(HOME / LOCK_FILE):
        return sys.executable
    if not lock:
        raise AbError(f"--ab: commit {worktree.name.partition('-')[2]} has no {LOCK_FILE}; name a later commit")
    folder = cache / "environments" / hashlib.sha256(lock).hexdigest()[:16]
    python = folder / "bin" / "python"
    ready = folder / "ready"
    if ready.exists():
        return str(python)
    say(f"its {LOCK_FILE} differs: an environment for it is made in {folder}, once")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        _run([sys.executable, "-m", "venv", str(folder)], f"an environment cannot be made in {folder}")
        _run(
            [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "-r", str(worktree / LOCK_FILE)],
            f"the packages of {LOCK_FILE} cannot be installed",
        )
        ready.touch()
    finally:
        if not ready.exists():
            shutil.rmtree(folder, ignore_errors=True)
    return str(python)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _run(command: Sequence[str], failure: str) -> None:
    done = subprocess.run(
        list(command), capture_output=True, text=True, check=False, start_new_session=True, env=git_environment()
    )
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())[-_TAIL:]
        raise AbError(f"--ab: {failure} ({said}); correct this and run again")

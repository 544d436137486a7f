"""The two sides of an interleaved comparison as the user names them: commits, settings files or targets."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from reelbench.loadgen.record.address import shown_url
from reelbench.stack import dotenv
from reelbench.stack.errors import StackError
from reelbench.suite.ab.ab_error import AbError
from reelbench.suite.ab.git import git, git_environment
from reelbench.telemetry import running

PREFIXES = ("SERVICE_", "PROVIDERS_")
GIVEN_BY_STACK = frozenset(
    {
        "SERVICE_DATA_DIR",
        "SERVICE_FAULTS",
        "SERVICE_ADMIN",
        "SERVICE_LLM_URL",
        "SERVICE_TTS_URL",
        "SERVICE_IMAGE_URL",
        "PROVIDERS_FAULTS",
    }
)
"""Settings that the stack of a run sets for both sides."""
COMMITS, SETTINGS, TARGETS = "commits", "settings files", "targets"


@dataclass(frozen=True, slots=True)
class Side:
    """One side."""

    kind: str
    name: str
    """As the user named it, without user and password."""
    commit: str = ""
    """Full hash, of a commit."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Environment variables, of a settings file."""
    target: str = ""
    """Base URL, of a target."""

    @property
    def identity(self) -> tuple[str, str, tuple[tuple[str, str], ...]]:
        """What makes two sides equal."""
        return self.commit, self.target.rstrip("/"), tuple(sorted(self.settings.items()))

    @property
    def described(self) -> str:
        """What the side is, for reports: without secrets."""
        if self.kind == COMMITS:
            return f"commit {self.commit[:12]}"
        if self.kind == SETTINGS:
            shown = (
                f"{name}={'(secret)' if running.is_secret(name) else running.shown(value)}"
                for name, value in sorted(self.settings.items())
            )
            return ", ".join(shown) or "no settings"
        return shown_url(self.target)


def read_sides(base: str, head: str, checkout: Path | None, *, force: bool) -> tuple[Side, Side]:
    """Return both sides.

    Args:
        base: Commit, settings file or URL of the reference.
        head: The same of what is judged.
        checkout: The checkout that has the commits; None when Reelbench is installed.
        force: Accept equal sides.

    Raises:
        AbError: a side is none of these, or the sides cannot be compared.
    """
    sides: list[Side] = []
    errors: list[str] = []
    for name in (base, head):
        try:
            sides.append(_read(name, checkout))
        except AbError as error:
            errors += error.errors
    if errors:
        raise AbError(*dict.fromkeys(errors))
    first, second = sides
    if first.kind != second.kind:
        raise AbError(
            f"--ab: {first.name} and {second.name} are of different kinds ({first.kind}, {second.kind}); "
            "name two commits, two settings files or two URLs"
        )
    if first.identity == second.identity and not force:
        raise AbError(
            f"--ab: both sides are the same ({first.described}); name two that differ, "
            "or add --force to measure how often equal sides seem to differ"
        )
    return first, second


def _read(name: str, checkout: Path | None) -> Side:
    if urlsplit(name).scheme in {"http", "https"}:
        return Side(TARGETS, shown_url(name), target=name)
    if Path(name).is_file():
        return Side(SETTINGS, name, settings=_settings(Path(name)))
    if checkout is None:
        raise AbError(
            f"--ab: {name!r} is neither a file nor a URL, and an installed Reelbench has no commits; "
            "run it from a checkout"
        )
    return Side(COMMITS, name, commit=_commit(name, checkout))


def _settings(path: Path) -> dict[str, str]:
    """Return the variables of a settings file.

    Raises:
        AbError: a line is not a setting, or a variable is no setting that a side can have.
    """
    try:
        lines = dotenv.read(path, environment={})
    except (StackError, UnicodeDecodeError) as error:
        cause = str(error).rstrip(".") if isinstance(error, StackError) else f"{path} is not text in UTF-8"
        raise AbError(f"--ab: {cause}; write one NAME=value on each line") from error
    found = {name: _unquoted(value) for name, value in lines.items()}
    wrong = [problem for name in found if (problem := _problem(name)) is not None]
    if wrong:
        raise AbError(*(f"--ab: {path}: {problem}" for problem in wrong))
    return found


def _unquoted(value: str) -> str:
    text = value.strip()
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    return text[1:-1] if quoted else text


def _problem(name: str) -> str | None:
    if name in GIVEN_BY_STACK or name.startswith("OTEL_"):
        return f"{name} is set by Reelbench, the same on both sides; remove the line"
    if name.startswith(PREFIXES) or running.environment({name: ""}):
        return None
    return f"{name} changes neither service nor providers; use names that begin with {' or '.join(PREFIXES)}"


def unknown_settings(side: Side, known: Sequence[str]) -> list[str]:
    """Return the settings of a side that no process has; `known` are the names of the settings of all processes."""
    return [name for name in side.settings if name.startswith(PREFIXES) and name not in known]


def _commit(name: str, checkout: Path) -> str:
    """Return the full hash of a commit.

    Raises:
        AbError: the checkout has no such commit, or it cannot be asked.
    """
    if name.startswith("-"):
        raise AbError(f"--ab: {name!r} is no commit; name two commits, two settings files or two URLs")
    try:
        done = subprocess.run(
            git(checkout, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}"),
            capture_output=True,
            text=True,
            check=False,
            env=git_environment(),
        )
    except OSError as error:
        raise AbError(f"--ab: git cannot be run ({error.strerror}); install git to compare commits") from error
    if done.returncode or not done.stdout.strip():
        raise AbError(
            f"--ab: {name!r} is no commit of {checkout}, no file and no URL; "
            "git log lists the commits, and git fetch brings those that are missing"
        )
    return done.stdout.strip()

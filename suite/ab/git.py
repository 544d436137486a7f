"""Calls of git for one checkout."""

from __future__ import annotations

import os
from pathlib import Path


def git(checkout: Path, *arguments: str) -> list[str]:
    """Return the command line of git for a checkout."""
    return ["git", "-C", str(checkout), *arguments]


def git_environment() -> dict[str, str]:
    """Return the environment without the variables by which a hook of git names another repository."""
    return {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}

"""The token that the guarded endpoints of a service of Reelbench may demand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

HEADER: Final = "X-Reelbench-Token"
TOKEN: Final = "REELBENCH_CONTROL_TOKEN"  # noqa: S105 - a name
"""Variable with the token."""
TOKEN_FILE: Final = "REELBENCH_CONTROL_TOKEN_FILE"  # noqa: S105 - a name
"""Variable with the path of a file that holds the token."""


def control_token(environment: Mapping[str, str]) -> str:
    """Return the token; empty without one, or when its file cannot be read: the service then refuses the requests."""
    if token := environment.get(TOKEN, ""):
        return token
    try:
        found = Path(environment[TOKEN_FILE]).read_text("utf-8").strip()
    except (KeyError, OSError, ValueError):
        return ""
    return found if found.isascii() and found.isprintable() else ""

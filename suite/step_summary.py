"""The summary of a run on the page of a GitHub workflow run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

VARIABLE = "GITHUB_STEP_SUMMARY"
"""Names the file that GitHub shows on the page of a workflow run."""
NAME = "summary.md"
_LINK = re.compile(r"\[([^\]]*)\]\([a-z_]+\.md[^)]*\)")


def append(paths: Iterable[Path], environment: Mapping[str, str]) -> None:
    """Append ``summary.md`` among some written files to the file that the environment names; without one, nothing.

    Raises:
        OSError: the file cannot be written.
    """
    page = environment.get(VARIABLE)
    if not page:
        return
    for path in paths:
        if path.name == NAME:
            text = _LINK.sub(r"\1", path.read_text(encoding="utf-8"))  # the files next to it are not on that page
            with Path(page).open("a", encoding="utf-8") as file:
                file.write(f"{text}\n")

"""The error of an interleaved comparison."""

from __future__ import annotations

from collections.abc import Sequence


class AbError(Exception):
    """The comparison cannot be made as asked; `errors` has one sentence for each reason, with its cure."""

    def __init__(self, *errors: str) -> None:
        super().__init__("\n".join(errors))
        self.errors: Sequence[str] = errors

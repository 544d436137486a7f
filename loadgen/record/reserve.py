"""Room on the disk that a run keeps for its last words: a full disk must not leave a run that seems to go on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

NAME: Final = ".room"
BYTES: Final = 256 * 1024
"""Several times the head of the largest run."""


class Reserve:
    """A file whose bytes are on the disk until `release`."""

    def __init__(self, folder: Path) -> None:
        """Write the file.

        Raises:
            OSError: there is no room.
        """
        self._path = folder / NAME
        with self._path.open("wb") as file:
            file.write(bytes(BYTES))
            file.flush()
            os.fsync(file.fileno())  # a file system may find blocks late

    def release(self) -> bool:
        """Remove the file; return whether it was there."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True

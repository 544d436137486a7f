"""``videos.jsonl``: what was found in the files that jobs downloaded, opened and decoded."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from reelbench.loadgen.record.run_files import VIDEOS_FILE, read_lines

LENGTH_SECONDS: Final = 0.25
"""Tolerance of the length, or one frame if that is longer: many models make only 4n + 1 or 8n + 1 frames."""
FRAMES: Final = 4
"""Tolerance of the number of frames, for the same reason."""
PIXELS: Final = 16
"""Tolerance of width and height: many models round them down to multiples of 16."""
FPS_SHARE: Final = 0.01
"""Tolerance of the frame rate: 24 and 23.976 are equal."""


class Property(StrEnum):
    """What is looked at in a file."""

    DECODES = "decodes"
    """The file opens, has a picture, and every frame decodes: the others say whether it is the video that was asked."""
    LENGTH = "length"
    FRAMES = "frames"
    SIZE = "size"
    FPS = "fps"


class Deviation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One property of a file that is not as asked."""

    kind: Property
    found: str
    """What the file has, or why it does not decode; one line."""
    asked: str = ""
    """What the job asked for; empty for `Property.DECODES`."""


class VideoRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One downloaded file."""

    scenario: str
    case: str
    index: int
    """Index of the job in the plan of its case."""
    bytes: int
    container: str | None
    codec: str | None
    width: int | None
    height: int | None
    seconds: float | None
    """Length of the decoded picture; None when nothing could be decoded."""
    frames: int | None
    """Frames that were decoded."""
    fps: float | None
    audio: bool
    """True when the file has sound."""
    asked: list[Property] = []
    """Properties that the job asked for and the file was compared with; `Property.DECODES` is always looked at."""
    wrong: list[Deviation] = []
    """What is not as asked or does not decode; empty for a good file."""
    kept: str | None = None
    """Name of the kept file below the folder of kept videos; None when it was not kept."""

    @property
    def playable(self) -> bool:
        """True when the file decodes to its end: a job whose file does not is no success."""
        return all(one.kind is not Property.DECODES for one in self.wrong)


def read_videos(folder: Path) -> list[VideoRecord]:
    """Read ``videos.jsonl`` with the rules of `read_jobs`; empty when the run has none."""
    return list(read_lines(folder / VIDEOS_FILE, VideoRecord)) if (folder / VIDEOS_FILE).exists() else []

"""``videos.jsonl``: what was found in the files that jobs downloaded, opened and decoded."""

from __future__ import annotations

from pathlib import Path

import msgspec

from reelbench.loadgen.record.run_files import VIDEOS_FILE, read_lines


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
    wrong: list[str] = []
    """What is not as asked or does not decode, one short sentence each; empty for a good file."""
    kept: str | None = None
    """Name of the kept file below the folder of kept videos; None when it was not kept."""


def read_videos(folder: Path) -> list[VideoRecord]:
    """Read ``videos.jsonl`` with the rules of `read_jobs`; empty when the run has none."""
    return list(read_lines(folder / VIDEOS_FILE, VideoRecord)) if (folder / VIDEOS_FILE).exists() else []

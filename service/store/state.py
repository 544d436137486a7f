"""The state of a job as the store keeps it."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import orjson

from reelbench.service.domain.correlation import Correlation
from reelbench.service.domain.video import VideoError

Write = Literal["add", "update", "remove"]
Written = Literal["written", "deleted", "ended"]
"""Result of a write: done; the job was deleted in the meantime; another instance ended it in the meantime."""

_TERMINAL = frozenset({"completed", "failed"})

RESTARTED = VideoError(
    code="service_restarted", message="The service was restarted before the video was complete; create it again."
)
LOST = VideoError(
    code="service_lost",
    message="The instance that worked on this video stopped answering before it was complete; create it again.",
)


class State(msgspec.Struct, frozen=True, kw_only=True):
    """One write of a job; `video` and `manifest` are JSON ("null" for a removal)."""

    id: str
    sequence: int
    """Jobs are listed and written back in this order."""
    write: Write
    video: bytes
    manifest: bytes
    terminal: bool = False
    correlation: Correlation = Correlation()


def removal(video_id: str, sequence: int, correlation: Correlation) -> State:
    """Return the state of a deleted job."""
    return State(
        id=video_id, sequence=sequence, write="remove", video=b"null", manifest=b"null", correlation=correlation
    )


def failed(video: bytes, manifest: bytes, error: VideoError, now: float) -> tuple[bytes, bytes]:
    """Return video and manifest of a job that failed at `now` (Unix seconds) with `error`."""
    # Changed as plain JSON: another version of the service may have written unknown fields.
    shown: dict[str, Any] = orjson.loads(video)
    made: dict[str, Any] = orjson.loads(manifest)
    shown |= {"status": "failed", "completed_at": None, "error": error.model_dump()}
    made["status"] = "failed"
    made["timings"] = made["timings"] | {"ended": now}
    return orjson.dumps(shown), orjson.dumps(made)


def is_terminal(video: bytes) -> bool:
    """Return whether the video is completed or failed."""
    return orjson.loads(video)["status"] in _TERMINAL


def has_content(manifest: bytes) -> bool:
    """Return whether the manifest names a finished video file."""
    return orjson.loads(manifest)["content"] is not None


def created(manifest: bytes) -> float:
    """Return when the job was accepted, in Unix seconds."""
    return float(orjson.loads(manifest)["timings"]["created"])

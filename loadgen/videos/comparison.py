"""What a job asked of its video, compared with what the file holds."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from reelbench.loadgen.plan.plan import PlannedJob
from reelbench.loadgen.record.videos import (
    FPS_SHARE,
    FRAMES,
    LENGTH_SECONDS,
    PIXELS,
    Deviation,
    Property,
    VideoRecord,
)
from reelbench.loadgen.videos.decoder import Decoded


@dataclass(frozen=True, slots=True)
class Wish:
    """What a job asked for; None: not asked."""

    seconds: float | None = None
    size: tuple[int, int] | None = None
    """Width and height."""
    frames: int | None = None
    fps: float | None = None


def wish(job: PlannedJob, sent: Collection[str], frame_rate: float | None = None) -> Wish:
    """Return what a job asked for, in the quantities that the server is sent.

    A number of frames at a frame rate is a length, and then decides.

    Args:
        job: the job.
        sent: names of the quantities.
        frame_rate: frames per second in which the length is written for a server that takes no seconds.
    """
    ask = job.ask
    fps = ask.fps if ask is not None and "fps" in sent else None
    frames = ask.num_frames if ask is not None and "num_frames" in sent else None
    seconds = _number(job.seconds) if "seconds" in sent else None
    if frames is not None:
        seconds = frames / fps if fps else None
    elif "num_frames" in sent and "seconds" not in sent and (length := _number(job.seconds)) is not None:
        rate = (ask.fps if ask is not None else None) or frame_rate
        frames = round(length * rate) if rate else None
    sized = "size" in sent or {"width", "height"} <= set(sent)
    return Wish(seconds, _size(job.size) if sized else None, frames, fps)


def compare(job: PlannedJob, asked: Wish, found: Decoded, size: int) -> VideoRecord:
    """Return the record of a file of `size` bytes."""
    wrong = [Deviation(kind=Property.DECODES, found=found.error)] if found.error is not None else []
    looked = [Property.DECODES]
    for kind, compared in (
        (Property.LENGTH, _length(asked, found)),
        (Property.FRAMES, _frames(asked, found)),
        (Property.SIZE, _pixels(asked, found)),
        (Property.FPS, _fps(asked, found)),
    ):
        if compared is None:
            continue
        looked.append(kind)
        good, has, wanted = compared
        # Length and frames of a file that breaks off say nothing of what the server made.
        if not good and found.error is None:
            wrong.append(Deviation(kind=kind, found=has, asked=wanted))
    return VideoRecord(
        scenario=job.scenario,
        case=job.case,
        index=job.index,
        bytes=size,
        container=found.container,
        codec=found.codec,
        width=found.width,
        height=found.height,
        seconds=found.seconds,
        frames=found.frames,
        fps=found.fps,
        audio=found.audio,
        asked=looked[1:] if found.error is None else [],
        wrong=wrong,
    )


Compared = tuple[bool, str, str] | None
"""Whether a property is as asked, what the file has, what was asked; None: not asked, or the file does not say."""


def _length(asked: Wish, found: Decoded) -> Compared:
    if asked.seconds is None or found.seconds is None:
        return None
    slack = max(LENGTH_SECONDS, 1 / found.fps if found.fps else 0.0) + 1e-6  # binary fractions
    return abs(found.seconds - asked.seconds) <= slack, f"{found.seconds:.2f} s", f"{asked.seconds:g} s"


def _frames(asked: Wish, found: Decoded) -> Compared:
    if asked.frames is None:
        return None
    return abs(found.frames - asked.frames) <= FRAMES, f"{found.frames} frames", f"{asked.frames}"


def _pixels(asked: Wish, found: Decoded) -> Compared:
    if asked.size is None or found.width is None or found.height is None:
        return None
    good = all(abs(has - wanted) <= PIXELS for has, wanted in zip((found.width, found.height), asked.size, strict=True))
    return good, f"{found.width}x{found.height}", f"{asked.size[0]}x{asked.size[1]}"


def _fps(asked: Wish, found: Decoded) -> Compared:
    if asked.fps is None or found.fps is None:
        return None
    return abs(found.fps - asked.fps) <= FPS_SHARE * asked.fps, f"{found.fps:g} fps", f"{asked.fps:g} fps"


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:  # a word of the server
        return None


def _size(text: str) -> tuple[int, int] | None:
    width, _, height = text.lower().partition("x")
    return (int(width), int(height)) if width.isdecimal() and height.isdecimal() else None

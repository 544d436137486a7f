"""Decodes video files in a process of its own: ``python -I decoder.py``, a path a line in, a JSON object a line out.

Files of a server are not trusted: the process has low priority and limits of memory and CPU time, opens nothing but
local files in known containers, and may crash without harm to the load generator.
"""

from __future__ import annotations

import os
import sys
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    import av

MEMORY_BYTES: Final = 2 * 1024**3
"""Limit of the address space: enough for frames of 8K."""
FILE_CPU_SECONDS: Final = 60
"""CPU time for one file."""
CONTAINERS: Final = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,ogg,flv,gif,apng"
"""Formats that FFmpeg may recognise: none of them names further files or addresses, as a playlist does."""
READY: Final = b"ready\n"
"""First line of the process."""
_NICE: Final = 19
_WITHOUT_METADATA_ERRORS: Final = 19
"""Version of PyAV."""


class Decoded(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a file holds."""

    error: str | None = None
    """Why the file, or a part of it, does not decode; None for a good file."""
    container: str | None = None
    codec: str | None = None
    width: int | None = None
    height: int | None = None
    seconds: float | None = None
    frames: int = 0
    fps: float | None = None
    audio: bool = False


def examine(path: str) -> Decoded:
    """Decode every frame of the first video stream of a file."""
    import av  # noqa: PLC0415 - the load generator imports this module for its types alone

    try:
        with av.open(
            path,
            options={"protocol_whitelist": "file", "format_whitelist": CONTAINERS},
            **_metadata_options(av.__version__),
        ) as container:
            return _decode(container)
    except (av.FFmpegError, OSError, ValueError, MemoryError) as error:
        return Decoded(error=_line(error))


def _metadata_options(version: str) -> dict[str, Any]:
    """Return how PyAV reads metadata that are not UTF-8: version 18 refuses them by default, 19 has no such option."""
    return {"metadata_errors": "ignore"} if int(version.partition(".")[0]) < _WITHOUT_METADATA_ERRORS else {}


def _decode(container: av.container.InputContainer) -> Decoded:
    import av  # noqa: PLC0415 - as above

    names = container.format.name.split(",")
    head = Decoded(container="mp4" if "mp4" in names else names[0], audio=bool(container.streams.audio))
    if not container.streams.video:
        return msgspec.structs.replace(head, error="the file has no picture")
    stream = container.streams.video[0]
    if stream.codec_context is None:
        return msgspec.structs.replace(head, error="the picture has a codec that FFmpeg does not know")
    stream.codec_context.thread_count = 1
    frames = damaged = 0
    instants: list[Fraction] = []
    error = None
    try:
        for packet in container.demux(stream):
            for frame in packet.decode():
                frames += 1
                damaged += frame.is_corrupt
                if frame.pts is not None and frame.time_base:
                    instant = frame.pts * frame.time_base
                    instants = [min([*instants, instant]), max([*instants, instant])]
    except (av.FFmpegError, ValueError, MemoryError) as problem:
        error = f"after {frames} frames: {_line(problem)}"
    declared = stream.frames
    if error is None and frames == 0:
        error = "no frame can be decoded"
    if error is None and damaged:
        error = f"{damaged} of {frames} frames are damaged"
    if error is None and declared - frames > max(2, declared // 20):
        error = f"the file declares {declared} frames, and {frames} can be decoded"
    fps = stream.average_rate or stream.guessed_rate
    return msgspec.structs.replace(
        head,
        error=error,
        codec=stream.codec_context.name,
        width=stream.codec_context.width or None,
        height=stream.codec_context.height or None,
        seconds=_length(instants, frames, fps),
        frames=frames,
        fps=float(fps) if fps else None,
    )


def _length(instants: list[Fraction], frames: int, fps: Fraction | None) -> float | None:
    """Return the time from the first frame to the end of the last one."""
    if frames == 0:
        return None
    if len(instants) == 2 and instants[1] > instants[0]:  # noqa: PLR2004 - first and last
        span = instants[1] - instants[0]
        return float(span + span / (frames - 1))
    return float(frames / fps) if fps else None


def _line(error: Any) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())[:200]


def _limit() -> None:
    """Lower the priority and set the limits of this process; what a system does not offer is left out."""
    import resource  # noqa: PLC0415 - only on POSIX

    os.nice(_NICE)
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def _allow_cpu(seconds: int) -> None:
    """Let this process use that much more CPU time; the system then ends it."""
    import resource  # noqa: PLC0415 - only on POSIX

    used = resource.getrusage(resource.RUSAGE_SELF)
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + seconds, most))


def main() -> None:
    """Answer every path on standard input until it ends."""
    import av  # noqa: PLC0415 - as above

    av.logging.set_level(None)
    _limit()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not look like an answer
    examine(os.devnull)  # a PyAV with other functions fails here, and not at the first file of a server
    answers.write(READY)
    answers.flush()
    for line in sys.stdin:
        _allow_cpu(FILE_CPU_SECONDS)
        answers.write(msgspec.json.encode(examine(line.rstrip("\n"))) + b"\n")
        answers.flush()


if __name__ == "__main__":
    main()

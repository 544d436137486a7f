"""``python -m reelbench.service.pipeline.worker``: a process that reads uploads and encodes videos.

Standard input is a socket to the service, for frames of four bytes of length (big-endian) and content in both
directions. The first frame from the worker is empty and means ready. Standard output is not used.
"""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import BinaryIO

import msgspec

from reelbench.service.domain.video import UploadKind
from reelbench.service.pipeline import document, preview, reference
from reelbench.service.pipeline.tasks import (
    Answer,
    BadDocument,
    BadMedia,
    Defect,
    DocumentError,
    Encode,
    File,
    Inspect,
    Kind,
    Preview,
    Read,
    Still,
    Task,
)
from reelbench.service.pipeline.video_encoder import Slide, encode
from reelbench.service.provider_client.formats import MediaError

try:
    import resource
except ImportError:  # no such limits on this platform, only the timeouts
    resource = None  # type: ignore[assignment]

LENGTH_BYTES = 4
_OUT_OF_MEMORY = 3


def main() -> None:
    """Answer tasks until the service closes its end of the socket."""
    _limit_memory(int(sys.argv[1]))
    requests: SimpleQueue[bytes] = SimpleQueue()
    Thread(target=_receive, args=(requests,), daemon=True).start()
    tasks = msgspec.msgpack.Decoder(Task)
    answer = msgspec.msgpack.Encoder()
    with open(0, "wb", closefd=False) as out:
        _send(out, b"")
        while True:
            _send(out, answer.encode(perform(tasks.decode(requests.get()))))


def perform(task: Task) -> Answer:
    """Do one task; ends the process when the memory is exhausted."""
    try:
        return _answer(task)
    except DocumentError as error:
        return BadDocument(error.code, error.message)
    except MediaError as error:
        return BadMedia(str(error))
    except MemoryError:
        os._exit(_OUT_OF_MEMORY)
    except Exception as error:  # noqa: BLE001 - the service decides what a defect means for the job
        traceback.print_exc()
        return Defect(f"{type(error).__name__}: {error}")


def _answer(task: Task) -> Answer:
    if isinstance(task, Inspect):
        return Kind(_inspect(Path(task.path), task.media_type))
    if isinstance(task, Read):
        return document.read(
            Path(task.path), is_pdf=task.is_pdf, max_pages=task.max_pages, max_characters=task.max_characters
        )
    if isinstance(task, Still):
        return File(reference.still(Path(task.path), task.kind, task.width, task.height))
    if isinstance(task, Preview):
        return File(preview.make(Path(task.path), task.kind))
    return File(_encode(task))


def _inspect(path: Path, media_type: str) -> UploadKind:
    kind = reference.kind(path)
    if kind is not None:
        reference.check(path, kind)
        return kind
    return "pdf" if document.inspect(path, media_type) else "text"


def _encode(task: Encode) -> bytes:
    slides = [Slide(Path(png).read_bytes(), Path(wav).read_bytes()) for png, wav in task.scenes]
    return encode(slides, task.shape)


def _receive(requests: SimpleQueue[bytes]) -> None:
    # In a thread, so that the worker also ends in the middle of a task when the service ends.
    try:
        # A service that is killed with an unread frame resets the connection instead of closing it.
        with suppress(ConnectionError), open(0, "rb", closefd=False) as stream:
            while len(length := stream.read(LENGTH_BYTES)) == LENGTH_BYTES:
                requests.put(stream.read(int.from_bytes(length)))
    finally:
        os._exit(0)  # no further task can arrive


def _send(out: BinaryIO, content: bytes) -> None:
    try:
        out.write(len(content).to_bytes(LENGTH_BYTES) + content)
        out.flush()
    except ConnectionError:  # the service was killed
        os._exit(0)


def _limit_memory(spare: int) -> None:
    """Limit the further allocations of this process to `spare` bytes, and disable core files.

    Linux only: other systems do not count allocations by mmap, or do not report the memory in use.
    """
    if resource is None or not sys.platform.startswith("linux"):
        return
    used = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_DATA, (used + spare, used + spare))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main()

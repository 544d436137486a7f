"""Reads uploads, encodes videos and makes their previews in worker processes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Literal, Self

import msgspec

from reelbench.service.domain.video import UploadKind
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
    PreviewKind,
    Read,
    Shape,
    Still,
    Task,
    Text,
)
from reelbench.service.pipeline.workers import WorkerDiedError, Workers, WorkerTimeoutError
from reelbench.service.provider_client.formats import MediaError
from reelbench.service.settings import MIB, Settings


class Media:
    """Work on media within the time and memory limits of `settings`; an asynchronous context manager."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._workers = Workers(
            "reelbench.service.pipeline.worker", [str(settings.media_memory)], settings.media_processes
        )
        # A hostile document can make reading slow: one worker stays free for uploads and encoding.
        self._reading = asyncio.Semaphore(max(1, settings.media_processes - 1))
        self._answers = msgspec.msgpack.Decoder(Answer)

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the workers."""
        return self._workers.pids

    async def inspect(self, path: Path, media_type: str) -> UploadKind:
        """Check an upload and return what it is; raises DocumentError."""
        answer = await self._document(Inspect(_name(path), media_type), self._settings.inspect_timeout)
        assert isinstance(answer, Kind)
        return answer.kind

    async def read(self, path: Path, *, is_pdf: bool) -> Text:
        """Return the text of a checked document; raises DocumentError."""
        task = Read(_name(path), is_pdf, self._settings.max_pages, self._settings.max_characters)
        async with self._reading:
            answer = await self._document(task, self._settings.parse_timeout)
        assert isinstance(answer, Text)
        return answer

    async def still(self, path: Path, kind: Literal["image", "video"], width: int, height: int) -> bytes:
        """Return a checked image, or the first frame of a checked video, as a PNG; raises DocumentError."""
        async with self._reading:
            answer = await self._document(Still(_name(path), kind, width, height), self._settings.parse_timeout)
        assert isinstance(answer, File)
        return answer.content

    async def encode(self, scenes: list[tuple[Path, Path]], shape: Shape) -> bytes:
        """Return the MP4 of scenes, each given by its PNG and WAV file; raises MediaError."""
        return await self._file(Encode(tuple((_name(png), _name(wav)) for png, wav in scenes), shape))

    async def preview(self, path: Path, kind: PreviewKind) -> bytes:
        """Return the thumbnail (WebP) or the spritesheet (JPEG) of an encoded video; raises MediaError."""
        async with self._reading:
            return await self._file(Preview(_name(path), kind))

    async def __aenter__(self) -> Self:
        await self._workers.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._workers.__aexit__(*error)

    @property
    def _memory(self) -> str:
        return f"{self._settings.media_memory / MIB:g} MiB"

    async def _file(self, task: Encode | Preview) -> bytes:
        limit = self._settings.compose_timeout
        verb = "composed" if isinstance(task, Encode) else "read"
        try:
            answer = await self._call(task, limit)
        except WorkerTimeoutError as error:
            raise MediaError(f"media that cannot be {verb} in {limit:g} s") from error
        except WorkerDiedError as error:
            raise MediaError(f"media on which FFmpeg crashes or takes more than {self._memory}") from error
        assert isinstance(answer, File)
        return answer.content

    async def _document(self, task: Inspect | Read | Still, limit: float) -> Answer:
        try:
            return await self._call(task, limit)
        except WorkerTimeoutError as error:
            code = "invalid_document" if isinstance(task, Inspect) else "document_timeout"
            verb = "checked" if isinstance(task, Inspect) else "read"
            raise DocumentError(code, f"The uploaded document could not be {verb} in {limit:g} s.") from error
        except WorkerDiedError as error:
            message = f"The uploaded document crashes its reader, or takes more than {self._memory} to read."
            raise DocumentError("invalid_document", message) from error

    async def _call(self, task: Task, limit: float) -> Answer:
        content = await self._workers.call(msgspec.msgpack.encode(task), limit)
        answer: Answer = self._answers.decode(content)
        if isinstance(answer, BadDocument):
            raise DocumentError(answer.code, answer.message)
        if isinstance(answer, BadMedia):
            raise MediaError(answer.reason)
        if isinstance(answer, Defect):
            raise RuntimeError(f"A worker failed: {answer.error}")  # noqa: TRY004 - no matter of types
        return answer


def _name(path: Path) -> str:
    return str(path.absolute())  # the workers have another working directory

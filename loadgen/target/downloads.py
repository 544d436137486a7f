"""Downloads of finished videos: from an endpoint, from links, or from base64 in JSON."""

from __future__ import annotations

from collections.abc import Awaitable
from http import HTTPStatus
from typing import Final

import msgspec

from reelbench.loadgen.target import api
from reelbench.loadgen.target.answer import MAX_INLINE, Answer, FileSink, Reply
from reelbench.loadgen.target.api import Content, Video
from reelbench.loadgen.target.inline import decoded
from reelbench.loadgen.target.links import Address, LinkError
from reelbench.loadgen.target.media import problem
from reelbench.loadgen.target.reading import Reader
from reelbench.loadgen.target.target_file import Content as ContentManner
from reelbench.loadgen.target.wire import Call, Wire

_OK: Final = HTTPStatus.OK.value


class _Download(msgspec.Struct, frozen=True):
    """What a download is for."""

    call: Call
    checksum: bool
    sink: FileSink | None


class Downloads:
    """Downloads the files of one server."""

    def __init__(self, wire: Wire, reader: Reader, root: str, manner: ContentManner) -> None:
        self._wire = wire
        self._reader = reader
        self._source = manner.source
        self._endpoint = msgspec.structs.replace(api.CONTENT, template="/{video_id}" + manner.path).at(root)
        self._place: str | None = None
        """Where files were, of a server whose target file does not say it."""

    def content(self, video: Video, call: Call, *, checksum: bool, sink: FileSink | None) -> Awaitable[Reply[Content]]:
        """Download a video from where its answers say it is."""
        wanted = _Download(call, checksum, sink)
        if self._source == "endpoint" and video.id:
            return self._fetch(wanted, self._endpoint.path(video.id))
        return self._found(video, wanted)

    async def _found(self, video: Video, wanted: _Download) -> Reply[Content]:
        """Download a video from the first place that has it."""
        reply: Reply[Content] = Reply(None, error="the answers of the server do not say where the file is")
        for kind in self._places(video):
            if kind == "base64":
                reply = await self._decoded(video.inline or "", wanted)
            elif kind == "url":
                reply = await self._linked(video.links, wanted)
            else:
                reply = await self._fetch(wanted, self._endpoint.path(video.id))
            if reply.value is not None:
                self._place = kind
                break
        return reply

    def _places(self, video: Video) -> list[str]:
        """Return where the file of a video may be, the most likely place first."""
        there = {"base64": video.inline is not None, "url": bool(video.links), "endpoint": bool(video.id)}
        if self._source is not None:
            return [self._source] if there[self._source] else []
        first = [self._place] if self._place is not None else []
        return list(dict.fromkeys(kind for kind in (*first, *there) if there[kind]))

    async def _linked(self, links: tuple[str, ...], wanted: _Download, *, nested: bool = False) -> Reply[Content]:
        """Download from the first link that gives a video."""
        reply: Reply[Content] = Reply(None, error="the answer has no link to the file")
        for link in links:
            try:
                place = self._wire.link(link)
            except LinkError as error:
                reply = Reply(None, error=str(error))
                continue
            reply = await self._fetch(wanted, place.path, place, nested=nested)
            if reply.value is not None or reply.not_yet or reply.throttled:
                break
        return reply

    async def _fetch(
        self, wanted: _Download, path: str, place: Address | None = None, *, nested: bool = False
    ) -> Reply[Content]:
        """Download from an address; an answer in JSON may lead to the file, once."""
        answer = Answer(keep=False, textual=True, checksum=wanted.checksum, sink=wanted.sink, limit=MAX_INLINE)
        await self._wire.send(wanted.call, self._endpoint, path, answer, place=place)
        if answer.error is not None or answer.status != _OK:
            return answer.refusal()
        if not answer.kept:
            wrong = problem(answer.media_type, answer.start, answer.size)
            return answer.file() if wrong is None else Reply(answer.status, error=wrong)
        return await self._led(answer, wanted, nested=nested)

    async def _led(self, answer: Answer, wanted: _Download, *, nested: bool) -> Reply[Content]:
        """Download what an answer in JSON or text leads to."""
        said = answer.read(self._reader.files, "video").value
        if said is not None and said.inline is not None:
            return await self._decoded(said.inline, wanted)
        if said is not None and said.links and not nested:
            return await self._linked(said.links, wanted, nested=True)
        status, error = answer.status, "content is empty"
        if answer.size:
            state = f" in state {said.word}" if said is not None and said.word else ""
            error = f"content is {answer.media_type or 'of no type'}{state}, not a video"
        if said is not None and said.word is not None and not said.terminal:
            status = HTTPStatus.ACCEPTED  # the file is still written
        return Reply(status, error=error)

    async def _decoded(self, text: str, wanted: _Download) -> Reply[Content]:
        return await decoded(text, checksum=wanted.checksum, sink=wanted.sink)

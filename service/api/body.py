"""The bodies of creations and remixes: JSON or multipart, strict and bounded."""

from __future__ import annotations

import asyncio
import base64
import io
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import orjson
from fastapi import Request
from pydantic import Field, ValidationError
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reelbench.service.api.errors import ApiError, envelope
from reelbench.service.domain.generation import CreateVideo, Record
from reelbench.service.http_limits import Bodies
from reelbench.service.json_keys import repeated_key

MULTIPART_OVERHEAD = 1024 * 1024
"""Bytes that a body may have in addition to its reference."""
_MAX_JSON_BYTES = 1024 * 1024
"""Of a JSON body without a reference."""
_AT_ONCE = 64 * 1024
"""Bytes of JSON that are checked in the event loop."""
_MAX_JSON_ITEMS = 100_000
"""Commas in a larger JSON body, which is then one long reference: many small values would take much memory."""
_MAX_INLINE_BYTES = 8 * 1024 * 1024
"""Of a reference as a data URL; a larger one must be uploaded as a file, which does not stay in memory."""
_MAX_FIELD_BYTES = 256 * 1024
_MAX_FIELDS = 20
_LINGER = 5.0
"""Seconds for which the rest of a rejected body is read, up to twice the limit."""
_REFERENCE = "input_reference"
_IMAGE_URL = f"{_REFERENCE}[image_url]"
"""The form field for ``{"image_url": ...}``, as clients write nested values in a multipart body."""
_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)?(?:;[\w.+-]+=[\w.+-]+)*;base64,")
_ONLY_CONTENT = (
    "Only content is supported as 'input_reference': upload a file as multipart/form-data (PDF, text, PNG, JPEG, WebP, "
    'MP4), or send {"image_url": "data:image/png;base64,..."}.'
)


def _busy(bodies: Bodies) -> ApiError:
    message = f"The service holds {bodies.limit} bytes of bodies at present, which is its limit; try again later."
    return ApiError(503, "uploads_busy", message, retry_after=1)


@dataclass(frozen=True, slots=True)
class Creation:
    """A valid request; the caller closes the reference."""

    video: CreateVideo
    reference: UploadFile | None


class Remix(Record):
    """The body of a remix."""

    prompt: Annotated[str, Field(min_length=1, max_length=32_000)]


_Body = TypeVar("_Body", CreateVideo, Remix)


class BodyLimit:
    """ASGI middleware: 413 for a body above `limit` bytes, by its declared length or by the bytes received.

    Bodies of which `bodies` has no more room get 503, before a byte of theirs is kept.

    The response is sent at once. The rest of the body is then discarded for a while: closing the connection while the
    client still writes would reset it, and the client would not see the response.
    """

    def __init__(self, app: ASGIApp, limit: int, bodies: Bodies) -> None:
        self._app = app
        self._limit = limit
        self._bodies = bodies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with a `receive` that counts bytes."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        received = held = 0
        refused = False

        async def counted() -> Message:
            nonlocal received, held, refused
            message = await receive()
            if size := len(message.get("body", b"")):
                received += size
                if received > self._limit:
                    refused = True
                    raise self._error()
                if not self._bodies.take(size):
                    refused = True
                    raise _busy(self._bodies)
                held += size
            return message

        async def send_and_discard(message: Message) -> None:
            last = message["type"] == "http.response.body" and not message.get("more_body", False)
            if last and refused:
                await send({**message, "more_body": True})
                await self._discard(receive)
                message = {"type": "http.response.body", "body": b"", "more_body": False}
            await send(message)

        declared = Headers(scope=scope).get("content-length", "0")
        if declared.isdecimal() and int(declared[:20]) > self._limit:
            refused = True
            await envelope(self._error(), {"Connection": "close"})(scope, receive, send_and_discard)
            return
        try:
            await self._app(scope, counted, send_and_discard)
        finally:
            self._bodies.release(held)

    async def _discard(self, receive: Receive) -> None:
        discarded = 0
        with suppress(TimeoutError):
            async with asyncio.timeout(_LINGER):
                while discarded < 2 * self._limit:
                    message = await receive()
                    discarded += len(message.get("body", b""))
                    if not message.get("more_body", False):
                        return

    def _error(self) -> ApiError:
        return ApiError(413, "request_too_large", f"The request's body is larger than {self._limit} bytes.")


async def read(request: Request, limit: int) -> Creation:
    """Read and check the body of a creation with a reference of at most `limit` bytes; raises ApiError."""
    fields, reference = await _fields(request, min(limit, _MAX_INLINE_BYTES))
    try:
        video = _consistent(_validated(CreateVideo, fields))
        if isinstance(reference, str):
            reference = await asyncio.to_thread(_decoded, reference)
    except BaseException:
        await _close(reference, *fields.values())
        raise
    return Creation(video, reference)


async def read_remix(request: Request) -> Remix:
    """Read and check the body of a remix; raises ApiError."""
    fields, reference = await _fields(request, 0)
    try:
        if reference is not None:
            raise ApiError(400, "unknown_parameter", f"Unknown parameter: '{_REFERENCE}'.", param=_REFERENCE)
        return _validated(Remix, fields)
    finally:
        await _close(reference, *fields.values())


async def _close(*values: object) -> None:
    for value in values:
        if isinstance(value, UploadFile):
            await value.close()


async def _fields(request: Request, inline: int) -> tuple[dict[str, Any], UploadFile | str | None]:
    """Return the fields, and the reference: a file, or a data URL of at most `inline` bytes."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if media_type == "application/json":
            return _from_json(await _json_fields(request, inline))
        if media_type == "multipart/form-data":
            return await _multipart(request, inline)
    except ClientDisconnect as error:
        raise ApiError(400, "incomplete_body", "The request ended before its body was complete.") from error
    raise ApiError(
        415, "unsupported_media_type", "Content-Type must be application/json or multipart/form-data.", param=None
    )


async def _json_fields(request: Request, inline: int) -> dict[str, Any]:
    limit = max(_MAX_JSON_BYTES, inline)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise ApiError(413, "request_too_large", f"A JSON body may have {limit} bytes at most.")
    if len(body) > _MAX_JSON_BYTES and body.count(b",") > _MAX_JSON_ITEMS:
        message = f"A JSON body may have {_MAX_JSON_BYTES} bytes at most in addition to its '{_REFERENCE}'."
        raise ApiError(413, "request_too_large", message)
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ApiError(400, "invalid_json", f"The body is not valid JSON: {str(error)[:200]}.") from error
    if not isinstance(fields, dict):
        raise ApiError(400, "invalid_json", "The body must be a JSON object.")
    repeated = await asyncio.to_thread(repeated_key, body) if len(body) > _AT_ONCE else repeated_key(body)
    if repeated is not None:
        raise ApiError(400, "duplicate_parameter", f"Duplicate parameter: '{repeated[:100]}'.", param=repeated[:100])
    return fields


def _from_json(fields: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
    reference = fields.pop(_REFERENCE, None)
    if isinstance(reference, dict) and set(reference) == {"image_url"}:
        reference = reference["image_url"]
    if reference is not None and not isinstance(reference, str):
        raise ApiError(400, "unsupported_input_reference", _ONLY_CONTENT, param=_REFERENCE)
    return fields, reference


def _decoded(url: str) -> UploadFile:
    """Return the content of a data URL as a file."""
    found = _DATA_URL.match(url)
    if found is None:
        raise ApiError(400, "unsupported_input_reference", _ONLY_CONTENT, param=_REFERENCE)
    try:
        content = base64.b64decode(url[found.end() :], validate=True)
    except ValueError as error:
        message = f"The data URL of '{_REFERENCE}' is not valid base64."
        raise ApiError(400, "invalid_value", message, param=_REFERENCE) from error
    headers = Headers({"content-type": found[1] or "text/plain"})
    return UploadFile(io.BytesIO(content), size=len(content), filename=_REFERENCE, headers=headers)


class _StrictParser(MultiPartParser):
    """A strict version of Starlette's parser.

    Starlette decodes a field in the declared charset or else as Latin-1, and ignores a truncated last part: the client
    would get a video of another prompt, or without its reference.
    """

    complete = False

    def on_part_begin(self) -> None:
        self._charset = "utf-8"  # regardless of the declared charset
        super().on_part_begin()

    def on_end(self) -> None:
        self.complete = True

    def on_part_end(self) -> None:
        if self._current_part.file is None:
            try:
                self._current_part.data.decode()
            except UnicodeDecodeError as error:
                raise MultiPartException("A form field is not UTF-8.") from error
        super().on_part_end()


async def _multipart(request: Request, inline: int) -> tuple[dict[str, Any], UploadFile | str | None]:
    parser = _StrictParser(
        request.headers,
        request.stream(),
        max_files=1,
        max_fields=_MAX_FIELDS,
        max_part_size=max(_MAX_FIELD_BYTES, inline),
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise ApiError(400, "invalid_multipart", f"The multipart body is invalid: {error.message}") from error
    if not parser.complete:
        await form.close()
        raise ApiError(400, "invalid_multipart", "The multipart body ends before its closing boundary.")
    try:
        return _from_form(form)
    except BaseException:
        await form.close()
        raise


def _from_form(form: FormData) -> tuple[dict[str, Any], UploadFile | str | None]:
    fields: dict[str, Any] = {}
    for name, value in form.multi_items():
        if name in fields:
            raise ApiError(400, "duplicate_parameter", f"Duplicate parameter: '{name[:100]}'.", param=name[:100])
        fields[name] = value
    reference = fields.pop(_IMAGE_URL, None)
    if reference is None:
        reference = fields.pop(_REFERENCE, None)
    if (reference is not None and _REFERENCE in fields) or any(name.startswith(f"{_REFERENCE}[") for name in fields):
        raise ApiError(400, "unsupported_input_reference", _ONLY_CONTENT, param=_REFERENCE)
    return fields, reference


def _consistent(video: CreateVideo) -> CreateVideo:
    if (conflict := video.conflict()) is not None:
        param, message = conflict
        raise ApiError(400, "invalid_value", message, param=param)
    return video


def _validated(kind: type[_Body], fields: dict[str, Any]) -> _Body:
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        param = str(first["loc"][0])[:100]
        if first["type"] == "extra_forbidden":
            raise ApiError(400, "unknown_parameter", f"Unknown parameter: '{param}'.", param=param) from error
        if first["type"] == "missing":
            message = f"Missing required parameter: '{param}'."
            raise ApiError(400, "missing_required_parameter", message, param=param) from error
        raise ApiError(400, "invalid_value", f"Invalid '{param}': {first['msg']}.", param=param) from error

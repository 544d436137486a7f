"""The body of a creation request: JSON or multipart, strict and bounded."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import Request
from pydantic import ValidationError
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reelbench.service.api.errors import ApiError, envelope
from reelbench.service.domain.video import CreateVideo

MULTIPART_OVERHEAD = 1024 * 1024
"""Bytes that a body may have in addition to its document."""
_MAX_JSON_BYTES = 1024 * 1024
_MAX_FIELD_BYTES = 256 * 1024
_MAX_FIELDS = 20
_LINGER = 5.0
"""Seconds for which the rest of a rejected body is read, up to twice the limit."""
_DOCUMENT = "input_reference"
_ONLY_UPLOADS = (
    "Only uploaded documents are supported as 'input_reference': send multipart/form-data with a PDF or text file."
)


@dataclass(frozen=True, slots=True)
class Creation:
    """A valid request; the caller closes the document."""

    video: CreateVideo
    document: UploadFile | None


class BodyLimit:
    """ASGI middleware: 413 for a body above `limit` bytes, by its declared length or by the bytes received.

    The response is sent at once. The rest of the body is then discarded for a while: closing the connection while the
    client still writes would reset it, and the client would not see the response.
    """

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with a `receive` that counts bytes."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._limit:
                raise self._error()
            return message

        async def send_and_discard(message: Message) -> None:
            last = message["type"] == "http.response.body" and not message.get("more_body", False)
            if last and received > self._limit:
                await send({**message, "more_body": True})
                await self._discard(receive)
                message = {"type": "http.response.body", "body": b"", "more_body": False}
            await send(message)

        declared = Headers(scope=scope).get("content-length", "0")
        if declared.isdecimal() and int(declared[:20]) > self._limit:
            received = int(declared[:20])
            await envelope(self._error(), {"Connection": "close"})(scope, receive, send_and_discard)
            return
        await self._app(scope, counted, send_and_discard)

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


async def read(request: Request) -> Creation:
    """Read and check the body; raises ApiError for an invalid one."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if media_type == "application/json":
            return Creation(_validated(await _json_fields(request)), None)
        if media_type == "multipart/form-data":
            return await _multipart(request)
    except ClientDisconnect as error:
        raise ApiError(400, "incomplete_body", "The request ended before its body was complete.") from error
    raise ApiError(
        415, "unsupported_media_type", "Content-Type must be application/json or multipart/form-data.", param=None
    )


async def _json_fields(request: Request) -> dict[str, Any]:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_JSON_BYTES:
            raise ApiError(413, "request_too_large", f"A JSON body may have {_MAX_JSON_BYTES} bytes at most.")
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ApiError(400, "invalid_json", f"The body is not valid JSON: {str(error)[:200]}.") from error
    if not isinstance(fields, dict):
        raise ApiError(400, "invalid_json", "The body must be a JSON object.")
    if fields.pop(_DOCUMENT, None) is not None:
        raise ApiError(400, "unsupported_input_reference", _ONLY_UPLOADS, param=_DOCUMENT)
    return fields


class _StrictParser(MultiPartParser):
    """A strict version of Starlette's parser.

    Starlette decodes a field in the declared charset or else as Latin-1, and ignores a truncated last part: the client
    would get a video of another prompt, or without its document.
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


async def _multipart(request: Request) -> Creation:
    parser = _StrictParser(
        request.headers, request.stream(), max_files=1, max_fields=_MAX_FIELDS, max_part_size=_MAX_FIELD_BYTES
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise ApiError(400, "invalid_multipart", f"The multipart body is invalid: {error.message}") from error
    if not parser.complete:
        await form.close()
        raise ApiError(400, "invalid_multipart", "The multipart body ends before its closing boundary.")
    try:
        return _creation(form)
    except BaseException:
        await form.close()
        raise


def _creation(form: FormData) -> Creation:
    fields: dict[str, Any] = {}
    for name, value in form.multi_items():
        if name in fields:
            raise ApiError(400, "duplicate_parameter", f"Duplicate parameter: '{name[:100]}'.", param=name[:100])
        fields[name] = value
    document = fields.pop(_DOCUMENT, None)
    if isinstance(document, str) or any(name.startswith(f"{_DOCUMENT}[") for name in fields):
        raise ApiError(400, "unsupported_input_reference", _ONLY_UPLOADS, param=_DOCUMENT)
    return Creation(_validated(fields), document)


def _validated(fields: dict[str, Any]) -> CreateVideo:
    try:
        return CreateVideo.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        param = str(first["loc"][0])[:100]
        if first["type"] == "extra_forbidden":
            raise ApiError(400, "unknown_parameter", f"Unknown parameter: '{param}'.", param=param) from error
        if first["type"] == "missing":
            message = f"Missing required parameter: '{param}'."
            raise ApiError(400, "missing_required_parameter", message, param=param) from error
        raise ApiError(400, "invalid_value", f"Invalid '{param}': {first['msg']}.", param=param) from error

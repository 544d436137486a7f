"""Errors in the envelope of the OpenAI API: ``{"error": {"message", "type", "param", "code"}}``."""

from __future__ import annotations

import re
from http import HTTPStatus

import msgspec
from fastapi import Response


class Refusal(Exception):  # noqa: N818 - the answer to a bad request, not a fault of this program
    """A rejected request, answered with an error envelope; `param` names the wrong field, if any."""

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None, status: int = 400) -> None:
        super().__init__(message)
        self.param = param
        self.code = code
        self.status = status


class _Error(msgspec.Struct, frozen=True):
    message: str
    type: str
    param: str | None
    code: str | None


class _Envelope(msgspec.Struct, frozen=True):
    error: _Error


_MISSING = re.compile(r"missing required field `(?P<name>\w+)`")
_PATH = re.compile(r" - at `\$\.?(?P<path>[^`]*)`$")


def envelope(status: int, message: str, *, param: str | None = None, code: str | None = None) -> bytes:
    """Encode the error envelope for an HTTP status code."""
    return msgspec.json.encode(_Envelope(_Error(message, _type(status), param, code)))


def refused(refusal: Refusal) -> Response:
    """Build the response to a refused request."""
    body = envelope(refusal.status, str(refusal), param=refusal.param, code=refusal.code)
    return Response(body, refusal.status, media_type="application/json")


def _type(status: int) -> str:
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return "rate_limit_error"
    return "invalid_request_error" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "server_error"


def from_decoding(error: msgspec.MsgspecError | UnicodeDecodeError | RecursionError) -> Refusal:
    """Turn an error of the JSON decoder into a refusal that names the field."""
    text = str(error)
    if not isinstance(error, msgspec.ValidationError):
        return Refusal(f"The body is not valid JSON: {text}.", code="invalid_json")
    place = _PATH.search(text)
    missing = _MISSING.search(text)
    names = [place["path"] if place else "", missing["name"] if missing else ""]
    return Refusal(
        f"{text[: place.start()] if place else text}.",
        param=".".join(filter(None, names)) or None,
        code="invalid_value",
    )

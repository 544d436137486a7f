"""A minimal HTTP client for the polls and downloads of the stack."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec

from reelbench.stack.errors import StackError

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_OK = 200


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a GET, whatever its status."""

    status: int
    body: bytes

    @property
    def ok(self) -> bool:
        """True for status 200."""
        return self.status == _OK


def get(url: str, *, timeout: float) -> Answer:
    """GET a URL; `timeout` in seconds holds for the connection and for each read.

    Raises:
        StackError: there was no HTTP answer.
    """
    try:
        with _open(url, timeout) as response:
            return Answer(response.status, response.read())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise StackError(f"{url} does not answer ({_reason(error)}); check the address and that it runs.") from error


def query(prometheus_url: str, expression: str, *, at: float | None = None, timeout: float) -> list[dict[str, Any]]:
    """Evaluate PromQL at an instant (now by default) and return Prometheus' `result` array.

    Raises:
        StackError: there was no answer, or Prometheus refused the expression.
    """
    parameters = {"query": expression} | ({} if at is None else {"time": f"{at:.3f}"})
    answer = get(f"{prometheus_url}/api/v1/query?{urlencode(parameters)}", timeout=timeout)
    try:
        decoded = msgspec.json.decode(answer.body, type=_QueryAnswer)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise StackError(f"{prometheus_url} does not answer like Prometheus: {error}; check the address.") from error
    if decoded.data is None:
        raise StackError(f"Prometheus refused the query {expression!r}: {decoded.error}.")
    return decoded.data.result


@contextmanager
def stream(url: str, *, timeout: float) -> Iterator[http.client.HTTPResponse]:
    """Open a download.

    Raises:
        StackError: there was no answer, its status is not 200, or the connection broke while reading.
    """
    try:
        with _open(url, timeout) as response:
            yield response
    except urllib.error.HTTPError as error:
        with error:
            raise StackError(f"{url} answered {error.code}.") from error
    except (OSError, http.client.HTTPException) as error:
        raise StackError(f"{url} could not be fetched ({_reason(error)}).") from error


class _QueryData(msgspec.Struct):
    result: list[dict[str, Any]]


class _QueryAnswer(msgspec.Struct):
    status: str
    data: _QueryData | None = None
    error: str | None = None


def _open(url: str, timeout: float) -> Any:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"}:
        raise StackError(f"{url!r} is not an http or https URL.")
    # A proxy set for the world must not see loopback traffic.
    proxies = [urllib.request.ProxyHandler({})] if parts.hostname in _LOOPBACK else []
    return urllib.request.build_opener(*proxies).open(url, timeout=timeout)


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return getattr(reason, "strerror", None) or str(reason) or type(error).__name__

"""HTTP for the polls and the downloads of the stack."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec
import requests

from reelbench.loadgen.record.address import shown_url
from reelbench.loadgen.record.prometheus_access import prometheus_headers, refusal
from reelbench.stack.errors import StackError

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_OK = 200
_CHUNK = 1 << 18


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a GET, with any status."""

    status: int
    body: bytes
    headers: frozenset[str] = frozenset()
    """Names of its headers in lower case."""

    @property
    def ok(self) -> bool:
        """True for status 200."""
        return self.status == _OK


def get(url: str, *, timeout: float, headers: Mapping[str, str] | None = None, **parameters: str) -> Answer:
    """GET a URL; `timeout` in seconds holds for the connection and for each read.

    With headers, which may hold a token, no redirect is followed: the headers would go to another server.

    Raises:
        StackError: there was no HTTP answer.
    """
    try:
        with _session(url) as session:
            answer = session.get(url, params=parameters, timeout=timeout, headers=headers, allow_redirects=not headers)
            return Answer(answer.status_code, answer.content, frozenset(map(str.lower, answer.headers)))
    except requests.RequestException as error:
        raise StackError(
            f"{shown_url(url)} does not answer ({reason(error)}); check the address and that it runs."
        ) from error


def get_prometheus(prometheus_url: str, path: str, *, timeout: float, **parameters: str) -> Answer:
    """GET a path of Prometheus' API, with the headers that the environment has for it.

    Raises:
        StackError: there was no answer, or Prometheus refused the access.
    """
    answer = get(f"{prometheus_url}{path}", timeout=timeout, headers=prometheus_headers(), **parameters)
    if (refused := refusal(shown_url(prometheus_url), answer.status)) is not None:
        raise StackError(refused)
    return answer


def query(prometheus_url: str, expression: str, *, at: float | None = None, timeout: float) -> list[dict[str, Any]]:
    """Evaluate PromQL at an instant (now by default) and return Prometheus' `result` array.

    Raises:
        StackError: there was no answer, or Prometheus refused the expression.
    """
    when = {} if at is None else {"time": f"{at:.3f}"}
    answer = get_prometheus(prometheus_url, "/api/v1/query", timeout=timeout, query=expression, **when)
    try:
        decoded = msgspec.json.decode(answer.body, type=_QueryAnswer)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise StackError(
            f"{shown_url(prometheus_url)} does not answer like Prometheus: {error}; check the address."
        ) from error
    if decoded.data is None:
        raise StackError(f"Prometheus refused the query {expression!r}: {decoded.error}.")
    return decoded.data.result


@contextmanager
def stream(url: str, *, timeout: float) -> Iterator[Iterator[bytes]]:
    """Open a download and yield its content in pieces.

    Raises:
        StackError: there was no answer, its status is not 200, or the connection broke while reading.
    """
    try:
        with (
            _session(url) as session,
            # No transfer compression: the checksum is that of the published file.
            session.get(url, stream=True, timeout=timeout, headers={"Accept-Encoding": "identity"}) as answer,
        ):
            if answer.status_code != _OK:
                raise StackError(f"{shown_url(url)} answered {answer.status_code}.")
            yield answer.iter_content(_CHUNK)
    except requests.RequestException as error:
        raise StackError(f"{shown_url(url)} could not be fetched ({reason(error)}).") from error


class _QueryData(msgspec.Struct):
    result: list[dict[str, Any]]


class _QueryAnswer(msgspec.Struct):
    status: str
    data: _QueryData | None = None
    error: str | None = None


def _session(url: str) -> requests.Session:
    session = requests.Session()
    session.trust_env = may_use_proxy(url)
    return session


def may_use_proxy(url: str) -> bool:
    """Return False for loopback, whose traffic a proxy that is set for the internet must not see."""
    return urlsplit(url).hostname not in _LOOPBACK


def reason(error: BaseException) -> str:
    """Return the first cause in the chain of errors, such as "Connection refused"."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return getattr(error, "strerror", None) or str(error) or type(error).__name__

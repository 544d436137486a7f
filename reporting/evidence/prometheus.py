"""Instant queries to the HTTP API of Prometheus (2.42 and later)."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Literal, TypeVar

import msgspec

from reelbench.loadgen.record.address import shown_url, with_password
from reelbench.loadgen.record.prometheus_access import prometheus_headers, refusal

if TYPE_CHECKING:
    import requests

WORKERS = 4
"""Queries in flight: enough to hide the round trip, few enough for a Prometheus on a laptop."""

_WHOLE = {"dedup": "true", "partial_response": "false"}
"""Thanos leaves out a store that does not answer, and only warns of it, unless it is asked for whole answers: a number
from a part of the series looks like any other. Other servers ignore both."""


class QueryError(Exception):
    """Prometheus did not answer a query; the message is one sentence with the cure."""


class Value(msgspec.Struct, frozen=True):
    """A number that Prometheus answered; it may be infinite, never NaN."""

    value: float


class NoData(msgspec.Struct, frozen=True):
    """Prometheus answered without data, which is neither zero nor a pass."""

    reason: str


class NativeHistogram(msgspec.Struct, frozen=True):
    """A native histogram of an answer: (boundary rule, lower, upper, count) for each bucket."""

    count: str
    sum: str
    buckets: tuple[tuple[int, str, str, str], ...] = ()


class Sample(msgspec.Struct, frozen=True):
    """One element of an instant vector."""

    metric: dict[str, str]
    value: tuple[float, str] | None = None
    histogram: tuple[float, NativeHistogram] | None = None

    def number(self) -> Value | NoData:
        """The sample as a number; NaN, the answer of an empty histogram, is no data."""
        if self.value is None:
            return NoData("the answer is a histogram, not a number")
        number = float(self.value[1])
        return NoData("NaN: nothing was observed") if math.isnan(number) else Value(number)


Vector = tuple[Sample, ...]


class Line(msgspec.Struct, frozen=True):
    """One series of a range vector: its stored samples, as (Unix time in seconds, value as text)."""

    metric: dict[str, str]
    values: tuple[tuple[float, str], ...] = ()


Matrix = tuple[Line, ...]


class _Vector(msgspec.Struct):
    result: Vector
    type: Literal["vector"] = msgspec.field(name="resultType")


class _Matrix(msgspec.Struct):
    result: Matrix
    type: Literal["matrix"] = msgspec.field(name="resultType")


R = TypeVar("R", _Vector, _Matrix)


class _Answer(msgspec.Struct):
    status: str
    data: msgspec.Raw = msgspec.Raw(b"null")
    error: str = ""


# Made once, here: msgspec 0.22 crashes when several threads are the first to decode a type at the same time.
_ANSWER = msgspec.json.Decoder(_Answer)
_VECTOR = msgspec.json.Decoder(_Vector)
_MATRIX = msgspec.json.Decoder(_Matrix)


class Prometheus:
    """A Prometheus at a base URL. The session is an argument, so that a test can stand in for the network."""

    def __init__(self, url: str, session: requests.Session, *, timeout: float = 10.0, ahead: float = 0.0) -> None:
        """Prepare the client.

        Args:
            url: base URL, with its password.
            session: connections.
            timeout: seconds for one answer.
            ahead: seconds by which its clock is ahead of that of the records. Instants of questions and times of
                samples are on the clock of the records; the text of a query is not changed.
        """
        self.ahead = ahead
        self._url = url.rstrip("/")
        self.url = shown_url(self._url)
        self._session = session
        self._timeout = timeout

    def vector(self, query: str, instant: float) -> Vector:
        """Evaluate one instant query at a Unix time in seconds.

        Raises:
            QueryError: no answer in time, an error in the query, or an answer that is not an instant vector.
        """
        return self._ask(query, instant, _VECTOR, "instant vector").result

    def matrix(self, query: str, instant: float) -> Matrix:
        """Return the stored samples of a range selector that ends at an instant, without interpolation.

        Raises:
            QueryError: no answer in time, an error in the query, or an answer that is not a range vector.
        """
        lines = self._ask(query, instant, _MATRIX, "range vector").result
        return tuple(_earlier(line, self.ahead) for line in lines) if self.ahead else lines

    def _ask(self, query: str, instant: float, decoder: msgspec.json.Decoder[R], what: str) -> R:
        import requests  # noqa: PLC0415 - a fifth of a second that a report from kept measurements does not need

        asked = {"query": query, "time": f"{instant + self.ahead:.3f}", "timeout": f"{self._timeout:g}s"} | _WHOLE
        try:
            # POST, since a query may be longer than a URL; one second more than Prometheus itself is given
            response = self._session.post(
                f"{self._url}/api/v1/query", data=asked, timeout=self._timeout + 1, allow_redirects=False
            )
            body = response.content
        except requests.Timeout as error:
            raise QueryError(f"Prometheus at {self.url} gave no answer in {self._timeout:g} s to: {query}") from error
        except requests.RequestException as error:
            msg = f"Prometheus at {self.url} cannot be reached ({type(error).__name__}); start it or give another URL"
            raise QueryError(msg) from error
        if (refused := refusal(self.url, response.status_code)) is not None:
            raise QueryError(refused)
        try:
            answer = _ANSWER.decode(body)
            if answer.status != "success":
                raise QueryError(f"Prometheus refused a query ({answer.error}): {query}")
            return decoder.decode(answer.data)
        except msgspec.MsgspecError as error:
            msg = f"{self.url} answered HTTP {response.status_code} and no {what} ({error}) to: {query}"
            raise QueryError(msg) from error

    def vectors(self, queries: Sequence[str], instant: float) -> dict[str, Vector]:
        """Evaluate many queries, each text once, a few at a time; the answers have the order of the queries."""
        distinct = list(dict.fromkeys(queries))
        with ThreadPoolExecutor(WORKERS) as pool:
            return dict(zip(distinct, pool.map(lambda query: self.vector(query, instant), distinct), strict=True))

    def matrices(self, asked: Sequence[tuple[str, float]]) -> list[Matrix]:
        """Read the samples of many range selectors, each with its instant, a few at a time."""
        with ThreadPoolExecutor(WORKERS) as pool:
            return list(pool.map(lambda question: self.matrix(*question), asked))

    def close(self) -> None:
        """Close the connections."""
        self._session.close()


def _earlier(line: Line, seconds: float) -> Line:
    """Return a line whose samples are earlier by some seconds."""
    values = tuple((at - seconds, value) for at, value in line.values)
    return msgspec.structs.replace(line, values=values)


def connect(url: str, *, ahead: float = 0.0, environment: Mapping[str, str] = os.environ) -> Prometheus:
    """Return a client for the Prometheus at this base URL, whose clock is some seconds ahead.

    The environment has the headers of every query, and the password of an address that was recorded without it.
    """
    import requests  # noqa: PLC0415 - only queries need it
    from requests.adapters import HTTPAdapter  # noqa: PLC0415

    session = requests.Session()
    session.trust_env = False  # a proxy set in the environment must not catch the queries to this machine
    session.mount("http://", HTTPAdapter(pool_maxsize=WORKERS))
    session.mount("https://", HTTPAdapter(pool_maxsize=WORKERS))
    session.headers.update(prometheus_headers(environment))
    return Prometheus(with_password(url, environment), session, ahead=ahead)


def single(vector: Vector) -> Value | NoData:
    """Return the number of a vector of one element; no element means no data.

    Raises:
        QueryError: the vector has several elements, so the query lacks an aggregation.
    """
    if not vector:
        return NoData("no series matched")
    if len(vector) > 1:
        raise QueryError(f"one value was expected and {len(vector)} came; the query needs a sum or another aggregation")
    return vector[0].number()

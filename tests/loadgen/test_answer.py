"""An answer that arrives whole is received as one that arrives in parts."""

from __future__ import annotations

import itertools

import pytest

from reelbench.loadgen.http.transport import EnoughError
from reelbench.loadgen.target.answer import Answer

HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


class Kept:
    """A sink that keeps the bytes of a file."""

    def __init__(self) -> None:
        self.said: list[bytes] = []

    def begin(self) -> None:
        self.said.append(b"begin")

    def write(self, chunk: bytes) -> None:
        self.said.append(chunk)


def received(media_type: str, body: bytes, *, whole: bool, **how: bool) -> tuple[object, ...]:
    """Return what an answer has after two exchanges, as a request may be sent again."""
    with_sink = how.pop("sink")
    sink = Kept() if with_sink else None
    answer = Answer(**how, limit=40, sink=sink)  # type: ignore[arg-type] # each of `how` is a bool
    error = None
    for _ in range(2):
        try:
            if whole:
                answer.whole(media_type, HEAD + body, len(HEAD))
            else:
                answer.head(200, media_type, {})
                if body:
                    answer.data(body)
        except EnoughError as enough:
            error = str(enough)
    answer.status = answer.seen
    seen = (answer.seen, answer.media_type, dict(answer.headers), answer.size, answer.start, answer.kept, answer.body)
    return *seen, answer.file(), error, sink.said if sink is not None else None


@pytest.mark.parametrize("body", [b"", b'{"id":1}', b"x" * 39, b"x" * 41])
@pytest.mark.parametrize("media_type", ["application/json", "video/mp4"])
def test_an_answer_is_the_same_whole_and_in_parts(media_type: str, body: bytes) -> None:
    for keep, textual, checksum, sink in itertools.product((True, False), repeat=4):
        how = {"keep": keep, "textual": textual, "checksum": checksum, "sink": sink}
        assert received(media_type, body, whole=True, **how) == received(media_type, body, whole=False, **how)


def test_an_answer_with_headers_is_followed_by_one_without() -> None:
    answer = Answer()
    answer.head(503, "text/plain", {"retry-after": "1"})
    answer.whole("application/json", HEAD + b"{}", len(HEAD))
    assert (answer.seen, answer.media_type, answer.headers, answer.body) == (200, "application/json", {}, b"{}")

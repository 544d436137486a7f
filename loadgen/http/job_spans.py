"""The spans of a job without objects of OpenTelemetry: notes while the job runs, and their text when they are exported.

The spans are those of `SpanTrace`, byte for byte. The thread of the load only draws ids and takes times. The thread of
the exporter fills the rest into templates, which are made once for each kind of request and each case. The spans of a
job leave the process together, when the job ends.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from json.encoder import encode_basestring_ascii as quote
from random import getrandbits
from typing import Final

from opentelemetry.trace import SpanKind, StatusCode

from reelbench.loadgen.http.trace_headers import ROOT, IdTrace, answer_attributes, has_failed
from reelbench.telemetry.span_text import (
    HAS_IS_REMOTE,
    RenderedSpans,
    SpanSink,
    attribute_text,
    parent_text,
    quoted,
    span_text,
    status_text,
)

_ERROR: Final = StatusCode.ERROR.value

Place = tuple[str, str, str, bool]
"""What the jobs of a case have in common: run, scenario, case, and whether they are warm-up."""


class JobSpans(IdTrace, RenderedSpans):
    """Implements `JobTrace`; its spans go to a sink."""

    __slots__ = (
        "_ended",
        "_error",
        "_index",
        "_outcome",
        "_place",
        "_requests",
        "_sink",
        "_started",
        "_video_id",
        "_well",
        "instrumentation_scope",
        "resource",
    )

    def __init__(self, sink: SpanSink, place: Place, index: int, bits: Callable[[int], int] = getrandbits) -> None:
        """Begin the root span.

        Args:
            sink: receives the spans when the job ends.
            place: of the job.
            index: of the job in its case.
            bits: draws a number of as many random bits.
        """
        super().__init__(bits)
        self._sink, self._place, self._index = sink, place, index
        self._requests: list[_Request] = []
        self._started = sink.now()

    def request(self, method: str, route: str, origin: str, path: str) -> tuple[str, _Request]:
        """Implement `JobTrace.request`."""
        span_id = f"{self._bits(64) or 1:016x}"
        span = _Request(span_id, method, route, origin + path.partition("?")[0], self._sink.now)
        self._requests.append(span)
        return f"00-{self.trace_id}-{span_id}-03", span

    def end(self, outcome: str, video_id: str | None, error: str | None, *, well: bool) -> None:
        """Implement `JobTrace.end`."""
        self._outcome, self._video_id, self._error, self._well = outcome, video_id, error, well
        self.resource, self.instrumentation_scope, add, now = self._sink
        self._ended = now()
        add(self)

    def __len__(self) -> int:
        """Implement `RenderedSpans`."""
        return len(self._requests) + 1

    def texts(self) -> list[str]:
        """Implement `RenderedSpans`."""
        trace_id, root = self.trace_id, self._root
        texts = []
        for one in self._requests:
            if not one.ended:
                continue
            error = one.error
            further, failed = _answer(one.status, error is None)
            filled = trace_id, one.span_id, root, one.started, one.ended, quote(one.url), further
            status = status_text(_ERROR, error) if failed else ""
            texts.append(_request_template(one.method, one.route) % (*filled, status))
        video_id, status = self._video_id, "" if self._well else status_text(_ERROR, self._error)
        template = _job_template(self._place, self._outcome, video_id is not None)
        video = () if video_id is None else (quote(video_id),)
        texts.append(template % (trace_id, root, self._started, self._ended, self._index, *video, status))
        return texts


class _Request:
    """Implements `RequestSpan`."""

    __slots__ = ("_now", "ended", "error", "method", "route", "span_id", "started", "status", "url")

    def __init__(self, span_id: str, method: str, route: str, url: str, now: Callable[[], int]) -> None:
        self.span_id = span_id
        self.method = method
        self.route = route
        self.url = url
        self.ended = 0
        self._now = now
        self.started = now()

    def end(self, status: int | None, error: str | None, /) -> None:
        """Implement `RequestSpan.end`."""
        self.status = status
        self.error = error
        self.ended = self._now()


@lru_cache(256)
def _job_template(place: Place, outcome: str, has_video: bool) -> str:  # noqa: FBT001
    """Return the text of a root span; to fill in: ids, times, index, id of the video if it has one, status."""
    run_id, scenario, case, warmup = place
    known = [attribute_text("run_id", run_id), attribute_text("scenario", scenario), attribute_text("case", case)]
    then = [attribute_text("loadgen.job.warmup", warmup), attribute_text("loadgen.job.outcome", outcome)]
    index = attribute_text("loadgen.job.index", 0).replace("0", "%s")
    video = [attribute_text("video.id", "").replace('""', "%s")] if has_video else []
    attributes = ",".join([*map(_literal, known), index, *map(_literal, then), *video])
    return span_text("%s", "%s", "", HAS_IS_REMOTE, SpanKind.INTERNAL, quoted(ROOT), "%s", "%s", attributes, "%s")


@lru_cache(256)
def _request_template(method: str, route: str) -> str:
    """Return the text of the span of a request; to fill in: ids, times, URL, further attributes, status."""
    name, method, route = (
        _literal(text)
        for text in (
            quoted(f"{method} {route}"),
            attribute_text("http.request.method", method),
            attribute_text("url.template", route),
        )
    )
    url = attribute_text("url.full", "").replace('""', "%s")
    attributes = f"{method},{url},{route}%s"
    return span_text("%s", "%s", parent_text("%s"), HAS_IS_REMOTE, SpanKind.CLIENT, name, "%s", "%s", attributes, "%s")


@lru_cache(1024)
def _answer(status: int | None, whole: bool) -> tuple[str, bool]:  # noqa: FBT001 - the cache is faster so
    """Return further attributes of the span of a request that has an error unless `whole`, and whether it failed."""
    failed = not whole or has_failed(status, None)
    return "".join([f",{attribute_text(*one)}" for one in answer_attributes(status, failed=failed).items()]), failed


def _literal(text: str) -> str:
    """Return a text for a template, with its percent signs escaped."""
    return text.replace("%", "%%")

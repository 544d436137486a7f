"""Where the response time of a job goes: its critical path by part of the service, and the means of a level of load."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from statistics import fmean

import msgspec

from reelbench.loadgen.record.jobs import JobRecord
from reelbench.reporting.analysis.critical_path import critical_path
from reelbench.reporting.evidence.traces import TraceSpan

STAGES = {
    "parse": "Document parsing",
    "script": "LLM script",
    "speech": "TTS speech",
    "visual": "Visuals",
    "compose": "Composition",
}
"""Title of each stage, by the service's name of the stage."""
STAGE_SPAN = "video.job.stage "
API = "/v1/videos"
QUEUE = "Queue"
CLIENT = "Client and polling"
SUBMIT = "Submit"
BETWEEN = "Between stages"
REQUESTS = "Other requests"
PARTS = (SUBMIT, QUEUE, *STAGES.values(), BETWEEN, REQUESTS, CLIENT)
"""All parts, in the order of a job."""
AROUND = (SUBMIT, REQUESTS, CLIENT)
"""Parts that are neither queue nor work on the job."""


class Share(msgspec.Struct, frozen=True):
    """Seconds of the critical path in one part of a job."""

    own: float = 0.0
    """In the part's own code, and between the attempts at a call."""
    call: float = 0.0
    """In the service's part of a provider call: connection, network and event loop."""
    provider: float = 0.0
    """In the provider itself."""

    @property
    def seconds(self) -> float:
        """Seconds in total."""
        return self.own + self.call + self.provider


class Breakdown(msgspec.Struct, frozen=True):
    """The mean critical path of the traces of one level; seconds."""

    n: int
    """Traces that were found."""
    asked: int
    """Traces that were looked for."""
    completed: int
    """Completed measured jobs of the level."""
    response: float
    """Mean response time of the jobs with a trace: the sum of all parts."""
    parts: Mapping[str, Share]

    def seconds(self, *parts: str) -> float:
        """Mean seconds in some of the parts."""
        return sum(self.parts[part].seconds for part in parts if part in self.parts)

    @property
    def work(self) -> float:
        """Mean seconds in which the service worked on the job."""
        return self.response - self.seconds(QUEUE, *AROUND)


def breakdown(
    jobs: Sequence[JobRecord], traces: Mapping[str, tuple[TraceSpan, ...]], completed: int
) -> Breakdown | None:
    """Return the means over the jobs with a trace; None without any."""
    paths = [shares(job, spans) for job in jobs if (spans := traces.get(job.trace_id))]
    if not paths:
        return None
    means = {
        part: Share(
            *(
                fmean(getattr(path[part], kind) if part in path else 0.0 for path in paths)
                for kind in ("own", "call", "provider")
            )
        )
        for part in PARTS
        if any(part in path for path in paths)
    }
    return Breakdown(
        n=len(paths),
        asked=len(jobs),
        completed=completed,
        response=fmean(job.done - job.due for job in jobs if job.trace_id in traces),
        parts=means,
    )


def shares(job: JobRecord, spans: Sequence[TraceSpan]) -> dict[str, Share]:
    """Return the critical path of a job from its due time to its end, by part."""
    known = {span.span_id: span for span in spans}
    places: dict[str, tuple[str, int]] = {}
    found: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    for segment in critical_path(spans, job.due, job.done):
        span_id = segment.span.span_id if segment.span else ""
        place = places.get(span_id)
        if place is None:  # a span that waits for others has a segment between each two of them
            place = places[span_id] = _place(segment.span, known)
        found[place[0]][place[1]] += segment.ended - segment.started
    return {part: Share(*seconds) for part, seconds in found.items()}


def _place(span: TraceSpan | None, known: Mapping[str, TraceSpan]) -> tuple[str, int]:
    """Return the part of a span, by its nearest ancestor that names one, and the kind: 0 own, 1 call, 2 provider."""
    first = span
    passed: set[str] = set()  # a damaged trace can have a cycle
    while span is not None and span.span_id not in passed:
        passed.add(span.span_id)
        if part := _part(span.name):
            inside = first is not None and first is not span and part in STAGES.values()
            return part, (0 if not inside else 1 if first is not None and first.service == span.service else 2)
        span = known.get(span.parent_id)
    return CLIENT, 0


@lru_cache(maxsize=256)  # a run has few names of spans and many spans
def _part(name: str) -> str | None:
    if name.startswith(STAGE_SPAN):
        return STAGES.get(name.removeprefix(STAGE_SPAN), BETWEEN)
    if name == "video.job.queue":
        return QUEUE
    if name == "video.job":
        return BETWEEN
    method, _, path = name.partition(" ")
    if path.startswith(API):
        return SUBMIT if method == "POST" else REQUESTS
    return None

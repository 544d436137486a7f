"""The critical path of a trace: which span the end was waiting for, at every moment of a job.

The walk is the usual one of CRISP (Zhang et al., "CRISP: Critical Path Analysis of Large-Scale Microservice
Architectures", USENIX ATC 2022), as Jaeger has it, too: from the end backwards, the path is in the child that finished
last, then in the one that finished last before that child began; between them it is in the parent itself. Children that
ran concurrently with the chosen one are off the path.

Two cases need a rule of their own:

- A span can outlive its parent in the same process: the parent began the work and did not wait for it. Then the nearest
  ancestor that ends after it did the waiting, and before its start the path is in the span that began it.
- A child in another process is cut off to its parent: what sticks out is the difference of two clocks.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Mapping

import msgspec

from reelbench.reporting.evidence.traces import TraceSpan

_TOP = ""
"""The time of the job outside of any span."""


class Segment(msgspec.Struct, frozen=True, gc=False):
    """A stretch of the path that is spent in one span itself; instants are Unix time in seconds."""

    started: float
    ended: float
    span: TraceSpan | None
    """None: outside of any span."""

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.ended - self.started


def critical_path(spans: Collection[TraceSpan], started: float, ended: float) -> tuple[Segment, ...]:
    """Return the path from `started` to `ended` in order of time; its segments have neither gap nor overlap."""
    tree = _Tree(spans)
    known, children = tree.spans, tree.children
    found: list[Segment] = []
    visits = [_Visit(tree, _TOP, started, ended)]
    while visits:
        visit = visits[-1]
        step = visit.step()
        stop = visit.lower if step is None else step[2]
        if stop < visit.at:
            found.append(Segment(stop, visit.at, known.get(visit.span_id)))
        if step is None:
            visits.pop()
            continue
        child, lower, upper = step
        visit.at = lower
        if child in children:
            visits.append(_Visit(tree, child, lower, upper))
        elif lower < upper:
            found.append(Segment(lower, upper, known[child]))
    found.reverse()
    return tuple(found)


def seconds_in_spans(spans: Collection[TraceSpan], started: float, ended: float) -> dict[str, float]:
    """Return the seconds of the path in each span itself, by span id."""
    found: dict[str, float] = defaultdict(float)
    for segment in critical_path(spans, started, ended):
        if segment.span is not None:
            found[segment.span.span_id] += segment.seconds
    return found


class _Tree:
    """Which span waited for which. A span whose parent was lost belongs to the root; spans in a cycle are left out."""

    __slots__ = ("begun_in", "children", "spans")

    def __init__(self, spans: Collection[TraceSpan]) -> None:
        self.spans: Mapping[str, TraceSpan] = {span.span_id: span for span in spans}
        self.children: dict[str, list[TraceSpan]] = {}
        self.begun_in: dict[str, str] = {}
        """Child of the waiting span in which a span began that outlived its parent."""
        known = self.spans
        first = min((span for span in spans if not span.parent_id.strip("0")), default=None)
        root = first.span_id if first else _TOP
        below: dict[str, list[TraceSpan]] = {}
        for span in spans:
            parent = _TOP if span.span_id == root else span.parent_id if span.parent_id in known else root
            if parent in below:
                below[parent].append(span)
            else:
                below[parent] = [span]
        hosts: dict[str, str] = {}
        waiting = [_TOP] if _TOP in below else []
        while waiting:
            parent = waiting.pop()
            end = known[parent].ended if parent != _TOP else math.inf
            for span in below[parent]:
                span_id = span.span_id
                host = hosts[span_id] = parent if span.ended <= end else self._host(span, parent, hosts)
                if host in self.children:
                    self.children[host].append(span)
                else:
                    self.children[host] = [span]
                if span_id in below:
                    waiting.append(span_id)

    def _host(self, span: TraceSpan, parent: str, hosts: Mapping[str, str]) -> str:
        """Return the span that waited for this one, which ends after its parent."""
        host = parent
        if self.spans[host].service != span.service:
            return host
        while hosts[host] != _TOP and self.spans[host].ended < span.ended:
            self.begun_in[span.span_id] = host
            host = hosts[host]
        return host


class _Visit:
    """The walk within one span, between two instants."""

    __slots__ = ("_begun_in", "_cause", "_left", "at", "lower", "span_id")

    def __init__(self, tree: _Tree, span_id: str, lower: float, upper: float) -> None:
        self.span_id = span_id
        self.lower = lower
        self.at = upper
        self._begun_in = tree.begun_in
        # The last to finish is the last of the list; of those that are cut off at the same instant, the longest.
        self._left: list[tuple[float, float, str]] = []
        for child in tree.children.get(span_id, ()):
            ended, started = min(child.ended, upper), max(child.started, lower)
            if ended > started:
                self._left.append((ended, -started, child.span_id))
        self._left.sort()
        self._cause: str | None = None

    def step(self) -> tuple[str, float, float] | None:
        """Return the next child on the path, with the instants of entering and leaving it; None without one."""
        chosen = self._next()
        if chosen is None:
            return None
        ended, started, span_id = chosen
        self._cause = self._begun_in.get(span_id) if self._begun_in else None
        return span_id, -started, min(self.at, ended)

    def _next(self) -> tuple[float, float, str] | None:
        """Return the next child: the one that began the last, else the last to finish before the instant."""
        if self._cause is not None:
            for index, (_, started, span_id) in enumerate(self._left):
                if span_id == self._cause and -started < self.at:
                    return self._left.pop(index)
        while self._left:
            child = self._left.pop()
            if child[0] <= self.at:  # else it ran concurrently with one on the path
                return child
        return None

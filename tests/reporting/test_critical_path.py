from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from reelbench.reporting.analysis.critical_path import critical_path, seconds_in_spans
from reelbench.reporting.evidence.traces import TraceSpan
from tests.reporting.made_traces import spans


def path(trace: Sequence[TraceSpan], started: float, ended: float) -> list[tuple[float, float, str]]:
    return [(s.started, s.ended, s.span.span_id if s.span else "-") for s in critical_path(trace, started, ended)]


def test_the_path_follows_the_last_finished_child() -> None:
    trace = spans("""
        root -    0 100 a job
        one  root 10 40 a first
        slow root 50 90 a slow
        fast root 50 70 a fast
        deep slow 55 60 b deep
    """)
    assert path(trace, 0, 100) == [
        (0, 10, "root"),
        (10, 40, "one"),
        (40, 50, "root"),
        (50, 55, "slow"),
        (55, 60, "deep"),
        (60, 90, "slow"),
        (90, 100, "root"),
    ]


def test_a_concurrent_child_is_off_the_path() -> None:
    trace = spans("""
        root -    0 100 a job
        long root 10 95 a chosen
        side root 5  50 a parallel
        early root 1 8  a before
    """)
    assert path(trace, 0, 100) == [
        (0, 1, "root"), (1, 8, "early"), (8, 10, "root"), (10, 95, "long"), (95, 100, "root"),
    ]  # fmt: skip


def test_work_that_outlives_its_parent_is_attributed_to_the_ancestor_that_waits_for_it() -> None:
    trace = spans("""
        root   -      0  100 client job
        call   root   1  20  client POST
        server call   3  19  service POST
        work   server 10 90  service video.job
        stage  work   30 80  service stage
        get    root   92 99  client GET
    """)
    assert path(trace, 0, 100) == [
        (0, 1, "root"),
        (1, 3, "call"),
        (3, 10, "server"),
        (10, 30, "work"),
        (30, 80, "stage"),
        (80, 90, "work"),
        (90, 92, "root"),
        (92, 99, "get"),
        (99, 100, "root"),
    ]


def test_nested_background_work_is_on_the_path() -> None:
    trace = spans("""
        root   -      0  100 s job
        call   root   1  20  s POST
        first  call   10 50  s first
        second first  40 90  s second
    """)
    assert path(trace, 0, 100) == [
        (0, 1, "root"), (1, 10, "call"), (10, 40, "first"), (40, 90, "second"), (90, 100, "root"),
    ]  # fmt: skip


def test_clock_skew_is_cut_to_the_parent_span() -> None:
    trace = spans("""
        root   -    0  100 client job
        late   root 80 95  client call
        behind late 85 250 server fast clock
        early  root 10 60  client call
        before early 4 30  server slow clock
        gone   early 500 600 server far off
    """)
    assert path(trace, 0, 100) == [
        (0, 10, "root"),
        (10, 30, "before"),
        (30, 60, "early"),
        (60, 80, "root"),
        (80, 85, "late"),
        (85, 95, "behind"),
        (95, 100, "root"),
    ]


def test_the_path_covers_the_response_time_only() -> None:
    trace = spans("""
        root   -    2  100 a job
        get    root 70 80  a GET
        delete root 85 99  a DELETE
    """)
    assert path(trace, 0, 80) == [(0, 2, "-"), (2, 70, "root"), (70, 80, "get")]
    assert path(trace, 0, 90)[-1] == (85, 90, "delete")


def test_orphan_spans_attach_to_the_root_and_cycles_are_dropped() -> None:
    trace = spans("""
        root -    0  100 a job
        lost gone 20 30  a lost
        this that 40 50  a circle
        that this 40 50  a circle
    """)
    assert path(trace, 0, 100) == [(0, 20, "root"), (20, 30, "lost"), (30, 100, "root")]
    assert path((), 3, 5) == [(3, 5, "-")]


def test_seconds_in_spans_sums_the_segments() -> None:
    trace = spans("""
        root -    1 100 a job
        in   root 20 30 a in
    """)
    assert seconds_in_spans(trace, 0, 100) == {"root": 89, "in": 10}


@st.composite
def traces(draw: st.DrawFn, *, nested: bool = False) -> tuple[TraceSpan, ...]:
    """Trees of spans in three processes; unless `nested`, children overlap, outlive parents and have clock skew."""
    instants = st.integers(-30, 130)
    found = [TraceSpan(0.0, 100.0, "a", "job", "s0", "")]
    for number in range(1, draw(st.integers(1, 25))):
        parent = found[draw(st.integers(0, number - 1))]
        low, high = sorted((draw(instants), draw(instants)))
        if nested:
            low, high = (int(min(max(at, parent.started), parent.ended)) for at in (low, high))
        found.append(
            TraceSpan(float(low), float(high), draw(st.sampled_from("abc")), "n", f"s{number}", parent.span_id)
        )
    return tuple(draw(st.permutations(found)))


@given(trace=traces(), started=st.integers(-20, 40), length=st.integers(1, 100))
def test_the_segments_fill_the_response_time_exactly(trace: tuple[TraceSpan, ...], started: int, length: int) -> None:
    found = critical_path(trace, started, started + length)
    assert found[0].started == started
    assert found[-1].ended == started + length
    assert all(one.ended == other.started for one, other in pairwise(found))
    assert all(segment.seconds > 0 for segment in found)
    assert sum(Fraction(segment.seconds) for segment in found) == length
    for segment in found:
        if segment.span is not None:
            assert segment.span.started <= segment.started < segment.ended <= segment.span.ended


@given(trace=traces(nested=True))
def test_nested_traces_have_jaegers_path(trace: tuple[TraceSpan, ...]) -> None:
    """Compared with an independent implementation of Jaeger's recursion."""

    def walk(span: TraceSpan, at: float) -> list[tuple[float, float, str]]:
        done = [c for c in trace if c.parent_id == span.span_id and span.started <= c.started < c.ended <= at]
        if not done:
            return [(span.started, at, span.span_id)] if span.started < at else []
        last = max(done, key=lambda c: (c.ended, -c.started, c.span_id))
        own = [(last.ended, at, span.span_id)] if last.ended < at else []
        return own + walk(last, last.ended) + walk(span, last.started)

    root = next(span for span in trace if not span.parent_id)
    assert path(trace, 0, 100) == list(reversed(walk(root, 100.0)))


def test_a_very_deep_trace_needs_no_recursion() -> None:
    depth = 3_000
    trace = [TraceSpan(0.0, 10.0, "a", "n", f"s{n}", f"s{n - 1}" if n else "") for n in range(depth)]
    assert path(trace, 0, 10) == [(0, 10, f"s{depth - 1}")]

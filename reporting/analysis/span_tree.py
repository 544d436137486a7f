"""A trace as lines of text: the tree of its spans with their times."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from reelbench.reporting.evidence.traces import TraceSpan

LINES = 45
"""A job of five scenes has about 40 spans."""
_NAME = 48
_ERROR = 100


def span_tree(spans: Sequence[TraceSpan], started: float, path: Mapping[str, float], *, most: int = LINES) -> str:
    """Return a line per span: name, service, start, length and time on the critical path (ms), attempt and error.

    Args:
        spans: The spans of one trace, by start.
        started: The instant that the starts are counted from, in Unix seconds.
        path: Seconds that the critical path is in a span itself, by span id.
        most: Lines of spans; how many more there are is said in one more line.
    """
    shown = _chosen(spans, path, most)
    lines = [f"{'span':<{_NAME}}  {'service':<10} {'start ms':>10} {'length ms':>10} {'path ms':>8}  status"]
    lines += [
        _line(span, depth, started, path.get(span.span_id, 0.0)) for span, depth in tree(spans) if span.span_id in shown
    ]
    if rest := len(spans) - len(shown):
        lines.append(f"... and {rest} more spans: successful ones off the critical path, then the deepest")
    return "\n".join(lines)


def tree(spans: Sequence[TraceSpan]) -> list[tuple[TraceSpan, int]]:
    """Return spans with their depth, parents before children; a span whose parent was lost is at the top level."""
    known = {span.span_id for span in spans}
    below: dict[str, list[TraceSpan]] = defaultdict(list)
    for span in spans:
        below[span.parent_id if span.parent_id in known else ""].append(span)
    found = []
    waiting = [(span, 0) for span in reversed(below[""])]
    while waiting:
        span, depth = waiting.pop()
        found.append((span, depth))
        waiting += [(child, depth + 1) for child in reversed(below.get(span.span_id, ()))]
    return found


def _chosen(spans: Sequence[TraceSpan], path: Mapping[str, float], most: int) -> set[str]:
    """Return the ids of the spans to show: on the path or failed first, then those nearest to the root."""
    ranked = sorted(
        (not (path.get(span.span_id) or span.error), depth, number, span.span_id)
        for number, (span, depth) in enumerate(tree(spans))
    )
    return {span_id for *_, span_id in ranked[:most]}


def _line(span: TraceSpan, depth: int, started: float, on_path: float) -> str:
    scene = f" (scene {span.scene})" if span.scene else ""
    name = _cut("  " * depth + _one_line(span.name) + scene, _NAME)
    times = f"{(span.started - started) * 1000:>10.1f} {(span.ended - span.started) * 1000:>10.1f}"
    critical = f"{on_path * 1000:.1f}" if on_path else ""
    attempt = f"attempt {span.attempt}, " if span.attempt > 1 else ""
    status = f"error: {_cut(_one_line(span.error), _ERROR)}" if span.error else "ok"
    return f"{name:<{_NAME}}  {_cut(_one_line(span.service), 10):<10} {times} {critical:>8}  {attempt}{status}"


def _one_line(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 3]}..."

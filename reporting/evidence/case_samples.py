"""The samples of one source of the server's metrics around and through one case, as differences and gauges."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise

import msgspec

from reelbench.reporting.catalogue.server_metrics import MetricSet, ServerMetric, ServerRole
from reelbench.reporting.evidence.prometheus import Line, Matrix
from reelbench.reporting.evidence.queries import rounded
from reelbench.reporting.evidence.server_evidence import ServerCount, ServerGauge, ServerPlace

GREATEST = 1e100
"""A value from which on a page is not believed: sums of such values overflow."""
KEPT = 2_000
"""Most samples of a gauge that are kept for a case."""
OF_TIME = frozenset({ServerRole.CPU_SECONDS, ServerRole.GPU_ENERGY})
"""Roles that grow with time and not with jobs: their sample after a case is the first one."""
_MEAN = frozenset({ServerRole.GPU_UTILISATION})
_MOST = frozenset({ServerRole.GPU_TEMPERATURE, ServerRole.GPU_ERRORS, ServerRole.START_TIME})
PARTS = {"gauge": ("",), "counter": ("", "_total"), "histogram": ("_sum", "_count", "_bucket")}
"""Type of a metric to the endings of its names."""
UP = "up"
"""Metric of Prometheus: 1 for a scrape that succeeded."""
MARGIN = 0.01
"""Seconds by which rounded times may differ."""
Labels = tuple[tuple[str, str], ...]
Point = tuple[float, float]


class Window(msgspec.Struct, frozen=True):
    """A case of a run, with the time around it in which no other job was sent."""

    scenario: str
    case: str
    started: float
    ended: float
    quiet: float
    """Unix time up to which nothing was sent after the case."""


class CaseSamples(msgspec.Struct, frozen=True):
    """The samples of one source around and through one case."""

    window: Window
    before: Matrix
    after: Matrix
    through: Matrix


class SourceReader:
    """One source in one case."""

    def __init__(self, source: int, asked: CaseSamples, sets: Sequence[MetricSet]) -> None:
        self._source = source
        self._window = asked.window
        self._sets = sets
        self._before = {_key(line): _points(line) for line in asked.before}
        self._after = {_key(line): _points(line) for line in asked.after}
        self._through = {_key(line): _points(line) for line in asked.through}
        self._present = {dict(key)["__name__"] for key in (*self._before, *self._after, *self._through)}
        times = [at for key, points in self._through.items() for at, value in points if _name(key) != UP or value]
        self._scraped_before = max((at for at in times if at <= self._window.started), default=None)
        self._scraped_after = min((at for at in times if at >= self._window.ended), default=None)
        self._restarted = self._was_restarted()
        self._usable = not self._restarted and None not in {self._scraped_before, self._scraped_after}

    def place(self) -> ServerPlace:
        """Return how the source answered."""
        window = self._window
        up = [point for key, points in self._through.items() if _name(key) == UP for point in points]
        within = [value for at, value in up if window.started <= at <= window.ended]
        before, after = self._scraped_before, self._scraped_after
        return ServerPlace(
            source=self._source,
            scenario=window.scenario,
            case=window.case,
            scrapes=len(within),
            failed=sum(1 for value in within if value == 0),
            restarted=self._restarted,
            before=rounded(window.started - before) if before is not None else None,
            after=rounded(after - window.ended) if after is not None else None,
        )

    def _was_restarted(self) -> bool:
        for key, points in self._through.items():
            inside = self._inside(points)
            metric = self._metric_of(_name(key))
            if metric is None:
                continue
            if metric.role is ServerRole.START_TIME and len({value for _, value in inside}) > 1:
                return True
            if metric.type == "counter" and any(later < earlier for (_, earlier), (_, later) in pairwise(inside)):
                return True
        for key, points in self._before.items():
            first = self._at_start(points)
            if first is None:
                continue
            last = self._at_end(self._after.get(key, ()), of_time=False)
            if last is None or last[1] < first[1]:
                return True
        return False

    def _inside(self, points: Sequence[Point]) -> list[Point]:
        """Return the samples from the last one before the case to the end of the quiet time after it."""
        first = self._scraped_before if self._scraped_before is not None else self._window.started
        return [point for point in points if first - MARGIN <= point[0] <= self._window.quiet]

    def _metric_of(self, name: str) -> ServerMetric | None:
        for one in self._sets:
            for metric in one.metrics:
                if one.named(metric, self._present) == name:
                    return metric
        return None

    def _at_start(self, points: Sequence[Point]) -> Point | None:
        """Return the last sample up to the start."""
        return max((point for point in points if point[0] <= self._window.started), default=None)

    def _at_end(self, points: Sequence[Point], *, of_time: bool) -> Point | None:
        """Return the first sample from the end on; of what grows with jobs, the last one before others are sent."""
        later = sorted(point for point in points if point[0] >= self._window.ended)
        quiet = [point for point in later if point[0] <= self._window.quiet]
        if quiet and not of_time:
            return quiet[-1]
        return later[0] if later else None

    def counts(self) -> Iterator[ServerCount]:
        """Yield the differences of all cumulative metrics, summed over the series that mean the same."""
        for one in self._sets:
            for metric in one.metrics:
                name = one.named(metric, self._present)
                if metric.type == "gauge" or name is None:
                    continue
                yield from self._counts(one, metric, name)

    def _counts(self, one: MetricSet, metric: ServerMetric, name: str) -> Iterator[ServerCount]:
        groups: dict[tuple[Labels, str], list[Labels]] = defaultdict(list)
        first = name if metric.type == "counter" else f"{name}_sum"
        for key in {**self._before, **self._after}:
            labels = dict(key)
            if labels["__name__"] == first and not metric.excludes(labels):
                groups[_labels(metric.kept(labels)), metric.result_of(labels)].append(key)
        number = self._number(one, metric)
        for (kept, result), keys in sorted(groups.items()):
            yield self._count(one, metric, name, keys, kept=dict(kept), result=result, number=number)

    def _number(self, one: MetricSet, metric: ServerMetric) -> str | None:
        """Return the name of the counter that a sum is divided by."""
        if metric.per is None:
            return None
        candidates = (f"{prefix}{metric.per}{part}" for prefix in one.prefixes for part in PARTS["counter"])
        return next((name for name in candidates if name in self._present), None)

    def _count(
        self,
        one: MetricSet,
        metric: ServerMetric,
        name: str,
        keys: Sequence[Labels],
        *,
        kept: dict[str, str],
        result: str,
        number: str | None,
    ) -> ServerCount:
        of_time = metric.role in OF_TIME
        sums = [self._difference(key, of_time=of_time) for key in keys]
        value = math.fsum(sums) * metric.factor if self._usable else None
        count: float | None = None
        buckets: tuple[tuple[float, float], ...] = ()
        if metric.type == "histogram" and self._usable:
            count = math.fsum(self._difference(_renamed(key, f"{name}_count"), of_time=False) for key in keys)
            buckets = self._buckets(name, keys, metric.factor)
        elif number is not None and self._usable:
            count = math.fsum(self._difference(_renamed(key, number), of_time=False) for key in keys)
        ends = [self._at_end(self._after.get(key, ()), of_time=of_time) for key in keys]
        starts = [self._at_start(self._before.get(key, ())) for key in keys]
        fallback = self._scraped_before if self._scraped_before is not None else self._window.started
        return ServerCount(
            source=self._source,
            set=one.name,
            role=metric.role,
            metric=name,
            labels=kept,
            result=result,
            scenario=self._window.scenario,
            case=self._window.case,
            before=rounded(min((point[0] for point in starts if point), default=fallback)),
            after=rounded(max((point[0] for point in ends if point), default=self._window.ended)),
            value=rounded(value) if value is not None else None,
            count=count,
            buckets=buckets,
            of=metric.of,
            step=self._step(keys) if metric.role is ServerRole.GPU_ENERGY else None,
        )

    def _difference(self, key: Labels, *, of_time: bool) -> float:
        """Return how far a series grew; a series that was not there before began at 0."""
        last = self._at_end(self._after.get(key, ()), of_time=of_time)
        first = self._at_start(self._before.get(key, ()))
        return (last[1] if last else 0.0) - (first[1] if first else 0.0)

    def _buckets(self, name: str, keys: Sequence[Labels], factor: float) -> tuple[tuple[float, float], ...]:
        wanted = {_renamed(key, f"{name}_bucket") for key in keys}
        found: dict[float, list[float]] = defaultdict(list)
        for key in {**self._before, **self._after}:
            labels = dict(key)
            bound = _bound(labels.pop("le", ""))
            if bound is not None and _labels(labels) in wanted:
                found[bound].append(self._difference(key, of_time=False))
        return tuple((rounded(bound * factor), math.fsum(found[bound])) for bound in sorted(found))

    def _step(self, keys: Sequence[Labels]) -> float | None:
        """Return the longest time in which a counter that grows with time did not change; 0: it grew at each scrape."""
        longest: list[float] = []
        for key in keys:
            inside = self._inside(self._through.get(key, ()))
            same = [later[0] - earlier[0] for earlier, later in pairwise(inside) if later[1] == earlier[1]]
            changes = [later[0] for earlier, later in pairwise(inside) if later[1] != earlier[1]]
            longest += [b - a for a, b in pairwise(changes)] if same else [0.0]
        return rounded(max(longest)) if longest else None

    def gauges(self) -> Iterator[ServerGauge]:
        """Yield all gauges, joined over the series that mean the same."""
        for one in self._sets:
            for metric in one.metrics:
                name = one.named(metric, self._present)
                if metric.type == "gauge" and name is not None:
                    yield from self._gauges(one, metric, name)

    def _gauges(self, one: MetricSet, metric: ServerMetric, name: str) -> Iterator[ServerGauge]:
        groups: dict[Labels, list[Sequence[Point]]] = defaultdict(list)
        for key, points in self._through.items():
            labels = dict(key)
            if labels["__name__"] == name and not metric.excludes(labels):
                groups[_labels(metric.kept(labels))].append(points)
        window = self._window
        for labelled, series in sorted(groups.items()):
            joined = [(at, value * metric.factor) for at, value in _joined(series, metric.role)]
            within = [value for at, value in joined if window.started <= at <= window.ended]
            around = [(at, rounded(value)) for at, value in joined if at <= window.quiet]
            shown = _thinned(around)
            yield ServerGauge(
                source=self._source,
                set=one.name,
                role=metric.role,
                metric=name,
                labels=dict(labelled),
                scenario=window.scenario,
                case=window.case,
                n=len(within),
                mean=rounded(statistics.fmean(within)) if within else None,
                least=min(within, default=None),
                most=max(within, default=None),
                before=next((value for at, value in reversed(around) if at <= window.started), None),
                after=around[-1][1] if around and around[-1][0] >= window.ended else None,
                times=tuple(at for at, _ in shown),
                values=tuple(value for _, value in shown),
            )


def _key(line: Line) -> Labels:
    return _labels(line.metric)


def _labels(labels: dict[str, str]) -> Labels:
    return tuple(sorted(labels.items()))


def _name(key: Labels) -> str:
    return dict(key)["__name__"]


def _renamed(key: Labels, name: str) -> Labels:
    return _labels({**dict(key), "__name__": name})


def _points(line: Line) -> tuple[Point, ...]:
    """Return the samples of a series that are numbers which can be added."""
    return tuple((at, number) for at, value in line.values if abs(number := float(value)) < GREATEST)


def _bound(text: str) -> float | None:
    """Return the upper bound of a bucket; None for the infinite one, and for what is no number."""
    try:
        bound = float(text)
    except ValueError:
        return None
    return bound if abs(bound) < GREATEST else None


def _joined(series: Sequence[Sequence[Point]], role: ServerRole) -> list[Point]:
    """Join series that mean the same at each of their times: sum, mean or greatest value, by the role."""
    if len(series) == 1:
        return list(series[0])
    latest: dict[int, float] = {}
    points: dict[float, float] = {}
    for at, number, value in sorted((at, n, value) for n, one in enumerate(series) for at, value in one):
        latest[number] = value
        values = list(latest.values())
        points[at] = max(values) if role in _MOST else math.fsum(values) / (len(values) if role in _MEAN else 1)
    return list(points.items())


def _thinned(points: Sequence[Point]) -> list[Point]:
    """Return at most `KEPT` samples: those with the least and the greatest value of each stretch."""
    if len(points) <= KEPT:
        return list(points)
    kept: list[Point] = []
    for low, high in pairwise(len(points) * i // (KEPT // 2) for i in range(KEPT // 2 + 1)):
        stretch = points[low:high]
        kept += sorted({min(stretch, key=lambda p: p[1]), max(stretch, key=lambda p: p[1])})
    return kept

"""Metrics as a Prometheus scrapes them: the official exporter's text, at a cost that follows what changed.

The official exporter renders each sample at each scrape, some 17 us of CPU a line. `ScrapeReader` lets it render the
labels of a series once, and takes the text of a series whose value did not change from the scrape before. The SDK makes
no new data point of such a series (`KeptPoints`).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from threading import Lock
from typing import Any, NamedTuple, cast

from opentelemetry.exporter.prometheus import _CustomCollector
from opentelemetry.exporter.prometheus._mapping import sanitize_attribute
from opentelemetry.sdk.metrics import Counter, UpDownCounter
from opentelemetry.sdk.metrics import Histogram as HistogramInstrument
from opentelemetry.sdk.metrics.export import (
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricReader,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.semconv._incubating.attributes.otel_attributes import OtelComponentTypeValues
from prometheus_client import generate_latest
from prometheus_client.core import Metric as Family
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.utils import floatToGoString

from reelbench.telemetry.ended_series import EndedSeries, of_case
from reelbench.telemetry.kept_points import KeptPoints

_logger = logging.getLogger(__name__)
_END = "# EOF\n"
_PLAIN_BELOW = 1_000_000
"""From this number on, Go writes a float with an exponent."""
_OVERFLOW = "otel.metric.overflow"
"""Attribute of the series in which the SDK counts all label sets of a metric beyond its limit, which is 2,000."""
_ZERO = (0.0,)
"""A value of which the text can change although the value is equal: to -0.0 and back."""
_SCOPE = "otel_scope_"
"""Prefix of the labels of the scope, which every series has."""
_SURROGATE = re.compile("[\ud800-\udfff]")


class _Families(NamedTuple):
    """Families that were collected already, as a collector of prometheus-client."""

    families: Sequence[Family]

    def collect(self) -> Iterable[Family]:
        return self.families


@dataclass(slots=True)
class _Series:
    """One series: the text before each of its values, and the text of the last scrape."""

    attributes: Any
    """Kept, because the series is found by the identity of this object."""
    prefixes: tuple[str, ...]
    point: HistogramDataPoint | NumberDataPoint | None = None
    """The point of the last scrape; one that is there again has not changed."""
    value: tuple[float, ...] | None = None
    text: str = ""
    of_case: bool = False
    since: float = 0.0
    """Time of the first page with this value."""
    served: int = 0
    """Pages with this value."""


@dataclass(slots=True)
class _MetricText:
    """The text of one metric: its head in both formats, and its series by the identity of their attributes."""

    head: tuple[str, str]
    labels: frozenset[str] = frozenset()
    series: dict[int, _Series] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    """First prefix of each series: two attributes that differ, such as 1 and "1", can have the same text."""

    def keep(self, found: set[int]) -> None:
        """Drop the series that were removed from the SDK; `found` are the identities of the others."""
        for identity in [identity for identity in self.series if identity not in found]:
            self.seen.discard(self.series.pop(identity).prefixes[0])


class ScrapeReader(MetricReader):
    """A reader whose `scrape` returns the bytes that the official exporter and prometheus-client would return.

    Args:
        ended: Which series of ended cases are left out; None: no series.
    """

    def __init__(self, ended: EndedSeries | None = None) -> None:
        super().__init__(
            preferred_aggregation=dict.fromkeys((Counter, HistogramInstrument, UpDownCounter), KeptPoints()),
            otel_component_type=OtelComponentTypeValues.PROMETHEUS_HTTP_TEXT_METRIC_EXPORTER,
        )
        self._collector = _CustomCollector()
        """The official exporter's translator, to which data is handed."""
        self._latest: MetricsData | None = None
        self._texts: dict[tuple[str, ...], _MetricText] = {}
        self._target_info: tuple[str, str] | None = None
        self._ended = ended
        self._warned: set[str] = set()
        self._lock = Lock()

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_: object) -> None:
        del timeout_millis
        self._latest = metrics_data

    def shutdown(self, timeout_millis: float = 30_000, **_: object) -> None:
        """Do nothing: a page is made where it is asked for."""

    def families(self) -> Sequence[Family]:
        """Collect and return all families, as the official exporter translates them."""
        with self._lock:
            self.collect()
            return self._translated(self._latest) if self._latest else ()

    def scrape(self, *, openmetrics: bool) -> bytes:
        """Collect and return the text of all metrics, as OpenMetrics or as Prometheus' own format."""
        with self._lock:
            self.collect()
            if self._latest is None:
                return _END.encode() if openmetrics else b""
            return self._rendered(self._latest, openmetrics).encode()

    def _rendered(self, data: MetricsData, openmetrics: bool) -> str:  # noqa: FBT001 - the one flag of both methods
        found = [
            (_key(scope, metric), resource, scope, metric)
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.data.data_points
        ]
        names = {key[1:] for key, *_ in found}
        usual = all(isinstance(metric.data, Gauge | Histogram | Sum) for *_, metric in found)
        if not usual or len(names) < len(found) or len(data.resource_metrics) != 1:
            # Two scopes share a family, which the official exporter merges, or it has a word to say of a kind.
            families = _Families(self._translated(data))
            return f"{_openmetrics(families)}{_END}" if openmetrics else generate_latest(families).decode()
        if self._target_info is None:
            info = _Families(self._translated(MetricsData([_without_metrics(data.resource_metrics[0])])))
            self._target_info = generate_latest(info).decode(), _openmetrics(info)
        if self._ended is not None:
            self._ended.scrape()
        parts = [self._target_info[openmetrics]]
        for key, resource, scope, metric in found:
            parts.extend(self._metric(key, resource, scope, metric, openmetrics))
        if openmetrics:
            parts.append(_END)
        return "".join(parts)

    def _metric(
        self,
        key: tuple[str, ...],
        resource: ResourceMetrics,
        scope: ScopeMetrics,
        metric: Metric,
        openmetrics: bool,  # noqa: FBT001
    ) -> Iterator[str]:
        points = cast("Sequence[HistogramDataPoint | NumberDataPoint]", metric.data.data_points)
        text = self._texts.get(key)
        new = points if text is None else [point for point in points if id(point.attributes) not in text.series]
        removed = text is not None and len(points) - len(new) < len(text.series)
        if text is not None and removed:
            text.keep({id(point.attributes) for point in points})
        if text is None or new or removed:
            labels = frozenset(map(sanitize_attribute, {name for point in points for name in point.attributes or ()}))
            if text is None or labels != text.labels:
                # Every series of a family has the same labels; one that a series lacks is empty.
                text = self._texts[key] = _MetricText(self._head(resource, scope, metric), labels)
                new = points
            if new:
                self._add(text, resource, scope, metric, new)
        yield text.head[openmetrics]
        for point in points:
            series = text.series[id(point.attributes)]
            if point is not series.point:
                self._render(series, point)
            if series.of_case and self._ended is not None and self._ended.over(series.since, series.served):
                continue
            series.served += 1
            yield series.text

    def _render(self, series: _Series, point: HistogramDataPoint | NumberDataPoint) -> None:
        series.point = point
        value = (point.count, point.sum) if isinstance(point, HistogramDataPoint) else (point.value,)
        if value == series.value and value != _ZERO:
            return
        values = _values(point, len(series.prefixes))
        series.text = "".join([f"{a} {b}\n" for a, b in zip(series.prefixes, values, strict=True)])
        if value != series.value and self._ended is not None:
            series.since, series.served = self._ended.now, 0
        series.value = value

    def _add(
        self, text: _MetricText, resource: ResourceMetrics, scope: ScopeMetrics, metric: Metric, points: Sequence[Any]
    ) -> None:
        """Let the official exporter render `points`, and keep what stands before each value."""
        padded = [_with_labels(point, text.labels) for point in points]
        families = _Families(self._translated(_only(resource, scope, metric, padded))[1:])
        lines = [line for line in generate_latest(families).decode().split("\n") if line and not line.startswith("# ")]
        size = len(lines) // len(points)
        for number, point in enumerate(points):
            prefixes = tuple(line.rpartition(" ")[0] for line in lines[number * size : (number + 1) * size])
            case = of_case(metric.data, point.attributes)
            text.series[id(point.attributes)] = _Series(point.attributes, prefixes, of_case=case)
            if prefixes[0] in text.seen:
                self._warn(
                    f"The metric {metric.name} has label values that differ only in their type, such as 1 and '1': "
                    f"{prefixes[0]} appears more than once, and Prometheus keeps one of the values. Record text alone."
                )
            text.seen.add(prefixes[0])
            if _OVERFLOW in (point.attributes or {}):
                self._warn(
                    f"The metric {metric.name} has more label sets than OpenTelemetry's SDK keeps apart (2,000): all "
                    'others are counted together, with the label otel_metric_overflow="true". Restart the process '
                    "between runs, or record fewer label values."
                )

    def _warn(self, message: str) -> None:
        """Write a message to the log, once."""
        if message not in self._warned:
            self._warned.add(message)
            _logger.warning(message)

    def _head(self, resource: ResourceMetrics, scope: ScopeMetrics, metric: Metric) -> tuple[str, str]:
        families = self._translated(_only(resource, scope, metric, metric.data.data_points[:1]))[1:]
        for family in families:
            family.samples.clear()
        return generate_latest(_Families(families)).decode(), _openmetrics(_Families(families))

    def _translated(self, data: MetricsData) -> Sequence[Family]:
        self._collector.add_metrics_data(data)
        return tuple(map(_encodable, self._collector.collect()))


def _key(scope: ScopeMetrics, metric: Metric) -> tuple[str, ...]:
    return scope.scope.name, metric.name, metric.description or "", metric.unit or "", type(metric.data).__name__


def _without_metrics(resource: ResourceMetrics) -> ResourceMetrics:
    return ResourceMetrics(resource.resource, [], resource.schema_url)


def _only(resource: ResourceMetrics, scope: ScopeMetrics, metric: Metric, points: Sequence[Any]) -> MetricsData:
    """Return the data of one metric with these points alone."""
    kept = vars(metric.data) | {"data_points": points}
    one = Metric(metric.name, metric.description, metric.unit, type(metric.data)(**kept))
    return MetricsData(
        [ResourceMetrics(resource.resource, [ScopeMetrics(scope.scope, [one], scope.schema_url)], resource.schema_url)]
    )


def _with_labels(point: Any, labels: frozenset[str]) -> Any:
    """Return `point` with an empty value for each label that it lacks."""
    own = dict(point.attributes or {})
    lacking = {label for label in labels.difference(map(sanitize_attribute, own)) if not label.startswith(_SCOPE)}
    return type(point)(**(vars(point) | {"attributes": own | dict.fromkeys(lacking, "")}))


def _values(point: HistogramDataPoint | NumberDataPoint, lines: int) -> list[str]:
    """Return the values of the lines of a point in the official exporter's order."""
    if isinstance(point, NumberDataPoint):
        return [_number(point.value)]
    counts = [f"{n}.0" if n < _PLAIN_BELOW else _number(n) for n in accumulate(point.bucket_counts)]
    return [*counts, counts[-1], _number(point.sum)] if lines > len(counts) else counts


def _encodable(family: Family) -> Family:
    r"""Write half surrogates as text, such as ``\ud800``: one of them would make the whole page fail in UTF-8."""
    family.documentation = _legible(family.documentation)
    family.samples = [
        sample
        if all(map(str.isascii, sample.labels.values()))
        else sample._replace(labels={name: _legible(value) for name, value in sample.labels.items()})
        for sample in family.samples
    ]
    return family


def _legible(text: str) -> str:
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):x}", text)


def _number(value: float) -> str:
    return str(floatToGoString(value))  # type: ignore[no-untyped-call]


def _openmetrics(families: _Families) -> str:
    return str(generate_openmetrics(families).decode()).removesuffix(_END)  # type: ignore[no-untyped-call]

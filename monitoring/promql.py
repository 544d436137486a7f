"""PromQL from data: a metric, its matchers and an aggregation; and the queries of the catalogue for all runs.

The catalogue asks for one run, scenario and case at one instant. The same query with these labels in ``by`` instead of
in the selectors gives every run, scenario and case; with ``rate`` instead of ``last_over_time``, the present rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from string import Template

RATE = "$__rate_interval"
"""At least four intervals of the data source; Grafana fills it in."""
PLACE = ('run_id=~"$run_id"', 'scenario=~"$scenario"')
"""Matchers of the runs and scenarios chosen on a dashboard."""
MEASURED = 'case!~".+\\\\.warmup"'
"""Leaves out warm-up jobs, which the load generator does not count."""
_COUNTERS = ("_total", "_bucket", "_sum", "_count")
_AGGREGATIONS = ("sum", "avg", "min", "max", "count")


@dataclass(frozen=True, slots=True)
class Expr:
    """A PromQL expression and the metrics that it names."""

    text: str
    metrics: frozenset[str]

    def __str__(self) -> str:
        return self.text


def formula(template: str, **parts: Expr) -> Expr:
    """Put expressions into the placeholders of a template; other placeholders, such as Grafana's, stay."""
    text = Template(template).safe_substitute({name: part.text for name, part in parts.items()})
    return Expr(text, frozenset().union(*(part.metrics for part in parts.values())))


def select(metric: str, *matchers: str, window: str = "") -> Expr:
    """Return the series of a metric; with a window, their samples in it."""
    chosen = f"{{{','.join(matchers)}}}" if matchers else ""
    samples = f"[{window}]" if window else ""
    return Expr(f"{metric}{chosen}{samples}", frozenset({metric}))


def aggregate(function: str, inner: Expr, by: Sequence[str] = ()) -> Expr:
    """Aggregate over all labels but those of `by`."""
    labels = f" by ({', '.join(by)}) " if by else ""
    return Expr(f"{function}{labels}({inner})", inner.metrics)


def gauge(metric: str, *matchers: str, by: Sequence[str] = (), function: str = "sum") -> Expr:
    """Return the present value of a gauge, aggregated."""
    return aggregate(function, select(metric, *matchers), by)


def total(metric: str, *matchers: str, by: Sequence[str] = (), window: str = "$__range") -> Expr:
    """Return the last value of a counter in the window, summed."""
    return aggregate("sum", formula("last_over_time($inner)", inner=select(metric, *matchers, window=window)), by)


def rate(metric: str, *matchers: str, by: Sequence[str] = (), place: Sequence[str] = PLACE, window: str = RATE) -> Expr:
    """Return events per second of a counter, summed."""
    inner = formula("rate($inner)", inner=select(metric, *place, *matchers, window=window))
    return aggregate("sum", inner, by)


def quantile(
    q: float, histogram: str, *matchers: str, by: Sequence[str] = (), place: Sequence[str] = PLACE, window: str = RATE
) -> Expr:
    """Return a quantile of the latest observations, from classic buckets or, without them, a native histogram."""
    return formula(
        f"histogram_quantile({q:g}, $classic) or histogram_quantile({q:g}, $native)",
        classic=rate(f"{histogram}_bucket", *matchers, by=("le", *by), place=place, window=window),
        native=rate(histogram, *matchers, by=by, place=place, window=window),
    )


def observed(
    histogram: str, *matchers: str, by: Sequence[str] = (), place: Sequence[str] = PLACE, window: str = RATE
) -> Expr:
    """Return observations per second of a histogram, classic or native."""
    return formula(
        "$classic or histogram_count($native)",
        classic=rate(f"{histogram}_count", *matchers, by=by, place=place, window=window),
        native=rate(histogram, *matchers, by=by, place=place, window=window),
    )


def within(bound: float, histogram: str, *matchers: str, by: Sequence[str] = (), window: str = RATE) -> Expr:
    """Return the share of observations at or below a bound, which must be a bound of the classic buckets.

    `le` of the same bound is 2 when it arrived by OTLP and 2.0 when it was scraped.
    """
    le = f'le=~"{bound:g}(\\\\.0)?"' if bound == int(bound) else f'le="{bound:g}"'
    return formula(
        f"$good / $every or histogram_fraction(0, {bound:g}, $native)",
        good=rate(f"{histogram}_bucket", *matchers, le, by=by, place=(), window=window),
        every=rate(f"{histogram}_count", *matchers, by=by, place=(), window=window),
        native=rate(histogram, *matchers, by=by, place=(), window=window),
    )


def share(part: Expr, whole: Expr) -> Expr:
    """Return part / whole; 0, not nothing, where the part has no series yet."""
    return formula("($part or 0 * $whole) / $whole", part=part, whole=whole)


def hit_rate(*, by: Sequence[str] = ()) -> Expr:
    """Return the share of cache requests that needed no call."""
    asked = rate("cache_requests_total", by=by)
    return share(rate("cache_requests_total", 'result=~"hit|coalesced"', by=by), asked)


def placed(labels: Sequence[str]) -> str:
    """Return the matchers with which the catalogue chooses the place of a query."""
    return ",".join(f'{label}="${label}"' for label in labels)


def everywhere(
    template: str,
    labels: Sequence[str],
    *,
    by: Sequence[str],
    window: str,
    matchers: Sequence[str] = ('run_id!=""',),
    function: str = "last_over_time",
) -> str:
    """Return a query of the catalogue for all places at once.

    Args:
        template: The query in the catalogue.
        labels: Labels with which the query chooses its place.
        by: Labels that every aggregation keeps.
        window: The value of ``$window``.
        matchers: Stand in each selector in place of the labels.
        function: Stands in place of ``last_over_time``.

    Raises:
        KeyError: The query chooses its place in another form.
    """
    text, kept = template.replace(placed(labels), "$place"), ", ".join(by)
    for name in _AGGREGATIONS:
        text = text.replace(f"{name} (", f"{name}(")
        if by:
            text = text.replace(f"{name} by (", f"{name} by ({kept}, ")
            text = text.replace(f"{name}(last_over_time(", f"{name} by ({kept}) (last_over_time(")
    text = text.replace("last_over_time(", f"{function}(")
    return Template(text).substitute(place=",".join(matchers), window=window)


def counts_events(metrics: Sequence[str]) -> bool:
    """Return True when all of these metrics are counters, whose rate means something."""
    return bool(metrics) and all(name.endswith(_COUNTERS) for name in metrics)

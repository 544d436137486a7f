"""PromQL for what goes on: live rates for dashboards, and the catalogue's queries without a chosen run for rules.

The catalogue asks for one run, scenario and case at one instant. The same query, with these in ``by`` instead of in the
selectors, gives every run, scenario and case at once, and with ``rate`` instead of ``last_over_time`` what happens now.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from string import Template

RATE = "$__rate_interval"
"""At least four intervals of the data source; Grafana fills it in. For live panels alone."""
PLACE = 'run_id=~"$run_id",scenario=~"$scenario"'
"""The dashboard's choice of runs and scenarios."""
MEASURED = 'case!~".+\\\\.warmup"'
"""Leaves out the service's warm-up jobs, which the load generator does not count."""

_AGGREGATION = re.compile(r"\b(sum|avg|min|max|count|group)\b(?:\s+by\s*\(([^)]*)\))?\s*\(")
_CHOSEN = re.compile(r'(,?\s*)\b(run_id|scenario|case)="\$(?:run_id|scenario|case)"')
_COUNTERS = ("_total", "_bucket", "_sum", "_count")


def rate(metric: str, selector: str = PLACE, *, by: Sequence[str] = (), window: str = RATE) -> str:
    """Events per second of a counter, summed."""
    return f"sum{_by(by)}(rate({metric}{{{selector}}}[{window}]))"


def gauge(metric: str, selector: str = "", *, by: Sequence[str] = ()) -> str:
    """The present value of a gauge, summed."""
    return f"sum{_by(by)}({metric}{{{selector}}})"


def quantile(q: float, histogram: str, selector: str = PLACE, *, by: Sequence[str] = (), window: str = RATE) -> str:
    """A quantile of what was observed lately: of classic buckets, or of a native histogram where there are none."""
    return (
        f"histogram_quantile({q:g}, {rate(f'{histogram}_bucket', selector, by=('le', *by), window=window)}) "
        f"or histogram_quantile({q:g}, {rate(histogram, selector, by=by, window=window)})"
    )


def observed(histogram: str, selector: str = PLACE, *, by: Sequence[str] = (), window: str = RATE) -> str:
    """Observations per second of a histogram, classic or native."""
    return (
        f"{rate(f'{histogram}_count', selector, by=by, window=window)} "
        f"or histogram_count({rate(histogram, selector, by=by, window=window)})"
    )


def within(bound: float, histogram: str, selector: str, *, by: Sequence[str] = (), window: str = RATE) -> str:
    """Share of the observations at or below a bound; of classic buckets it must be one.

    `le` of the same bound is written 2 when it came by OTLP and 2.0 when it was scraped.
    """
    le = f'le=~"{bound:g}(\\\\.0)?"' if bound == int(bound) else f'le="{bound:g}"'
    good = rate(f"{histogram}_bucket", f"{selector},{le}", by=by, window=window)
    return (
        f"{good} / {rate(f'{histogram}_count', selector, by=by, window=window)} "
        f"or histogram_fraction(0, {bound:g}, {rate(histogram, selector, by=by, window=window)})"
    )


def hit_rate(selector: str = PLACE, *, by: Sequence[str] = (), window: str = RATE) -> str:
    """Share of the questions to the caches that needed no call."""
    asked = rate("cache_requests_total", selector, by=by, window=window)
    hits = rate("cache_requests_total", f'{selector},result=~"hit|coalesced"', by=by, window=window)
    return f"({hits} or 0 * {asked}) / {asked}"


def everywhere(template: str, *, by: Sequence[str], window: str, matchers: str = "", function: str = "") -> str:
    """A query of the catalogue for all runs, scenarios and cases at once.

    Args:
        template: The query as the catalogue has it.
        by: Labels that every aggregation keeps.
        window: What stands for ``$window``.
        matchers: Put into every selector that named a run.
        function: Stands in the place of ``last_over_time``.
    """

    def group(match: re.Match[str]) -> str:
        labels = [label.strip() for label in (match[2] or "").split(",") if label.strip()]
        kept = [label for label in by if label not in labels]
        return f"{match[1]} by ({', '.join([*kept, *labels])}) (" if kept or labels else f"{match[1]}("

    def choose(match: re.Match[str]) -> str:
        return match[1] + (matchers or 'run_id!=""') if match[2] == "run_id" else ""

    text = _AGGREGATION.sub(group, _CHOSEN.sub(choose, template))
    text = text.replace("last_over_time(", f"{function}(") if function else text
    return re.sub(r"\{\s*,\s*", "{", Template(text).substitute(window=window))


def counts_events(metrics: Sequence[str]) -> bool:
    """True when all of these metrics are counters, whose rate means something."""
    return bool(metrics) and all(name.endswith(_COUNTERS) for name in metrics)


def _by(labels: Sequence[str]) -> str:
    return f" by ({', '.join(labels)}) " if labels else ""

"""What the service uses, and an estimate of the cost."""

from __future__ import annotations

from reelbench.monitoring.objectives import objective_groups
from reelbench.monitoring.panels import MONEY, Board, Group, Kind, Line, Panel, Query, TextVariable
from reelbench.monitoring.promql import Expr, formula, gauge, hit_rate, quantile, rate
from reelbench.reporting.catalogue.prices import Prices
from reelbench.reporting.catalogue.sli import Catalogue
from reelbench.reporting.document.grafana_links import RESOURCES_UID

_SERVICE = 'job="service"'
_PRICES = (
    ("price_input", "llm_input", ", input"),
    ("price_output", "llm_output", ", output"),
    ("price_characters", "tts", ", speech"),
    ("price_image", "image", ""),
    ("price_cpu", "cpu", ""),
    ("price_memory", "memory", ""),
)
"""Variables with list prices that can be edited: name, entry of the price list, and an addition to its unit."""
_CHARGED = (
    ("input_tokens", "$price_input / 1e6", "input tokens"),
    ("output_tokens", "$price_output / 1e6", "output tokens"),
    ("characters", "$price_characters / 1e6", "speech"),
    ("images", "$price_image", "images"),
)
_MEDIA_CPU = rate("media_process_cpu_time_seconds_total", place=())
_MEDIA_MEMORY = gauge("media_process_memory_usage_bytes")
_USED = {
    legend: formula(f"3600 * {price} * $used", used=rate("video_usage_total", f'kind="{kind}"'))
    for kind, price, legend in _CHARGED
}
_MACHINE = {
    "processor": formula(
        "$price_cpu * ($cpu + ($media or vector(0)))",
        cpu=rate("process_cpu_time_seconds_total", _SERVICE, place=()),
        media=_MEDIA_CPU,
    ),
    "memory": formula(
        "$price_memory / 2^30 * ($memory + ($media or vector(0)))",
        memory=gauge("process_memory_usage_bytes", _SERVICE),
        media=_MEDIA_MEMORY,
    ),
}
"""Cost per hour of the charged usage and of the machine, by legend."""


def _total() -> Expr:
    parts = {f"part{number}": expr for number, expr in enumerate((*_USED.values(), *_MACHINE.values()))}
    terms = [f"(${name} or vector(0))" if number < len(_USED) else f"${name}" for number, name in enumerate(parts)]
    return formula(" + ".join(terms), **parts)


_OPENED = rate("http_client_connections_opened_total", by=("provider",))
_REUSED = rate("http_client_connections_reused_total", by=("provider",))
_REUSE = formula(
    "($reused or 0 * $opened) / (($reused or 0 * $opened) + ($opened or 0 * $reused))", opened=_OPENED, reused=_REUSED
)

# fmt: off
_GROUPS = (
    Group("Processes", [
        Line(8, [
            Panel("CPU by process", "Cores; media: all worker processes of the service.", "short",
                  [Query(rate("process_cpu_time_seconds_total", by=("job", "type"), place=()), "{{job}} {{type}}"),
                   Query(_MEDIA_CPU, "media")], stacked=True),
            Panel("Resident memory by process", "A lasting slope is a leak.", "bytes",
                  [Query(gauge("process_memory_usage_bytes", by=("job", "instance")), "{{job}} {{instance}}"),
                   Query(_MEDIA_MEMORY, "media")]),
            Panel("Threads", "Threads of each process.", "none",
                  [Query(gauge("process_thread_count", by=("job",)), "{{job}}")]),
        ]),
    ]),
    Group("Network", [
        Line(8, [
            Panel("Bytes by dependency", "Bytes of bodies per second, sent and received, as on the wire.", "Bps",
                  [Query(rate("dependency_io_bytes_total", by=("dependency", "direction")),
                         "{{dependency}} {{direction}}")]),
            Panel("Connections", "Connections per second, opened and reused.", "ops",
                  [Query(_OPENED, "{{provider}} opened"), Query(_REUSED, "{{provider}} reused")]),
            Panel("Connection reuse", "Share of the attempts that used an open connection.", "percentunit",
                  [Query(_REUSE, "{{provider}}")], top=1),
            Panel("P95 of connecting", "Name resolution and connection setup.", "s",
                  [Query(quantile(0.95, "http_client_connect_duration_seconds", by=("provider",), place=()),
                         "{{provider}}", exemplar=True)], to_traces=True),
        ]),
    ]),
    Group("Cache", [
        Line(8, [
            Panel("Cache requests", "Requests per second, by result; only misses cost a call.", "reqps",
                  [Query(rate("cache_requests_total", by=("cache", "result")), "{{cache}} {{result}}")],
                  stacked=True),
            Panel("Cache hits", "Share of the requests that needed no call.", "percentunit",
                  [Query(hit_rate(by=("cache",)), "{{cache}}"), Query(hit_rate(), "all")], top=1),
            Panel("Saved by the caches", "Seconds of provider calls and bytes, per second.", "short",
                  [Query(rate("cache_time_saved_seconds_total", by=("cache",)), "{{cache}} seconds"),
                   Query(rate("cache_io_saved_bytes_total", by=("cache",)), "{{cache}} bytes")]),
            Panel("Size of the caches", "Bytes of the cached answers.", "bytes",
                  [Query(gauge("cache_size_bytes", by=("cache",)), "{{cache}}")]),
        ]),
    ]),
    Group("Estimated cost", [
        Line(8, [
            Panel("Cost per hour", "At list prices and the present rate; the prices are variables of the dashboard.",
                  MONEY, [Query(expr, legend) for legend, expr in (_USED | _MACHINE).items()], stacked=True),
            Panel("Total per hour", "At list prices; an estimate, not a bill.", MONEY, [Query(_total())],
                  kind=Kind.STAT),
            Panel("Per 1,000 videos", "Total cost per video made, failed jobs and retries included.", MONEY,
                  [Query(formula("1000 * ($total) / 3600 / ($completed > 0)", total=_total(),
                                 completed=rate("video_jobs_total", 'outcome=~"completed|partial"')))],
                  kind=Kind.STAT),
            Panel("Charged usage", "Tokens, characters and images per second.", "short",
                  [Query(rate("video_usage_total", by=("kind",)), "{{kind}}")]),
        ]),
    ]),
)
# fmt: on


def build(catalogue: Catalogue, prices: Prices) -> Board:
    """Return the dashboard, with the list prices as variables."""
    return Board(
        RESOURCES_UID,
        "Resources",
        "Processor, memory, network, caches and the estimated cost per hour.",
        [*objective_groups(catalogue, "resources"), *_GROUPS],
        [_variable(name, prices, entry, more) for name, entry, more in _PRICES],
    )


def _variable(name: str, prices: Prices, entry: str, more: str) -> TextVariable:
    price = prices.prices[entry]
    return TextVariable(
        name,
        f"{prices.currency} per {price.unit}{more}",
        f"{price.source}, {price.date}; can be edited.",
        f"{price.value:.10g}",
    )

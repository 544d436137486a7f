"""What the service uses, and what that would cost."""

from __future__ import annotations

from reelbench.monitoring.boards.objectives import objectives
from reelbench.monitoring.boards.parts import ask, board, chart, stat, text_variable
from reelbench.monitoring.grafana import Dashboard, TextVariable
from reelbench.monitoring.layout import Group, Line
from reelbench.monitoring.promql import PLACE, gauge, hit_rate, quantile, rate
from reelbench.reporting.catalogue.prices import Prices
from reelbench.reporting.catalogue.sli import Catalogue
from reelbench.reporting.document.grafana_links import RESOURCES_UID

_HOUR = 3600
_SERVICE = 'job="service"'
PRICES = (
    ("price_input", "llm_input", ", input"),
    ("price_output", "llm_output", ", output"),
    ("price_characters", "tts", ", speech"),
    ("price_image", "image", ""),
    ("price_cpu", "cpu", ""),
    ("price_memory", "memory", ""),
)
"""Variables with list prices, to be typed over: name, entry of the price list, and what its unit leaves open."""
_CHARGED = (
    ("input_tokens", "$price_input / 1e6", "input tokens"),
    ("output_tokens", "$price_output / 1e6", "output tokens"),
    ("characters", "$price_characters / 1e6", "speech"),
    ("images", "$price_image", "images"),
)


def build(catalogue: Catalogue, prices: Prices) -> Dashboard:
    """The dashboard, with the limits that the catalogue sets and the prices of the list."""
    money = f"currency{prices.currency}"
    cpu = rate("process_cpu_time_seconds_total", _SERVICE)
    workers = rate("media_process_cpu_time_seconds_total", "")
    memory, workers_memory = gauge("process_memory_usage_bytes", _SERVICE), gauge("media_process_memory_usage_bytes")
    costs = [
        ask(f'{_HOUR} * {price} * {rate("video_usage_total", f"""{PLACE},kind="{kind}" """.strip())}', legend)
        for kind, price, legend in _CHARGED
    ]
    costs += [
        ask(f"$price_cpu * ({cpu} + ({workers} or vector(0)))", "processor"),
        ask(f"$price_memory / 2^30 * ({memory} + ({workers_memory} or vector(0)))", "memory"),
    ]
    total = " + ".join(
        [
            *(
                f'({_HOUR} * {price} * {rate("video_usage_total", f"""{PLACE},kind="{kind}" """.strip())} or vector(0))'
                for kind, price, _ in _CHARGED
            ),
            f"$price_cpu * ({cpu} + ({workers} or vector(0)))",
            f"$price_memory / 2^30 * ({memory} + ({workers_memory} or vector(0)))",
        ]
    )
    completed = rate("video_jobs_total", f'{PLACE},outcome=~"completed|partial"')
    opened = rate("http_client_connections_opened_total", by=("provider",))
    reused = rate("http_client_connections_reused_total", by=("provider",))
    processes = Group(
        "Processes",
        [
            Line(
                8,
                [
                    chart("CPU by process", "Cores; media are the service's worker processes together.", "short",
                          [ask(rate("process_cpu_time_seconds_total", "", by=("job", "type")), "{{job}} {{type}}"),
                           ask(workers, "media")], stack=True),
                    chart("Resident memory by process", "A slope that stays is a leak.", "bytes",
                          [ask(gauge("process_memory_usage_bytes", by=("job", "instance")), "{{job}} {{instance}}"),
                           ask(workers_memory, "media")]),
                    chart("Threads", "Of each process.", "none",
                          [ask(gauge("process_thread_count", by=("job",)), "{{job}}")]),
                ],
            )
        ],
    )  # fmt: skip
    network = Group(
        "Network",
        [
            Line(
                8,
                [
                    chart("Bytes by dependency", "Bodies sent and received a second, as on the wire.", "Bps",
                          [ask(rate("dependency_io_bytes_total", by=("dependency", "direction")),
                               "{{dependency}} {{direction}}")]),
                    chart("Connections", "A second: established anew, and found open.", "ops",
                          [ask(opened, "{{provider}} opened"), ask(reused, "{{provider}} reused")]),
                    chart("Reuse of connections", "Attempts that found an open connection.", "percentunit",
                          [ask(f"({reused} or 0 * {opened}) / (({reused} or 0 * {opened}) "
                               f"+ ({opened} or 0 * {reused}))", "{{provider}}")], top=1),
                    chart("P95 of connecting", "Name resolution and connection of an opened connection.", "s",
                          [ask(quantile(0.95, "http_client_connect_duration_seconds", "", by=("provider",)),
                               "{{provider}}", exemplar=True)], to_traces=True),
                ],
            )
        ],
    )  # fmt: skip
    cache = Group(
        "Cache",
        [
            Line(
                8,
                [
                    chart("Questions to the caches", "A second, by result; only misses cost a call.", "reqps",
                          [ask(rate("cache_requests_total", by=("cache", "result")), "{{cache}} {{result}}")],
                          stack=True),
                    chart("Cache hits", "Share of the questions that needed no call.", "percentunit",
                          [ask(hit_rate(by=("cache",)), "{{cache}}"), ask(hit_rate(), "all")], top=1),
                    chart("Saved by the caches", "Seconds of provider calls and bytes, a second.", "short",
                          [ask(rate("cache_time_saved_seconds_total", by=("cache",)), "{{cache}} seconds"),
                           ask(rate("cache_io_saved_bytes_total", by=("cache",)), "{{cache}} bytes")]),
                    chart("Size of the caches", "Bytes of the answers that are kept.", "bytes",
                          [ask(gauge("cache_size_bytes", by=("cache",)), "{{cache}}")]),
                ],
            )
        ],
    )  # fmt: skip
    cost = Group(
        "Estimated cost",
        [
            Line(
                8,
                [
                    chart("Cost per hour", "At list price, if it went on like this; the prices are variables above.",
                          money, costs, stack=True),
                    stat("Total per hour", "At list price; an estimate, not a bill.", money, [ask(total)]),
                    stat("Per 1,000 videos", "The same by the videos that are made; failed jobs and retries included.",
                         money, [ask(f"1000 * ({total}) / {_HOUR} / ({completed} > 0)")]),
                    chart("Charged usage", "Tokens, characters and images a second.", "short",
                          [ask(rate("video_usage_total", by=("kind",)), "{{kind}}")]),
                ],
            )
        ],
    )  # fmt: skip
    return board(
        RESOURCES_UID,
        "Resources",
        "Processor, memory, network, caches and the estimated cost per hour.",
        [*objectives(catalogue, "resources"), processes, network, cache, cost],
        *_prices(prices),
    )


def _prices(prices: Prices) -> tuple[TextVariable, ...]:
    listed = ((name, prices.prices[entry], more) for name, entry, more in PRICES)
    return tuple(
        text_variable(
            name,
            f"{prices.currency} per {price.unit}{more}",
            f"{price.source}, {price.date}; type another one.",
            f"{price.value:.10g}",
        )
        for name, price, more in listed
    )

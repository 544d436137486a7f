"""The cost of a scrape: the text of a large page, ours and the official exporter's, and what Prometheus needs for it.

A made page has the histograms of many cases, as the service has late in a suite. All costs are CPU time: of one thread
for the text, of the whole process for Prometheus.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Final
from wsgiref.simple_server import WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import psutil
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import Histogram
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import Resource
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import make_wsgi_app

from reelbench.bench.generators import BenchError
from reelbench.bench.ratio import Ratio, ratio
from reelbench.stack.endpoints import free_ports
from reelbench.stack.processes import Child, Processes
from reelbench.stack.prometheus import PrometheusBinary, command, configuration
from reelbench.telemetry.exposition import ScrapeReader
from reelbench.telemetry.scrape_server import SilentHandler, application

BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Upper bounds of the buckets: with infinity, count and sum a series has 17 lines."""
SHARES: Final = (0.01, 1.0)
"""Shares of the series that change between two scrapes."""
KEPT: Final = 0.13
"""Share of the series that would stay if series of ended cases were left out: 1,800 of 14,000 lines."""
_ASKED: Final = {
    "REQUEST_METHOD": "GET",
    "PATH_INFO": "/metrics",
    "QUERY_STRING": "",
    "HTTP_ACCEPT": "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
    "HTTP_ACCEPT_ENCODING": "gzip",
}
"""The request of Prometheus 2.42."""
_FIRST: Final = 3
"""Scrapes before the measured ones: Prometheus creates its series at the first one."""
_PATIENCE: Final = 30.0
"""Seconds that scrapes may take longer than planned."""


class Page:
    """A page of histogram series, which two readers collect: the official exporter's and ours."""

    def __init__(self, series: int, seed: int) -> None:
        registry = CollectorRegistry()
        reader = ScrapeReader()
        provider = MeterProvider(
            metric_readers=[PrometheusMetricReader(registry=registry), reader],
            resource=Resource({"service.name": "service", "service.instance.id": "1"}),
        )
        self.ours: WSGIApplication = application(reader)
        self.official: WSGIApplication = make_wsgi_app(registry)
        self._histogram: Histogram = provider.get_meter("service").create_histogram(
            "video.job.stage.duration", "s", "Time in a stage.", explicit_bucket_boundaries_advisory=BOUNDS
        )
        self._labels = [_labels(number) for number in range(series)]
        self._draw = random.Random(seed)
        self.change(1.0)

    def change(self, share: float) -> None:
        """Record one value in a share of the series, at least in one."""
        count = min(max(1, round(share * len(self._labels))), len(self._labels))
        for labels in self._draw.sample(self._labels, count):
            self._histogram.record(self._draw.lognormvariate(-1.0, 1.0), labels)


def _labels(number: int) -> Mapping[str, str]:
    scenario, case = divmod(number, 20)
    return {
        "run_id": "20260101-120000-ab12",
        "scenario": f"scenario_{scenario}",
        "case": f"n{case:02}",
        "stage": "visual",
        "outcome": "ok",
    }


@dataclass(frozen=True, slots=True)
class Rendered:
    """CPU of the text of a page after a share of its series changed, in milliseconds."""

    share: float
    lines: int
    ours: tuple[float, ...]
    official: tuple[float, ...]

    @property
    def ratio(self) -> Ratio:
        """Ours / official, pair by pair."""
        return ratio(self.ours, self.official)


def render(series: int, rounds: int, seed: int) -> list[Rendered]:
    """Measure the text of a page, both ways alternating, for each share of changed series.

    Raises:
        BenchError: the two texts differ.
    """
    found = []
    for share in SHARES:
        page = Page(series, seed)
        answer(page.ours)
        answer(page.official)
        pairs = []
        for number in range(rounds):
            page.change(share)
            apps = (page.ours, page.official)
            costs = [_cost(app) for app in (apps if number % 2 else apps[::-1])]
            pairs.append(costs if number % 2 else costs[::-1])
        lines = answer(page.ours).count(b"\n")
        found.append(Rendered(share, lines, tuple(ours for ours, _ in pairs), tuple(theirs for _, theirs in pairs)))
    return found


def _cost(app: WSGIApplication) -> float:
    begun = time.thread_time()
    answer(app)
    return (time.thread_time() - begun) * 1e3


def answer(app: WSGIApplication) -> bytes:
    """Return the body that an application answers to Prometheus.

    Raises:
        BenchError: the status is not 200.
    """

    def start(status: str, _: object, *__: object) -> Callable[[bytes], object]:
        if status != "200 OK":
            raise BenchError(f"the page answered {status}")
        return lambda _: None

    return b"".join(app(dict(_ASKED), start))


@dataclass(frozen=True, slots=True)
class Ingested:
    """CPU of Prometheus for one scrape of a page, in milliseconds."""

    what: str
    lines: int
    scrapes: int
    each: float


def ingest(series: int, scrapes: int, seed: int, prometheus: PrometheusBinary, folder: Path) -> list[Ingested]:
    """Let one Prometheus for each page scrape it every second, all at the same time, and measure their CPU time.

    The pages: one series, all series, and those that would remain without the ended cases.

    Raises:
        BenchError: a Prometheus did not scrape its page.
        StackError: a Prometheus did not start.
    """
    pages = {
        "one series": 1,
        "all series": series,
        "without the series of ended cases": max(1, round(series * KEPT)),
    }
    changed = SHARES[0] * series
    with ExitStack() as entered:
        processes = entered.enter_context(Processes())
        targets = [entered.enter_context(_served(Page(size, seed), changed / size)) for size in pages.values()]
        children = [
            _start(processes, target, prometheus, folder / str(number)) for number, target in enumerate(targets)
        ]
        before = [_at(target, child, _FIRST, _FIRST) for target, child in zip(targets, children, strict=True)]
        after = [_at(target, child, _FIRST + scrapes, scrapes) for target, child in zip(targets, children, strict=True)]
    return [
        Ingested(what, target.lines, end[0] - begin[0], (end[1] - begin[1]) * 1e3 / (end[0] - begin[0]))
        for what, target, begin, end in zip(pages, targets, before, after, strict=True)
    ]


@dataclass(slots=True)
class _Target:
    """A page behind a port, which counts its scrapes and changes before each."""

    page: Page
    share: float
    port: int = 0
    scrapes: int = 0
    lines: int = 0

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        self.page.change(self.share)
        parts = list(self.page.ours(environ, start))
        self.lines = sum(part.count(b"\n") for part in parts)
        self.scrapes += 1
        return parts


@contextmanager
def _served(page: Page, share: float) -> Iterator[_Target]:
    target = _Target(page, share)
    [target.port] = free_ports(1)
    server: WSGIServer = make_server("127.0.0.1", target.port, target, handler_class=SilentHandler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield target
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _start(processes: Processes, target: _Target, prometheus: PrometheusBinary, folder: Path) -> Child:
    folder.mkdir(parents=True)
    config = folder / "prometheus.yml"
    config.write_text(configuration({"page": [f"127.0.0.1:{target.port}"]}), encoding="utf-8")
    [port] = free_ports(1)
    return processes.start(
        "prometheus",
        command(prometheus.path, config=config, data=folder / "data", port=port),
        environment={},
        directory=folder,
        log=folder / "log",
    )


def _at(target: _Target, child: Child, scrapes: int, seconds: float) -> tuple[int, float]:
    """Wait until a page was scraped so often; return the scrapes and the CPU seconds of its Prometheus."""
    end = time.monotonic() + seconds + _PATIENCE
    while target.scrapes < scrapes:
        child.check()
        if time.monotonic() > end:
            raise BenchError(f"Prometheus scraped its page {target.scrapes} times, not {scrapes} times")
        time.sleep(0.05)
    times = psutil.Process(child.process.pid).cpu_times()
    return target.scrapes, times.user + times.system


def lines(rendered: Sequence[Rendered], ingested: Sequence[Ingested], version: str) -> list[str]:
    """Return the result as lines of text."""
    found = [f"text of a page, CPU of a scrape, {len(rendered[0].ours)} rounds"]
    found += [
        f"{one.lines:>9,} lines, {one.share:>4.0%} of the series changed: "
        f"ours {statistics.median(one.ours):6.1f} ms, official exporter {statistics.median(one.official):6.1f} ms, "
        f"ratio {one.ratio}"
        for one in rendered
    ]
    if ingested:
        found.append(f"Prometheus {version}, CPU of a scrape, {ingested[0].scrapes} scrapes, one a second")
        found += [f"{one.lines:>9,} lines: {one.each:6.1f} ms, {one.what}" for one in ingested]
    return found

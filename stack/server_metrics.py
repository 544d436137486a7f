"""The metrics of a server that is not ours: pages to scrape, and the Prometheus of the user."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from urllib.parse import urlsplit

from reelbench.loadgen.record.address import shown_url
from reelbench.loadgen.record.stack import MetricsSourceRecord
from reelbench.stack import http
from reelbench.stack.errors import NotMetricsError, StackError
from reelbench.stack.metrics_page import MetricsPage
from reelbench.stack.prometheus import ScrapedPage

_TIMEOUT = 10.0
_LOOK_BACK = 300
"""Seconds in which a series must have had a sample."""
_UNKNOWN_INTERVAL = 60.0
"""Seconds between two samples, where too few are stored to find out."""


@dataclass(frozen=True, slots=True)
class PageSource:
    """A page with metrics, and the sets of known names that it has."""

    page: MetricsPage
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PrometheusSource:
    """Series in the Prometheus of the user."""

    url: str
    """With credentials, if the user wrote some."""
    selector: str
    metrics: frozenset[str]
    """Names of the metrics that it selects."""
    interval: float
    """Seconds between two samples."""
    names: tuple[str, ...] = ()
    """Sets of known names among them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerMetrics:
    """Everything that a run reads of a server that is not ours."""

    pages: tuple[PageSource, ...] = ()
    series: tuple[PrometheusSource, ...] = ()
    gpu_hour_price: float | None = None
    gpus: int | None = None

    @property
    def interval(self) -> float:
        """Seconds between two samples of the slowest source; 0 without a source."""
        return max(
            (*(float(one.page.interval) for one in self.pages), *(one.interval for one in self.series)), default=0.0
        )

    @contextmanager
    def scraped(self) -> Iterator[tuple[ScrapedPage, ...]]:
        """Yield the pages as Prometheus scrapes them; a secret is a file in memory, which has no name on any disk.

        Raises:
            StackError: a page needs a secret, and this system has no files in memory.
        """
        with ExitStack() as files:
            yield tuple(
                ScrapedPage(number, source.page, _descriptor(source.page, files))
                for number, source in enumerate(self.pages, 1)
            )

    def records(self) -> tuple[MetricsSourceRecord, ...]:
        """Return the sources for ``stack.json``, without credentials."""
        pages = [
            MetricsSourceRecord(
                url=source.page.url,
                selector=ScrapedPage(number, source.page).selector,
                names=source.names,
                scraped=True,
                interval=float(source.page.interval),
            )
            for number, source in enumerate(self.pages, 1)
        ]
        series = [
            MetricsSourceRecord(
                url=shown_url(source.url),
                selector=source.selector,
                names=source.names,
                scraped=False,
                interval=source.interval,
            )
            for source in self.series
        ]
        return (*pages, *series)


NO_METRICS = ServerMetrics()


def _descriptor(page: MetricsPage, files: ExitStack) -> int | None:
    """Return the descriptor of a file in memory with the secret of a page; None when the page needs none."""
    secret = page.password if page.user is not None else page.access.token
    if secret is None:
        return None
    if not hasattr(os, "memfd_create"):
        raise StackError(f"The metrics page {page.url} needs a password, which this system cannot hand to Prometheus.")
    descriptor = os.memfd_create("reelbench-secret")
    files.callback(os.close, descriptor)
    os.write(descriptor, secret.encode())
    return descriptor


def read_prometheus(url: str, selector: str) -> PrometheusSource:
    """Find what a selector selects in the Prometheus of the user.

    Raises:
        StackError: this Prometheus does not answer, or the selector is wrong.
        NotMetricsError: nothing is selected.
    """
    found = http.query(url, f"group by (__name__) (last_over_time({selector}[{_LOOK_BACK}s]))", timeout=_TIMEOUT)
    names = frozenset(one["metric"]["__name__"] for one in found if "__name__" in one["metric"])
    if not names:
        cure = 'write it as in a query of that Prometheus, such as {job="vllm"}'
        raise NotMetricsError(f"--selector {selector} selects nothing in the Prometheus at {shown_url(url)}; {cure}")
    return PrometheusSource(url, selector, names, _interval(url, named(selector, min(names))))


def named(selector: str, pattern: str) -> str:
    """Return a selector in braces, narrowed down to the metrics whose whole name matches a regular expression."""
    inner = selector.strip()[1:-1].strip().rstrip(",")
    return f'{{{inner}{"," if inner else ""}__name__=~"{pattern}"}}'


def _interval(url: str, selector: str) -> float:
    """Return the seconds between two samples of a series: the median of the last minutes."""
    found = http.query(url, f"{selector}[{_LOOK_BACK}s]", timeout=_TIMEOUT)
    times = max(([float(at) for at, _ in one["values"]] for one in found), key=len, default=[])
    return round(statistics.median(b - a for a, b in pairwise(times)), 1) if len(times) > 1 else _UNKNOWN_INTERVAL


def same_origin(one: str, other: str) -> bool:
    """Return True when two addresses have the same scheme, host and port, so that a key for one may go to the other."""
    first, second = urlsplit(one), urlsplit(other)
    return (first.scheme, first.hostname, first.port) == (second.scheme, second.hostname, second.port)


MOST_WAIT = 150.0
"""Seconds to wait for the samples after a run in the Prometheus of the user."""


def await_samples(
    server: ServerMetrics,
    ended: float,
    *,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Wait until the Prometheus of the user has a sample from after the end of a run; at most a few of its intervals.

    The pages that the embedded Prometheus scrapes are awaited with its other targets.
    """
    for source in server.series:
        deadline = clock() + min(3 * source.interval + 5.0, MOST_WAIT)
        while clock() < deadline and not _sampled(source, ended, clock()):
            sleep(min(1.0, source.interval))


def _sampled(source: PrometheusSource, after: float, now: float) -> bool:
    try:
        found = http.query(
            source.url, f"max(timestamp({named(source.selector, min(source.metrics))}))", timeout=_TIMEOUT
        )
    except StackError:
        return False
    return bool(found) and float(found[0]["value"][1]) >= min(after, now)

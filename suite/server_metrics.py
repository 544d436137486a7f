"""What the options and the target file say about the server's own metrics, found and checked before a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from reelbench.loadgen.http.credentials import NO_CREDENTIALS
from reelbench.loadgen.option_line import Options
from reelbench.loadgen.options import Settings, is_base_url
from reelbench.loadgen.target.access import AccessError, filled
from reelbench.loadgen.target.target_file import TargetFile
from reelbench.reporting.catalogue.server_metrics import sets_of, unknown_sets
from reelbench.stack.errors import NotMetricsError, StackError
from reelbench.stack.metrics_page import MetricsPage, PageAccess, read_page
from reelbench.stack.server_metrics import PageSource, PrometheusSource, ServerMetrics, read_prometheus, same_origin

REST = 2.5
"""Scrape intervals without load around a case: a sample before and one after it, with the values at rest."""


def slis_of(options: Options, server: TargetFile | None) -> Path | None:
    """Return the file with indicators that the target file names, from the folder of that file."""
    if server is None or server.slis is None:
        return None
    return (options.target_file.parent if options.target_file else Path()) / server.slis


def option_errors(options: Options, server: TargetFile | None) -> list[str]:
    """Return what is wrong with the options about metrics and prices, and with the sets of the target file."""
    errors = list(_address_errors(options))
    if options.gpu_hour_price is not None and not 0 <= options.gpu_hour_price <= 1e6:  # noqa: PLR2004 - a typing error
        errors.append(f"--gpu-hour-price: is {options.gpu_hour_price:g}; use 0 to 1000000")
    if options.gpus is not None and not 1 <= options.gpus <= 100_000:  # noqa: PLR2004 - a typing error
        errors.append(f"--gpus: is {options.gpus}; use 1 to 100000")
    names = [name for one in (server.metrics if server else ()) for name in one.names]
    return errors + [f"--target-file: metrics: {sentence}" for sentence in unknown_sets(names)]


def _address_errors(options: Options) -> Iterator[str]:
    for url in options.metrics:
        if not _is_page(url):
            yield "--metrics: is no address of a page; write it like http://127.0.0.1:8000/metrics"
    if options.prometheus is not None and not is_base_url(options.prometheus):
        yield "--prometheus: is no base URL; write it like http://127.0.0.1:9090"
    if options.prometheus is not None and not options.selector:
        yield "--prometheus: needs --selector, which selects the series of the server, such as '{job=\"vllm\"}'"
    if options.prometheus is None and options.selector:
        yield "--selector: needs --prometheus, the Prometheus in which it selects"
    for selector in options.selector:
        inner = selector.strip()
        if not (inner.startswith("{") and inner.endswith("}") and inner[1:-1].strip()):
            yield f"--selector: {selector!r} is no selector in braces; write it like '{{job=\"vllm\"}}'"


def _is_page(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port_ok = parts.port is None or parts.port > 0
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and port_ok


def find(
    options: Options, settings: Settings | None, say: Callable[[str], None], environment: Mapping[str, str]
) -> ServerMetrics:
    """Read every source of the server's metrics once.

    Without a source in the options or the target file, /metrics below the base URL is tried; it is used if it has known
    names.

    Args:
        options: The command line.
        settings: What was checked of a server that is not ours; None: the service of this project.
        say: Writes a line about the progress.
        environment: Holds the secrets that addresses name.

    Raises:
        StackError: a source that was named does not answer.
        NotMetricsError: a source that was named has no metrics.
    """
    access = _Access(settings)
    pages = [_source(read_page(url, access.of(url)), names) for url, names in _wanted(options, settings, environment)]
    prometheus = _filled(options.prometheus, "--prometheus", environment) if options.prometheus else None
    series = [_series(prometheus, selector) for selector in options.selector if prometheus]
    if settings is not None and not pages and not series:
        pages = [page for page in [_quiet(default_page(settings.target), access)] if page is not None]
    for source in pages:
        say(f"server metrics: {source.page.url} ({', '.join(source.names) or 'no known names'})")
    for read in series:
        say(f"server metrics: {read.selector} ({', '.join(read.names) or 'no known names'})")
    return ServerMetrics(
        pages=tuple(pages), series=tuple(series), gpu_hour_price=options.gpu_hour_price, gpus=options.gpus
    )


def _wanted(
    options: Options, settings: Settings | None, environment: Mapping[str, str]
) -> list[tuple[str, tuple[str, ...]]]:
    """Return the pages of the options, or of a target file that the user wrote, with their sets."""
    if options.metrics:
        return [(_filled(url, "--metrics", environment), ()) for url in options.metrics]
    if settings is None or settings.server is None or options.target_file is None or options.prometheus is not None:
        return []
    return [(one.url or default_page(settings.target), one.names) for one in settings.server.metrics]


def _filled(url: str, option: str, environment: Mapping[str, str]) -> str:
    """Return an address with the environment variables that it names.

    Raises:
        NotMetricsError: a variable is not set.
    """
    try:
        return filled(url, environment, option)
    except AccessError as error:
        raise NotMetricsError(str(error)) from error


def default_page(target: str) -> str:
    """Return the usual page of a server: /metrics below the base URL, without a suffix /v1."""
    return f"{target.rstrip('/').removesuffix('/v1')}/metrics"


class _Access:
    """The access to the pages: the key of the target goes to a page of the same server alone."""

    def __init__(self, settings: Settings | None) -> None:
        self._target = settings.target if settings else None
        self._credentials = settings.credentials if settings else NO_CREDENTIALS

    def of(self, url: str) -> PageAccess:
        """Return the access to one page."""
        ours, known = self._target is not None and same_origin(url, self._target), self._credentials
        scheme, _, token = known.headers.get("Authorization", "").partition(" ")
        return PageAccess(
            token=token if ours and scheme == "Bearer" else None,
            ca_file=known.ca_file,
            client_cert=known.client_cert if ours else None,
            client_key=known.client_key if ours else None,
            insecure=known.insecure,
        )


def _source(page: MetricsPage, names: tuple[str, ...]) -> PageSource:
    return PageSource(page, names or sets_of(page.names))


def _quiet(url: str, access: _Access) -> PageSource | None:
    """Return the usual page of a server if it has known names; nothing is said about one that is not there."""
    try:
        found = _source(read_page(url, access.of(url)), ())
    except StackError:
        return None
    return found if found.names else None


def _series(prometheus: str, selector: str) -> PrometheusSource:
    found = read_prometheus(prometheus, selector.strip())
    return dataclasses.replace(found, names=sets_of(found.metrics))


def rest_of(options: Options, metrics: ServerMetrics) -> float | None:
    """Return the least seconds without load around a case: those of the option, or enough samples of every source."""
    if options.rest is not None or not (metrics.pages or metrics.series):
        return options.rest
    return round(REST * metrics.interval, 1)

"""A page with metrics of a server that is not ours: checked before a run, then scraped by the embedded Prometheus."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

import requests
from prometheus_client.parser import text_string_to_metric_families

from reelbench.stack.errors import NotMetricsError, StackError
from reelbench.stack.http import may_use_proxy, reason

TIMEOUT = 10.0
"""Seconds for the check; a page that needs longer cannot be scraped in time."""
LONGEST = 20.0
"""Seconds until the whole page must have come."""
MOST_BYTES = 20_000_000
"""Of a page; Prometheus gets the same limit."""
SLOW = 0.4
"""Seconds for a page from which on it is scraped less often."""
_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class PageAccess:
    """How to reach a page. The fields with secrets are never shown."""

    token: str | None = field(default=None, repr=False)
    """Bearer token."""
    ca_file: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    insecure: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsPage:
    """A page that was read. The fields with secrets are never shown."""

    url: str
    """Without user and password."""
    names: frozenset[str]
    """Names of its samples, with suffixes."""
    seconds: float
    """How long it took."""
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    access: PageAccess = PageAccess()

    @property
    def scheme(self) -> str:
        """Of the address: http or https."""
        return urlsplit(self.url).scheme

    @property
    def address(self) -> str:
        """Host and port, as Prometheus names a target."""
        return urlsplit(self.url).netloc

    @property
    def path(self) -> str:
        """Path of the page."""
        return urlsplit(self.url).path or "/"

    @property
    def parameters(self) -> dict[str, list[str]]:
        """The query of the address."""
        found: dict[str, list[str]] = {}
        for name, value in parse_qsl(urlsplit(self.url).query, keep_blank_values=True):
            found.setdefault(name, []).append(value)
        return found

    @property
    def interval(self) -> int:
        """Seconds between two scrapes."""
        return 1 if self.seconds < SLOW else 5


def split_credentials(url: str) -> tuple[str, str | None, str | None]:
    """Return an address without its user and password, and these two."""
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url, None, None
    host = parts.netloc.rpartition("@")[2]
    user = unquote(parts.username or "")
    password = unquote(parts.password) if parts.password is not None else None
    return urlunsplit(parts._replace(netloc=host)), user, password


def read_page(url: str, access: PageAccess) -> MetricsPage:
    """Read a page with metrics once.

    Raises:
        StackError: it does not answer with status 200.
        NotMetricsError: it is no page of metrics.
    """
    shown, user, password = split_credentials(url)
    headers = {"Accept": "text/plain;version=0.0.4;q=0.9,*/*;q=0.1"}
    if access.token is not None and user is None:
        headers["Authorization"] = f"Bearer {access.token}"
    begun = time.monotonic()
    try:
        with requests.Session() as session:
            session.trust_env = may_use_proxy(shown)
            if user is not None:
                session.auth = (user, password or "")
            session.verify = False if access.insecure else str(access.ca_file) if access.ca_file else True
            if access.client_cert:
                session.cert = (str(access.client_cert), str(access.client_key or access.client_cert))
            with session.get(shown, headers=headers, timeout=TIMEOUT, stream=True) as answer:
                status, media_type = answer.status_code, answer.headers.get("Content-Type", "")
                body = _limited(answer.iter_content(_CHUNK), shown, begun + LONGEST) if status == HTTPStatus.OK else b""
    except requests.RequestException as error:
        msg = f"the metrics page {shown} does not answer ({reason(error)}); correct --metrics, or start the server"
        raise StackError(msg) from error
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        cure = "write user and password into --metrics, or give the key that the page asks for (--api-key-env)"
        raise StackError(f"the metrics page {shown} answers {status}; {cure}")
    if status != HTTPStatus.OK:
        raise StackError(f"the metrics page {shown} answers {status}; correct --metrics, or leave it out")
    names = _names(body, media_type, shown)
    return MetricsPage(
        url=shown, names=names, seconds=time.monotonic() - begun, user=user, password=password, access=access
    )


def _limited(chunks: Iterable[bytes], url: str, until: float) -> bytes:
    found = bytearray()
    for chunk in chunks:
        found += chunk
        if time.monotonic() > until:
            raise NotMetricsError(f"{url} does not end within {LONGEST:g} s; name a page with metrics")
        if len(found) > MOST_BYTES:
            raise NotMetricsError(f"{url} has more than {MOST_BYTES:,} bytes; name a page with metrics")
    return bytes(found)


def _names(body: bytes, media_type: str, url: str) -> frozenset[str]:
    """Return the names of all samples of a page."""
    cure = "name the page that a Prometheus would scrape, such as http://127.0.0.1:8000/metrics"
    text = body.decode(errors="replace")
    if "html" in media_type or text.lstrip()[:1] == "<":
        raise NotMetricsError(f"{url} answers HTML and no metrics; {cure}")
    try:
        names = {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}
    except (ValueError, IndexError, KeyError) as error:
        what = media_type.partition(";")[0] or "text"
        raise NotMetricsError(f"{url} answers {what}, which is no exposition format of Prometheus; {cure}") from error
    if not names:
        raise NotMetricsError(f"{url} answers without any metric; {cure}")
    return frozenset(names)

"""Headers that a Prometheus, or a server that answers like one, demands: a tenant, a bearer token."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final
from urllib.parse import unquote, urlsplit

HEADERS_VARIABLE: Final = "REELBENCH_PROMETHEUS_HEADERS"
"""Variable with the headers of every query: ``Name=value`` separated by commas, values percent-encoded where needed."""
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(r"[\x20-\x7e]+")
_OURS: Final = frozenset({"accept", "connection", "content-length", "content-type", "host", "transfer-encoding"})
"""Headers that the client itself writes."""
_FORM: Final = "write it like X-Scope-OrgID=team-a,Authorization=Bearer%20TOKEN"


class PrometheusHeadersError(ValueError):
    """The variable with the headers is wrong; the message is one sentence without a value of a header."""


def prometheus_headers(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the headers of every query; the form of the variable is that of ``OTEL_EXPORTER_OTLP_HEADERS``.

    Raises:
        PrometheusHeadersError: the variable has another form.
    """
    headers: dict[str, str] = {}
    entries = [entry for entry in environment.get(HEADERS_VARIABLE, "").split(",") if entry.strip()]
    for number, entry in enumerate(entries, start=1):
        name, equals, encoded = entry.partition("=")
        name, value = name.strip(), unquote(encoded.strip())
        if not equals or not _NAME.fullmatch(name):
            raise PrometheusHeadersError(f"{HEADERS_VARIABLE}: entry {number} is not Name=value; {_FORM}")
        if not _VALUE.fullmatch(value):
            problem = "is empty, or has a character that is not printable ASCII"
            raise PrometheusHeadersError(f"{HEADERS_VARIABLE}: the value of {name} {problem}; {_FORM}")
        if name.lower() in _OURS:
            raise PrometheusHeadersError(f"{HEADERS_VARIABLE}: {name} is written by the client; leave it out")
        if name.lower() in (known.lower() for known in headers):
            raise PrometheusHeadersError(f"{HEADERS_VARIABLE}: {name} is given more than once; give it once")
        headers[name] = value
    return headers


def access_errors(urls: Mapping[str, str | None], environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return what is wrong with the headers, alone and together with a password in an address.

    Args:
        urls: Name of an option or a variable to the base URL of a Prometheus that it holds.
        environment: Holds the headers.
    """
    try:
        names = {name.lower() for name in prometheus_headers(environment)}
    except PrometheusHeadersError as error:
        return [str(error)]
    return [
        f"{name}: has a password and {HEADERS_VARIABLE} has Authorization; give one of them"
        for name, url in urls.items()
        if url and "authorization" in names and "@" in urlsplit(url).netloc
    ]


def refusal(shown: str, status: int) -> str | None:
    """Return one sentence with the cure for an answer about access; None: the answer is about something else.

    Args:
        shown: Base URL of the Prometheus, without a password.
        status: Status of the answer.
    """
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return (
            f"Prometheus at {shown} refused the access (HTTP {status}); set its tenant or token in {HEADERS_VARIABLE}, "
            "or write user and password into its URL."
        )
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return (
            f"Prometheus at {shown} refers to another address (HTTP {status}), to which no header is sent; give the "
            "address that answers."
        )
    return None

"""Addresses with a password: the form that may be written, and the password where a part of the stack needs it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

ADDRESS_VARIABLES: Final = ("SERVICE_URL", "PROMETHEUS_URL", "TEMPO_URL", "PROVIDERS_URL", "GRAFANA_URL")
"""Variables that name the parts of a running stack, which may hold a password."""
_USER: Final = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*://)?.*@", re.DOTALL)


def shown_url(url: str) -> str:
    """Return a URL without user and password: the only form that is printed, recorded or passed as an argument.

    A text that is no valid URL is shown as by `without_user`.
    """
    if "@" not in url:
        return url
    try:
        parts = urlsplit(url)
        valid = bool(parts.scheme and parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        return without_user(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if "@" in parts.netloc else url


def without_user(text: str) -> str:
    """Return a text that is no base URL without everything before its last ``@``, as any of it may be a password."""
    return _USER.sub(r"\1", text)


def with_password(shown: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return the URL of a part of the stack with the password that the environment has for this address, if any."""
    for name in ADDRESS_VARIABLES:
        url = environment.get(name, "").rstrip("/")
        if "@" in url and shown_url(url) == shown.rstrip("/"):
            return url
    return shown

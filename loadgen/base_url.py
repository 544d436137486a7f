"""Whether a text is the base URL of a service. Apart from the options, so that who asks need not load the generator."""

from __future__ import annotations

from urllib.parse import urlsplit


def is_base_url(text: str) -> bool:
    """True for http or https with a host, and nothing behind the path."""
    try:
        url = urlsplit(text)
        port_ok = url.port is None or url.port > 0
    except ValueError:
        return False
    return url.scheme in {"http", "https"} and bool(url.hostname) and port_ok and not url.query and not url.fragment

"""Credentials of a server: headers, certificates and proxies. This record alone holds secrets, and never shows them."""

from __future__ import annotations

import ipaddress
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

_PORTS: Final = {"http": 80, "https": 443}
_LOOPBACK: Final = re.compile(r"localhost|.+\.localhost|127(\.\d{1,3}){3}|::1")
_LEAST: Final = 4
"""Length of the shortest text that is taken for a secret in a message; a shorter one would garble the message."""
HIDDEN: Final = "***"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What one server gets with each request; the representation of this record has no secret."""

    origin: str = ""
    """A URL of the server that the headers and the client's certificate belong to; empty: there are none."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Headers of every request to the server."""
    user: str = field(default="", repr=False)
    """User and password of the base URL, as written in it."""
    ca_file: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    insecure: bool = False
    proxies: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Scheme (or ``all``) to the proxy's URL, and ``no`` to the hosts without a proxy, divided by commas."""

    @property
    def sends_key(self) -> bool:
        """Whether requests carry an Authorization header or another header with a secret."""
        return any(carries_secret(name) for name in self.headers)

    def belongs_to(self, url: str) -> bool:
        """Return whether secrets may go to a URL: same scheme, host and port, or the same host by https."""
        ours, other = urlsplit(self.origin), urlsplit(url)
        if not ours.hostname or ours.hostname != other.hostname:
            return False
        return _place(ours) == _place(other) or (ours.scheme == "http" and other.scheme == "https")

    def on(self, url: str) -> Credentials:
        """Return what may go to a URL, such as that of a redirect: without secrets if the URL is another server's."""
        if self.belongs_to(url):
            return self
        return replace(self, origin="", headers={}, user="", client_cert=None, client_key=None)

    def proxy(self, url: str) -> str | None:
        """Return the URL of the proxy for a URL; None: no proxy. Loopback is never reached through a proxy."""
        parts = urlsplit(url)
        if (
            not self.proxies
            or _LOOPBACK.fullmatch(parts.hostname or "")
            or _bypassed(parts, self.proxies.get("no", ""))
        ):
            return None
        return self.proxies.get(parts.scheme) or self.proxies.get("all")

    def full(self, url: str) -> str:
        """Return a URL of the server with user and password, for a process that gets it by its environment."""
        return url.replace("://", f"://{self.user}@", 1) if self.user else url

    def clean(self, text: str) -> str:
        """Return a text of a library or a server without the secrets that it may repeat."""
        for secret in self._secrets():
            text = text.replace(secret, HIDDEN)
        return text

    def tls(self) -> ssl.SSLContext:
        """Return the settings of TLS; a file with authorities adds to those of the system.

        Raises:
            OSError: a file cannot be read or is no certificate or key.
        """
        context = ssl.create_default_context()
        if self.ca_file is not None:
            context.load_verify_locations(self.ca_file)
        if self.client_cert is not None:
            # Without a password given here, OpenSSL asks the terminal for that of an encrypted key.
            context.load_cert_chain(self.client_cert, self.client_key, password="")
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def _secrets(self) -> list[str]:
        """Return all secrets, the longest first."""
        found = set[str]()
        for name, value in self.headers.items():
            if carries_secret(name):
                found |= {value, *value.split()[1:]}
        for user in (self.user, *(urlsplit(url).netloc.rpartition("@")[0] for url in self.proxies.values())):
            password = user.partition(":")[2]
            found |= {user, password, unquote(password)}
        return sorted((secret for secret in found if len(secret) >= _LEAST), key=len, reverse=True)


NO_CREDENTIALS: Final = Credentials()


def carries_secret(header: str) -> bool:
    """Return whether a header of this name carries a secret."""
    return re.search(r"auth|cookie|key|token|secret|passw|credential", header, re.IGNORECASE) is not None


def _bypassed(url: SplitResult, hosts: str) -> bool:
    """Return whether NO_PROXY has the host of a URL: by its name or a domain of it, address, network, or ``*``."""
    host = (url.hostname or "").lower()
    for entry in filter(None, (part.strip().lower() for part in hosts.split(","))):
        name = entry.removeprefix("*").removeprefix(".")
        if entry in {"*", f"{host}:{url.port}"} or host == name or host.endswith(f".{name}"):
            return True
        try:
            if ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False):
                return True
        except ValueError:  # a name, not an address
            continue
    return False


def _place(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)

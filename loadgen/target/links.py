"""Addresses of requests: the base URL and its path, redirects, links to files, and which of them may be followed.

A redirect of the API is followed on the same server only, or from http to https on the same host. A link or redirect to
a file is followed to any server with http or https, without the key and headers of the target; private addresses only
if the target has such an address itself.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import Final
from urllib.parse import quote, urljoin, urlsplit

import msgspec

from reelbench.loadgen.record.foreign_text import one_line

MAX_HOPS: Final = 5
"""Redirects that are followed in one exchange."""
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
RESENT: Final = frozenset({307, 308})
"""Redirects that repeat a POST with its body."""
PERMANENT: Final = frozenset({301, 308})
_PORTS: Final = {"http": 80, "https": 443}
_SAFE: Final = "/%:@!$&'()*+,;=~"


class LinkError(Exception):
    """A link or redirect that is not followed; the message is one line."""


class Address(msgspec.Struct, frozen=True):
    """Where a request goes."""

    scheme: str
    host: str
    port: int
    path: str = "/"
    """Percent-encoded, with query."""

    @property
    def origin(self) -> str:
        """The URL without path."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + ("" if self.port == _PORTS[self.scheme] else f":{self.port}")

    def same_server(self, other: Address) -> bool:
        """Return whether both name the same scheme, host and port."""
        return (self.scheme, self.host, self.port) == (other.scheme, other.host, other.port)

    def upgrades(self, other: Address) -> bool:
        """Return whether the other address is this host by https instead of http."""
        return self.host == other.host and (self.scheme, other.scheme) == ("http", "https")


def split_base(url: str, path: str) -> tuple[str, str]:
    """Return the URL of the server and the path of the jobs.

    The end of the URL may be a beginning of the path, such as ``/v1`` or the whole ``/v1/videos``: it counts once.

    Args:
        url: base URL as the user wrote it.
        path: path of the request that creates a job, such as ``/v1/videos``.
    """
    parts = urlsplit(url)
    given = [word for word in parts.path.split("/") if word]
    wanted = [word for word in path.split("/") if word]
    shared = next((n for n in range(min(len(given), len(wanted)), 0, -1) if given[-n:] == wanted[:n]), 0)
    words = given[: len(given) - shared] + wanted
    return f"{parts.scheme}://{parts.netloc}", quote("".join(f"/{word}" for word in words), safe=_SAFE)


def address(url: str) -> Address:
    """Return the address of an absolute URL.

    Raises:
        LinkError: no URL with http or https and a host.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise LinkError(f"{one_line(url, 80)!r} is no URL") from error
    if parts.scheme not in _PORTS or not parts.hostname:
        raise LinkError(f"{one_line(url, 80)!r} is no address with http or https")
    path = quote(parts.path or "/", safe=_SAFE) + (f"?{quote(parts.query, safe=_SAFE + '?[]')}" if parts.query else "")
    return Address(parts.scheme, parts.hostname, port or _PORTS[parts.scheme], path)


def joined(place: Address, link: str) -> Address:
    """Return the address of a link that was found in an answer of `place`.

    Raises:
        LinkError: as `address`.
    """
    try:
        return address(urljoin(place.origin + place.path, link))
    except ValueError as error:
        raise LinkError(f"{one_line(link, 80)!r} is no URL") from error


def next_call(at: Address, status: int, location: str, method: str) -> Address:
    """Return where a request of the API goes after a redirect.

    Raises:
        LinkError: the redirect is not followed.
    """
    place = joined(at, location)
    if not (at.same_server(place) or at.upgrades(place)):
        raise LinkError(f"HTTP {status} to another server, {place.origin}; give the address of that server as --target")
    if method != "GET" and status not in RESENT:
        raise LinkError(f"HTTP {status} to {one_line(place.origin + place.path, 120)}; give that address as --target")
    return place


class Reach:
    """Decides which hosts may serve a file; the answers of the resolver are kept."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._known: dict[str, frozenset[int]] = {}

    async def check(self, place: Address) -> None:
        """Check that the address of a file is not more private than that of the target.

        A name is resolved once more for the connection, so a server of names that changes its answers in between can
        evade the check.

        Raises:
            LinkError: the address is of this machine or a private network, and the target is not.
        """
        if place.host == self._target:
            return
        allowed = max(await self._levels(self._target), default=_PUBLIC)
        if any(level > allowed for level in await self._levels(place.host)):
            raise LinkError(f"the file is at {place.host}, a more private address than that of the target")

    async def _levels(self, host: str) -> frozenset[int]:
        """Return how private the addresses of a host are; empty for a name that is not resolved here."""
        if host not in self._known:
            try:
                found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
            except (OSError, UnicodeError):
                return frozenset()  # the connection reports it, or a proxy resolves the name
            self._known[host] = frozenset(_level(str(entry[4][0])) for entry in found)
        return self._known[host]


_PUBLIC, _PRIVATE, _LOOPBACK, _NEVER = range(4)


def _level(text: str) -> int:
    ip = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    if ip.is_link_local or ip.is_multicast or ip.is_unspecified:  # link-local: credentials of cloud machines
        return _NEVER
    if ip.is_loopback:
        return _LOOPBACK
    return _PUBLIC if ip.is_global else _PRIVATE

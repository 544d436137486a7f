"""Who may use the endpoints that inject faults and administer: callers on this machine, or callers with a token."""

from __future__ import annotations

import ipaddress
import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from fastapi import Request
from pydantic import SecretStr

TOKEN_HEADER = "X-Reelbench-Token"  # noqa: S105 - a name
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-]+|.+\.localhost")
"""A host name without a domain, such as localhost or the name of a container: no page of the web has such a name."""
_PORT = re.compile(r":\d*$")
_SAME = frozenset({"same-origin", "none"})
"""Values of Sec-Fetch-Site of a request that no other site has caused."""


@dataclass(frozen=True, slots=True)
class Denied:
    """Why a request is refused with status 403."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Guard:
    """The rules of one application.

    A web page can make a browser on this machine send requests, also under a name that it resolves to 127.0.0.1. So
    requests of other sites are refused, and without a token also those to a name of the web.
    """

    setting: str
    """Environment variable of `remote`, for the message."""
    remote: bool = False
    """Whether callers on other machines are accepted without a token."""
    token: str = field(default="", repr=False)
    """What each request must carry in the header X-Reelbench-Token; empty: nothing."""
    code: str = "remote_caller"
    """Code of the refusal of a caller on another machine."""

    def check(self, request: Request) -> Denied | None:
        """Return why a request is refused, None for a permitted one."""
        headers = request.headers
        host = headers.get("host", "")
        origin = headers.get("origin")
        if headers.get("sec-fetch-site", "none") not in _SAME or origin not in {None, f"{request.url.scheme}://{host}"}:
            return Denied("cross_site", "Requests from pages of other sites are refused.")
        if self.token:
            if secrets.compare_digest(headers.get(TOKEN_HEADER, "").encode(), self.token.encode()):
                return None
            return Denied("wrong_token", f"This endpoint needs the token of this service in the header {TOKEN_HEADER}.")
        if not self.remote and not on_loopback(request.client.host if request.client else ""):
            message = f"Only callers on this machine may use this endpoint; set {self.setting}=true to allow others."
            return Denied(self.code, message)
        if not _is_local(host):
            return Denied(
                "unknown_host", "This endpoint answers at an IP address or at a name without a domain; use localhost."
            )
        return None


def on_loopback(host: str) -> bool:
    """Return whether `host` is an IP address of this machine."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def read_token(token: SecretStr, file: Path | None) -> str:
    """Return the token of the settings, or the content of the file.

    Raises:
        ValueError: the file cannot be read or is empty; the message is one sentence.
    """
    if file is None:
        return token.get_secret_value()
    try:
        found = file.read_text("utf-8").strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise ValueError(f"The file of the control token, {file}, cannot be read ({reason}).") from error
    if not found:
        raise ValueError(f"The file of the control token, {file}, is empty; write a token into it.")
    return found


def _is_local(host: str) -> bool:
    name = _PORT.sub("", host)
    if _PLAIN_NAME.fullmatch(name):
        return True
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True

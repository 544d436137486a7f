"""Which callers are on this machine."""

from __future__ import annotations

import ipaddress


def on_loopback(host: str) -> bool:
    """Return whether a peer address belongs to this machine; anything but an IP address does not."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback

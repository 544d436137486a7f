"""Free ports on loopback."""

from __future__ import annotations

import random
import socket

from reelbench.stack.errors import StackError

_RANGE = range(18_000, 32_000)
"""Below the ephemeral ports of Linux (32768..) and macOS (49152..), so no outgoing connection takes a port between its
choice and the start of the process."""
_ATTEMPTS = 500


def free_ports(count: int, *, choice: random.Random | None = None) -> list[int]:
    """Return `count` different unused ports; another process may still take one before it is bound.

    Raises:
        StackError: no free port was found.
    """
    choice = choice or random.Random()
    found: set[int] = set()
    for _ in range(_ATTEMPTS):
        if len(found) == count:
            break
        port = choice.choice(_RANGE)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.add(port)
    if len(found) < count:
        raise StackError(
            f"No {count} free ports found on 127.0.0.1 between {_RANGE.start} and {_RANGE.stop}; "
            "end what holds them, or wait a minute."
        )
    return list(found)

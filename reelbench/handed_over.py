"""Sockets that a parent process has bound for its child: no other process can have their ports in between."""

from __future__ import annotations

import os
import socket
from typing import Final

API_SOCKET: Final = "REELBENCH_API_SOCKET"
"""Variable with the file descriptor of the socket for requests."""
METRICS_SOCKET: Final = "REELBENCH_METRICS_SOCKET"
"""Variable with the file descriptor of the socket for scrapes."""


def handed_over(variable: str) -> socket.socket | None:
    """Return the socket of a variable, which is then removed; None: the process binds one itself.

    Raises:
        OSError: the descriptor is no socket.
    """
    descriptor = os.environ.pop(variable, None)
    if descriptor is None:
        return None
    found = socket.socket(fileno=int(descriptor))
    found.set_inheritable(False)
    return found

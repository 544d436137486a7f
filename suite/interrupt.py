"""Ctrl-C and its like: for the load generator while it runs, for this process before and after."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from reelbench.stack.processes import Child


class Forwarding:
    """Ctrl-C for the load generator while it runs, for this process before and after."""

    def __init__(self) -> None:
        self._child: Child | None = None

    def listen(self) -> None:
        """Take the signals from now on."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.handle)

    def handle(self, number: int, _frame: FrameType | None) -> None:
        """Pass the signal on, or end what this process does."""
        if self._child is None:
            raise KeyboardInterrupt
        self._child.signal(signal.Signals(number))

    @contextmanager
    def to(self, child: Child) -> Iterator[None]:
        """Send signals to this child."""
        self._child = child
        try:
            yield
        finally:
            self._child = None

"""Signals: passed on to the load generator while it runs, an interrupt of this process otherwise."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from reelbench.stack.processes import Child


class Forwarding:
    """Passes SIGINT and SIGTERM on to the load generator while it runs."""

    def __init__(self) -> None:
        self._child: Child | None = None

    def listen(self) -> None:
        """Handle the signals from now on."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.handle)

    def handle(self, number: int, _frame: FrameType | None) -> None:
        """Pass the signal on, or raise KeyboardInterrupt in this process."""
        if self._child is None:
            raise KeyboardInterrupt
        self._child.signal(signal.Signals(number))

    @contextmanager
    def to(self, child: Child) -> Iterator[None]:
        """Pass signals on to this child while the context is entered."""
        self._child = child
        try:
            yield
        finally:
            self._child = None

"""Signals of the user, passed on to the load generators; one that hangs is killed."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer
from types import FrameType

from reelbench.ending import ending_signals
from reelbench.stack.processes import Child

GRACE = 45.0
"""Seconds after the first signal in which a load generator ends: 30 for the jobs in flight, the rest to clean up."""
ABORT_GRACE = 5.0
"""Seconds after the second signal."""


class Forwarding:
    """Passes signals on to the load generators while they run: first a graceful stop, then an abort, then a kill.

    A load generator that hangs, or that is stopped itself, cannot keep the user from the report of what there is.
    """

    def __init__(self, grace: float = GRACE, abort_grace: float = ABORT_GRACE) -> None:
        """Forward nothing yet.

        Args:
            grace: seconds after the first signal until the kill.
            abort_grace: seconds after the second signal until the kill.
        """
        self._children: tuple[Child, ...] = ()
        self._graces = (grace, abort_grace)
        self._received = 0
        self._timer: Timer | None = None

    @property
    def requested(self) -> bool:
        """Whether the user has asked the present load generators, or the last ones, to end."""
        return self._received > 0

    def listen(self) -> None:
        """Handle the signals from now on."""
        for number in ending_signals():
            signal.signal(number, self.handle)

    def handle(self, number: int, _frame: FrameType | None) -> None:
        """Pass the signal on, or raise KeyboardInterrupt in this process."""
        if not self._children:
            raise KeyboardInterrupt
        self._received += 1
        self.end_all(signal.Signals(number))
        if self._received > len(self._graces):
            self._kill(self._children)
            return
        self._cancel()
        self._timer = Timer(self._graces[self._received - 1], self._kill, (self._children,))
        self._timer.daemon = True
        self._timer.start()

    def end_all(self, *numbers: signal.Signals) -> None:
        """Send signals to all load generators; one that is stopped goes on, so that it can end."""
        for child in self._children:
            for number in (*numbers, signal.SIGCONT):
                child.signal(number)

    @contextmanager
    def to(self, *children: Child) -> Iterator[None]:
        """Pass signals on to these children while the context is entered."""
        self._children, self._received = children, 0
        try:
            yield
        finally:
            self._cancel()
            self._children = ()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @staticmethod
    def _kill(children: tuple[Child, ...]) -> None:
        for child in children:
            child.signal(signal.SIGKILL)

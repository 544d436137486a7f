"""Polling with a deadline; the error names what was awaited."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from reelbench.stack import http
from reelbench.stack.errors import StackError

POLL = 0.03
"""Seconds between two polls."""
_TIMEOUT = 1.0
T = TypeVar("T")


def poll(
    look: Callable[[], T | None],
    awaited: str,
    *,
    deadline: float,
    logs: Path | None = None,
    interval: float = POLL,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Call `look` until it returns a value that is not None, and return that value.

    Args:
        look: Polls once; an exception ends the polling early.
        awaited: What is awaited, as a noun phrase for the error.
        deadline: Seconds from now.
        logs: The log, or the folder of logs, that explains a failure.
        interval: Seconds between two polls.
        clock: Monotonic seconds.
        sleep: Waits for that many seconds.

    Raises:
        StackError: the deadline passed.
    """
    end = clock() + deadline
    while (found := look()) is None:
        if clock() >= end:
            see = f"; see {logs}" if logs else ""
            raise StackError(f"Gave up after {deadline:g} s waiting for {awaited}{see}.", logs=logs)
        sleep(interval)
    return found


def answers(url: str) -> bool:
    """Return True when the URL answers with status 200."""
    try:
        return http.get(url, timeout=_TIMEOUT).ok
    except StackError:
        return False

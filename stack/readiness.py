"""Waiting until something holds: polls with a deadline and a sentence that names what was awaited."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from reelbench.stack import http
from reelbench.stack.errors import StackError

POLL = 0.03
"""Seconds between two looks."""
_TIMEOUT = 1.0
T = TypeVar("T")


def poll(
    look: Callable[[], T | None],
    awaited: str,
    *,
    deadline: float,
    interval: float = POLL,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Call `look` until it gives something else than None, and return that.

    Args:
        look: Looks once; raises to give up early.
        awaited: What is awaited, as a noun phrase for the error.
        deadline: Seconds from now.
        interval: Seconds between two looks.
        clock: Monotonic seconds.
        sleep: Waits so many seconds.

    Raises:
        StackError: the deadline passed.
    """
    end = clock() + deadline
    while (found := look()) is None:
        if clock() >= end:
            raise StackError(f"Gave up after {deadline:g} s waiting for {awaited}.")
        sleep(interval)
    return found


def answers(url: str) -> bool:
    """Return True when the URL answers with status 200."""
    try:
        return http.get(url, timeout=_TIMEOUT).ok
    except StackError:
        return False

"""Ends the process groups of a stack when the parent process ends, also after SIGKILL.

Runs as a separate script with a pipe from the parent as standard input. The parent writes one line for each change:
``+PGID`` when a child was started, ``-PGID`` when it has ended. The kernel closes the pipe when the parent is gone;
the remaining process groups then get SIGTERM and, after a grace period, SIGKILL.
The script imports only cheap modules and runs without `site`: it starts in about 10 ms.
"""

import os
import signal
import sys
import time

GRACE = 4.0
"""Seconds between SIGTERM and SIGKILL; every component ends within 3."""
_POLL = 0.05


def main() -> None:
    """Read the pipe to its end, then end the remaining process groups."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the reaper must outlive its parent
    groups: dict[int, None] = {}  # in the order of starting
    for line in sys.stdin.buffer:
        group = int(line[1:])
        if line.startswith(b"+"):
            groups[group] = None
        else:
            groups.pop(group, None)
    end(list(reversed(groups)), GRACE)


def end(groups: list[int], grace: float) -> None:
    """Send SIGTERM to the groups, wait up to `grace` seconds, send SIGKILL to the remaining ones."""
    left = [group for group in groups if _signal(group, signal.SIGTERM)]
    deadline = time.monotonic() + grace
    while left and time.monotonic() < deadline:
        time.sleep(_POLL)
        left = [group for group in left if _signal(group, 0)]
    for group in left:
        _signal(group, signal.SIGKILL)


def _signal(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except OSError:  # ended, or a zombie, to which macOS allows no signal
        return False
    return True


if __name__ == "__main__":
    main()

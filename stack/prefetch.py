"""``python -m reelbench.stack.prefetch``: fetch a Prometheus before the command that needs it."""

from __future__ import annotations

from reelbench.ending import end_at_once, interrupting

if __name__ == "__main__":  # a signal during the imports: nothing to save, and no traceback
    end_at_once()

import contextlib
import sys

from reelbench.exit_code import ExitCode
from reelbench.output import write_line
from reelbench.stack.binaries import find_prometheus
from reelbench.stack.errors import StackError
from reelbench.stack.external import find_external


def main() -> int:
    """Fetch Prometheus unless a stack runs that has one; errors are left to the command that needs it."""
    try:
        with interrupting(), contextlib.suppress(StackError):
            if find_external(_nothing) is None:
                find_prometheus(_say)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    return ExitCode.PASS


def _say(line: str) -> None:
    write_line(line, sys.stderr)


def _nothing(_line: str) -> None:
    """Discard a message that the next command repeats."""


if __name__ == "__main__":
    sys.exit(main())

"""``python -m reelbench``: the same as the console script ``reelbench``."""

import sys
from collections.abc import Sequence

from reelbench.ending import end_at_once


def main(arguments: Sequence[str] | None = None) -> int:
    """Call the command that these arguments name, or else the command line of this process; return the exit code."""
    if arguments is None:
        end_at_once()  # before the other imports: a signal while they run would be a traceback
    from reelbench.suite.commands.command_line import main as command  # noqa: PLC0415

    return command(arguments)


if __name__ == "__main__":
    sys.exit(main())

"""Exit codes of every command."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What a command's exit code means; README and docs say the same."""

    PASS = 0
    FAIL = 1
    """An objective failed; with ``--check``, generated files are stale."""
    USAGE = 2
    """Bad usage or configuration."""
    INCONCLUSIVE = 3
    """Inconclusive (counts do not reconcile), invalid (the generator was the bottleneck), or no data."""
    ABSENT = 4
    """The stack or the target is not there."""
    MISTAKE = 70
    """A mistake in Reelbench itself; the message says where its traceback is."""
    INTERRUPTED = 130
    """Interrupted; what was measured is saved and can be reported."""

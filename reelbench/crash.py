"""An error that no code expected: one sentence for the user, and the traceback in a file."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback

from reelbench.exit_code import ExitCode


def crashed(error: Exception) -> ExitCode:
    """Write the traceback to a file that only this user can read, and one sentence to standard error."""
    text = "".join(traceback.format_exception(error))
    what = f"error: a mistake in Reelbench ended this command ({type(error).__name__})"
    try:
        descriptor, path = tempfile.mkstemp(prefix="reelbench-", suffix=".traceback", text=True)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError as trouble:  # a full disk: the traceback is worth more than a tidy terminal
        sys.stderr.write(f"{text}{what}; its traceback is above, as no file takes it ({trouble.strerror})\n")
        return ExitCode.MISTAKE
    sys.stderr.write(f"{what}; please report it with its traceback, which is in {path}\n")
    return ExitCode.MISTAKE

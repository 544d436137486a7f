"""The errors that end a run, with their exit codes and their sentences."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path

from reelbench.exit_code import ExitCode
from reelbench.loadgen.record.run_files import RecordError
from reelbench.loadgen.target.target_error import TargetError
from reelbench.reporting.catalogue.prices import PricesError
from reelbench.reporting.catalogue.sli_file import CatalogueError
from reelbench.reporting.evidence.prometheus import QueryError
from reelbench.stack.errors import NotMetricsError, SettingError, StackError

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG})
FAILURES = (CatalogueError, PricesError, StackError, TargetError, QueryError, RecordError, OSError)
"""The errors that end a run; any other is a mistake in this program."""


def explain(error: Exception, runs: Path) -> tuple[ExitCode, Sequence[str]]:
    """Return the exit code of a run that ended with one of `FAILURES`, and its messages."""
    match error:
        case CatalogueError() | PricesError():
            return ExitCode.USAGE, error.errors
        case NotMetricsError() | SettingError():
            return ExitCode.USAGE, [str(error)]
        case OSError():
            return ExitCode.USAGE, [_of_system(error, runs)]
        case RecordError():
            return ExitCode.INCONCLUSIVE, [str(error)]
        case _:
            return ExitCode.ABSENT, [str(error)]


def _of_system(error: OSError, runs: Path) -> str:
    """Return the sentence on an operation that the system refused; the file is not always one of the run."""
    why = error.strerror or str(error) or type(error).__name__
    if error.errno in _NO_ROOM:
        return f"cannot write {error.filename or runs} ({why}); make room, or choose another --runs"
    if error.filename is None:
        return f"the system refused an operation ({why}); run again, and report it if it stays so"
    path = Path(os.fsdecode(error.filename)).absolute()
    cure = "choose another --runs" if path.is_relative_to(runs.absolute()) else "correct its permissions, or its path"
    return f"cannot read or write {error.filename} ({why}); {cure}"

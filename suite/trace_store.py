"""The trace store of a run: whether it shows every job yet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from reelbench.loadgen.record.jobs import read_jobs
from reelbench.loadgen.record.run import read_run
from reelbench.loadgen.record.stack import read_stack
from reelbench.reporting.evidence.prometheus import QueryError


def await_traces(run_dir: Path, say: Callable[[str], None]) -> None:
    """Wait until the trace store shows the root span of every job; warn when some are missing."""
    stack = read_stack(run_dir)
    if stack is None or stack.traces_url is None:
        return
    from reelbench.reporting.evidence.tempo import connect  # noqa: PLC0415 - loads the HTTP client

    tempo = connect(stack.traces_url, read_run(run_dir))
    try:
        expected = len(read_jobs(run_dir))
        found = tempo.settle(expected)
    except QueryError as error:
        say(f"warning: {error}: the reports come without traces")
        return
    finally:
        tempo.close()
    if found < expected:
        say(f"warning: Tempo shows {found} traces of {expected} jobs: the others were lost")

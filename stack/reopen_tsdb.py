"""Starts Prometheus on the data of a finished or killed run."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from reelbench.loadgen.record.run_files import STACK_FILE
from reelbench.loadgen.record.stack import read_stack
from reelbench.stack import prometheus, readiness
from reelbench.stack.endpoints import PROMETHEUS, free_ports
from reelbench.stack.errors import PortTakenError, StackError
from reelbench.stack.identity import check_data
from reelbench.stack.processes import Child, Processes
from reelbench.stack.prometheus import PrometheusBinary, exclusive

_READY_DEADLINE = 60.0
"""Seconds to replay the write-ahead log; a run of several minutes needs less than one."""
_ATTEMPTS = 3
_DOWNGRADE = (2, 55)
"""Oldest version that reads data written by 3.x."""


@contextmanager
def reopen_tsdb(
    run_dir: Path, binary: PrometheusBinary, *, environment: Mapping[str, str] = os.environ
) -> Iterator[str]:
    """Yield the base URL of a Prometheus with the metrics of a run; it neither scrapes nor deletes.

    Raises:
        StackError: the run has no metrics, its metrics are in use or damaged, or this Prometheus is too old for them.
        RecordError: ``stack.json`` cannot be read.
    """
    record = read_stack(run_dir)
    if record is None or record.prometheus is None:
        raise StackError(f"Cannot read {run_dir / STACK_FILE} of a run with its own stack; name such a run directory.")
    kept = record.prometheus
    if kept.data_dir is None or kept.version is None:
        raise StackError(f"The metrics of {run_dir} are in the Prometheus at {kept.url}; start that stack again.")
    folder = (run_dir / kept.data_dir).resolve()
    if not folder.is_dir():
        raise StackError(f"{folder} is gone, and the run's metrics with it; run the suite again.")
    written = PrometheusBinary(folder, kept.version, "record").release
    if written >= (3, 0) and binary.release < _DOWNGRADE:
        raise StackError(
            f"The metrics of {run_dir} were written by Prometheus {kept.version}, which {binary.version} "
            "cannot read; set PROMETHEUS_BIN to a 3.x."
        )
    with exclusive(run_dir) as lock, TemporaryDirectory(prefix="reelbench-") as scratch, Processes() as processes:
        yield _start(processes, binary, data=folder, scratch=Path(scratch), environment=environment, lock=lock)


def _start(
    processes: Processes,
    binary: PrometheusBinary,
    *,
    data: Path,
    scratch: Path,
    environment: Mapping[str, str],
    lock: int,
) -> str:
    config = scratch / "prometheus.yml"
    config.write_text(prometheus.configuration({}), encoding="utf-8")
    for attempt in range(1, _ATTEMPTS + 1):
        (port,) = free_ports(1)
        child = processes.start(
            PROMETHEUS,
            prometheus.command(binary.path, config=config, data=data, port=port),
            environment=environment,
            directory=scratch,
            log=scratch / f"{attempt}.log",
            keep=(lock,),
        )
        url = f"http://127.0.0.1:{port}"
        try:
            readiness.poll(
                lambda child=child, url=url: _look(child, url, data),  # type: ignore[misc]
                f"Prometheus to read {data}",
                deadline=_READY_DEADLINE,
            )
        except StackError as error:
            meaning = prometheus.trouble(child.tail())
            processes.end(child)
            if isinstance(error, PortTakenError) and attempt < _ATTEMPTS:
                continue
            if meaning is None:
                raise
            raise StackError(f"Prometheus cannot open {data}: {meaning}.") from error
        return url
    raise AssertionError


def _look(child: Child, url: str, data: Path) -> bool | None:
    child.check()
    if not readiness.answers(f"{url}/-/ready"):
        return None
    child.check()
    check_data(url, data)
    return True

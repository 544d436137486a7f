"""Several load generators on this machine that run one plan together: their start, their end, and the merge."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from reelbench.loadgen.record.run import RunRecord, read_run
from reelbench.loadgen.record.run_files import RUN_FILE
from reelbench.stack.endpoints import free_ports
from reelbench.stack.environment import hand_over
from reelbench.stack.processes import Child
from reelbench.suite.merging import merge, read_shares

SHARES_DIR = "shares"
"""Folder of the run's folder with a folder for each share."""
SILENT = ("--progress", "none")
"""All load generators share one terminal: the first one shows progress, all show errors."""
_POLL = 0.1


class Starter(Protocol):
    """Starts load generators."""

    def start_loadgen(
        self, arguments: Sequence[str], secrets: Mapping[str, str] | None = None, *, number: int = 1
    ) -> Child:
        """Start load generator `number`, from 1."""


def can_meet_here() -> bool:
    """Return whether this process can serve the store in which local load generators meet."""
    return importlib.util.find_spec("fakeredis") is not None


@contextmanager
def rendezvous(url: str | None) -> Iterator[str]:
    """Yield the URL of the store in which load generators meet: that of the user, or else one in this process."""
    if url is not None:
        yield url
        return
    from fakeredis import TcpFakeServer  # noqa: PLC0415 - only for several generators

    (port,) = free_ports(1)
    server = TcpFakeServer(("127.0.0.1", port), server_type="valkey")
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def start(  # noqa: PLR0917 - the parts of a run
    stack: Starter, count: int, store: str, run_dir: Path, arguments: Sequence[str], secrets: Mapping[str, str]
) -> list[Child]:
    """Start all load generators of a run.

    Args:
        stack: starts a process.
        count: number of them.
        store: URL of the store in which they meet.
        run_dir: folder of the run; its name is the run id.
        arguments: command line of each, without run and store.
        secrets: variables of each.
    """
    meet, password = hand_over({"--rendezvous": store})
    words = ["run", "--run-dir", str((run_dir / SHARES_DIR).resolve()), "--run-id", run_dir.name, *arguments, *meet]
    return [
        stack.start_loadgen(
            [*words, "--replicas", str(count), "--index", str(index), *(SILENT if index else ())],
            {**secrets, **password},
            number=index + 1,
        )
        for index in range(count)
    ]


def share_folders(run_dir: Path, count: int) -> list[Path]:
    """Return the folder of each share, by its number."""
    return [run_dir / SHARES_DIR / f"{run_dir.name}.{number}of{count}" for number in range(1, count + 1)]


def await_end(
    run_dir: Path, children: Sequence[Child], show: Callable[[RunRecord], None], look: Callable[[], None]
) -> None:
    """Wait until each load generator has ended its share or its process, passing the record of the first to `show`.

    Meanwhile `look` is called, again and again.
    """
    folders = share_folders(run_dir, len(children))
    going = dict(zip(folders, children, strict=True))
    while going:
        look()
        for folder, child in list(going.items()):
            over = child.wait(timeout=_POLL / len(children)) is not None
            run = read_run(folder) if (folder / RUN_FILE).exists() else None
            if run is not None and folder == folders[0]:
                show(run)
            if over or (run is not None and run.ended is not None):
                del going[folder]


def merged_run(run_dir: Path, count: int) -> tuple[RunRecord, float]:
    """Merge the shares into the folder of the run; return the run, and when the first generator had ended.

    Raises:
        ShareError: a share is missing or not complete.
    """
    shares = read_shares([folder for folder in share_folders(run_dir, count) if (folder / RUN_FILE).exists()])
    run = merge(shares, run_dir)
    return run, min((one.run.ended for one in shares if one.run.ended is not None), default=run.started)

"""``python -m reelbench.suite.live``: the process of the live page; it ends with the command that started it.

Standard input says when: a line sends open pages to the report of the newest run, and so does the end of the input,
which comes when the command was killed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import uvicorn

from reelbench.loadgen.record.run_files import RUN_FILE
from reelbench.suite.live.follow import SHARES_DIR
from reelbench.suite.live.server import Hub, application, page_of

NICE = 19
"""The page gets what the run leaves of the CPU."""


def newest(runs: Path, base: str) -> Path | None:
    """Return the folder of the newest run whose id is `base`, or begins with it and a dot."""
    folders = [folder for folder in (runs / base, *runs.glob(f"{base}.*")) if _is_run(folder)]
    return max(folders, key=lambda folder: folder.stat().st_ctime_ns, default=None)


def _is_run(folder: Path) -> bool:
    return (folder / RUN_FILE).is_file() or (folder / SHARES_DIR).is_dir()


async def serve(runs: Path, base: str, listening: socket.socket) -> None:
    """Serve the page until standard input ends."""
    hub = Hub(lambda: newest(runs, base))
    server = uvicorn.Server(
        uvicorn.Config(
            application(hub), log_level="critical", access_log=False, lifespan="off", timeout_graceful_shutdown=1
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    await lines.readline()
    last = await asyncio.to_thread(newest, runs, base)
    await hub.end(page_of(last) if last is not None else None)
    server.should_exit = True
    await serving


def main() -> None:
    """Serve on a socket that the parent has bound."""
    parser = argparse.ArgumentParser(prog="python -m reelbench.suite.live")
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--base", required=True)
    parser.add_argument("--socket", type=int, required=True)
    options = parser.parse_args()
    os.nice(NICE)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the command decides; its end closes standard input
    asyncio.run(serve(options.runs, options.base, socket.socket(fileno=options.socket)))


if __name__ == "__main__":
    main()

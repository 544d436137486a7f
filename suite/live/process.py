"""The live page of a command: its address, and the child process that serves it."""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reelbench import HOME

PORT: Final = 8321
"""Port of the page; another one is taken where it is not free."""
END_SECONDS: Final = 10.0
"""Seconds that the process has for its end before it is killed."""


@dataclass(slots=True)
class LivePage:
    """A page that is served."""

    address: str
    process: subprocess.Popen[bytes]

    def end(self) -> None:
        """Send open pages to the report of the newest run, and end the process."""
        assert self.process.stdin is not None
        with suppress(OSError):  # it was killed
            self.process.stdin.write(b"end\n")
            self.process.stdin.close()
        try:
            self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def can_serve() -> bool:
    """Return whether the libraries of the page are installed."""
    return all(importlib.util.find_spec(name) is not None for name in ("starlette", "uvicorn"))


def bound(port: int = PORT) -> socket.socket:
    """Return a listening socket on loopback, at the port if it is free, else at another one."""
    for number in (port, 0):
        found = socket.socket()
        try:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind(("127.0.0.1", number))
            found.listen(16)
        except OSError:
            found.close()
            if number == 0:
                raise
        else:
            return found
    raise AssertionError("port 0 is the last one")


@contextmanager
def live_page(runs: Path, base: str, port: int = PORT) -> Iterator[LivePage]:
    """Serve the page about the runs whose id is `base`, or begins with it, while the context is entered.

    Raises:
        OSError: no port of loopback is free, or the process cannot be started.
    """
    with bound(port) as listening:
        number = listening.fileno()
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "reelbench.suite.live",
                "--runs",
                str(runs.resolve()),
                "--base",
                base,
                "--socket",
                str(number),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=HOME,
            pass_fds=(number,),
            start_new_session=True,
        )
    page = LivePage(address, process)
    try:
        yield page
    finally:
        page.end()

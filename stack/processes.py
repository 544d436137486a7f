"""The child processes of a stack: each has its own session; they end in reverse order and leave no orphans."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

import psutil

from reelbench.stack import orphan_reaper
from reelbench.stack.errors import PortTakenError, StackError

STOP_DEADLINE = 5.0
"""Seconds a child has between SIGTERM and SIGKILL."""
_PORT_TAKEN = "in use"
"""Message of Prometheus, uvicorn and the metrics exporter when another process has their port."""
_TAIL_LINES = 15
_TAIL_BYTES = 8_000


@dataclass(frozen=True, slots=True)
class Child:
    """A started child process."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path | None
    """File with its standard error; None when it shares the parent's."""

    def check(self) -> None:
        """Raise if the child has ended.

        Raises:
            PortTakenError: another process has its port, according to its log.
            StackError: otherwise; the message has its exit status and the last lines of its log.
        """
        how = self.end()
        if how is None:
            return
        tail = self.tail()
        where = f"; its log {self.log} ends with:\n{tail}" if self.log else "; see its messages above"
        error = PortTakenError if _PORT_TAKEN in tail else StackError
        raise error(f"{self.name} {how} while it was needed{where}", logs=self.log)

    def end(self) -> str | None:
        """Return how the child ended, such as "ended with signal SIGKILL"; None while it runs."""
        status = self.process.poll()
        if status is None:
            return None
        return f"ended with {f'exit status {status}' if status >= 0 else f'signal {signal.Signals(-status).name}'}"

    def check_port(self, port: int) -> None:
        """Raise if what answers at a port is not the child, which binds its port itself.

        Raises:
            PortTakenError: the child does not listen there.
        """
        with contextlib.suppress(psutil.Error):
            found = psutil.Process(self.process.pid).net_connections("tcp")
            if any(one.status == psutil.CONN_LISTEN and one.laddr.port == port for one in found):
                return
        raise PortTakenError(f"Another program answers on port {port}, which {self.name} was given; run again.")

    def tail(self) -> str:
        """Return the last lines of the child's log."""
        if self.log is None:
            return ""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
                text = file.read().decode(errors="replace")
        except OSError as error:
            return f"(unreadable: {error.strerror})"
        return "\n".join(text.splitlines()[-_TAIL_LINES:]) or "(nothing)"

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the child's process group; nothing happens if it has ended."""
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    def wait(self, timeout: float | None = None) -> int | None:
        """Return the exit status, or None if the child still runs after `timeout` seconds."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def ended(self, deadline: float = STOP_DEADLINE) -> int:
        """Return the exit status; a child that still runs after `deadline` seconds is killed."""
        status = self.wait(deadline)
        if status is None:
            self.signal(signal.SIGKILL)
            status = self.process.wait()
        return status


class Processes:
    """The children of one stack; leaving the context ends them all."""

    def __init__(self) -> None:
        self._children: list[Child] = []
        self._orphan_reaper: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        directory: Path,
        stdout: Path | None = None,
        log: Path | None = None,
        keep: Sequence[int] = (),
        first: bool = False,
    ) -> Child:
        """Start a child in its own session, so Ctrl-C in the terminal does not reach it.

        Args:
            name: For messages.
            command: Program and arguments.
            environment: The whole environment of the child.
            directory: Its working directory.
            stdout: File for standard output, appended to; None discards it.
            log: File for standard error, appended to; None shares the parent's.
            keep: File descriptors that the child inherits.
            first: When this process dies, the child ends before the others, which it uses.

        Raises:
            StackError: the program cannot be run or a file cannot be written.
        """
        try:
            with contextlib.ExitStack() as files:
                process = subprocess.Popen(
                    list(command),
                    stdin=subprocess.DEVNULL,
                    stdout=files.enter_context(_append(stdout)) if stdout else subprocess.DEVNULL,
                    stderr=files.enter_context(_append(log)) if log else None,
                    env=dict(environment),
                    cwd=directory,
                    start_new_session=True,
                    pass_fds=keep,
                )
        except OSError as error:
            raise StackError(
                f"{name} cannot be started: {error}; check that the file is there and executable."
            ) from error
        child = Child(name, process, log)
        self._children.append(child)
        self._tell(f"{'!' if first else '+'}{process.pid}")
        return child

    def check(self) -> None:
        """Raise if any child has ended.

        Raises:
            StackError: as `Child.check`.
        """
        for child in self._children:
            child.check()

    def stop(self, deadline: float = STOP_DEADLINE) -> None:
        """End all children in reverse order: SIGTERM, then SIGKILL for those still running after `deadline` seconds."""
        while self._children:
            self.end(self._children[-1], deadline)
        if self._orphan_reaper is not None:
            assert self._orphan_reaper.stdin is not None
            with contextlib.suppress(OSError):
                self._orphan_reaper.stdin.close()
            self._orphan_reaper.wait()
            self._orphan_reaper = None

    def end(self, child: Child, deadline: float = STOP_DEADLINE) -> None:
        """End one child and its process group: SIGTERM, then SIGKILL after `deadline` seconds."""
        child.signal(signal.SIGTERM)
        child.ended(deadline)
        self._children.remove(child)
        self._tell(f"-{child.process.pid}")

    def _tell(self, line: str) -> None:
        if self._orphan_reaper is None:
            self._orphan_reaper = _start_orphan_reaper()
        assert self._orphan_reaper.stdin is not None
        try:
            self._orphan_reaper.stdin.write(line.encode() + b"\n")
            self._orphan_reaper.stdin.flush()
        except OSError:  # the orphan reaper was killed: `stop` still ends the children
            self._orphan_reaper.wait(1.0)


def _start_orphan_reaper() -> subprocess.Popen[bytes]:
    command = [sys.executable, "-I", "-S", str(Path(orphan_reaper.__file__))]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )


def _append(path: Path) -> IO[bytes]:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("ab")

"""The matrix of faults: each process of a run, ended or frozen in each phase, and what the run must say about it."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import psutil

from reelbench.exit_code import ExitCode
from reelbench.loadgen.record.run_files import JOBS_FILE, RUN_FILE
from tests.commands import UNIGNORED, command

Process = Literal["service", "providers", "prometheus", "load generator", "suite"]
Phase = Literal["start", "load", "reports"]
Fault = Literal["kill", "end", "freeze", "Ctrl-C", "Ctrl-C twice", "hang up"]

SCENARIO = "throughput"
FREEZE_SECONDS = 6.0
PHASE_LIMIT = 120.0
"""Seconds until a phase must be reached."""
END_LIMIT = 180.0
"""Seconds after the fault until the command must have ended."""

MODULES: Mapping[Process, str] = MappingProxyType(
    {"service": "reelbench.service", "providers": "reelbench.service.providers", "load generator": "reelbench.loadgen"}
)


@dataclass(frozen=True)
class Row:
    """One fault and what is expected of the run."""

    process: Process
    fault: Fault
    phase: Phase
    codes: frozenset[ExitCode]
    """Exit codes that are true of such a run."""
    says: str = ""
    """Text that the output contains."""

    @property
    def name(self) -> str:
        """The row as one text."""
        return f"{self.process}, {self.fault}, {self.phase}"


@dataclass
class Ended:
    """What a faulted run left."""

    code: int
    printed: str
    messages: str
    seconds: float
    """From the fault to the end of the command."""
    folders: Sequence[Path] = field(default=())


def run_with(row: Row, runs: Path) -> Ended:
    """Run the suite on an embedded stack, make the fault in its phase, and wait for the end.

    Raises:
        AssertionError: the phase was not reached, or the command did not end.
    """
    words = command("run_suite.py", "--embedded", "--no-charts", "--scenario", SCENARIO, "--runs", str(runs))
    process = subprocess.Popen(
        [*UNIGNORED, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    output: dict[str, list[str]] = {"out": [], "err": []}
    readers = [
        threading.Thread(target=output[name].extend, args=(stream,), daemon=True)
        for name, stream in (("out", process.stdout), ("err", process.stderr))
    ]
    for reader in readers:
        reader.start()
    try:
        try:
            victim = _reach(row, psutil.Process(process.pid), runs)
        except AssertionError as error:
            raise AssertionError(f"{error}; it said: {''.join(output['err'])}") from error
        began = time.monotonic()
        SENT[row.fault](victim)
        try:
            code = process.wait(END_LIMIT)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"{row.name}: the command did not end within {END_LIMIT:g} s") from error
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for reader, stream in zip(readers, (process.stdout, process.stderr), strict=True):
            reader.join()
            assert stream is not None
            stream.close()
    folders = sorted(path.parent for path in runs.glob(f"*/{RUN_FILE}"))
    return Ended(code, "".join(output["out"]), "".join(output["err"]), time.monotonic() - began, folders)


def _reach(row: Row, suite: psutil.Process, runs: Path) -> psutil.Process:
    """Wait for the phase; return the process that the fault is for."""
    until = time.monotonic() + PHASE_LIMIT
    while time.monotonic() < until:
        assert suite.status() != psutil.STATUS_ZOMBIE, f"{row.name}: the command ended before the phase"
        if REACHED[row.phase](suite, runs) and (found := _process(row.process, suite)) is not None:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{row.name}: the phase was not reached within {PHASE_LIMIT:g} s")


def _process(name: Process, suite: psutil.Process) -> psutil.Process | None:
    if name == "suite":
        return suite
    for child in _children(suite):
        try:
            words = child.cmdline()
        except psutil.Error:
            continue
        if name == "prometheus":
            found = any(word.startswith("--config.file=") for word in words)
        else:
            found = words[1:3] == ["-m", MODULES[name]]
        if found:
            return child
    return None


def _children(suite: psutil.Process) -> list[psutil.Process]:
    try:
        return suite.children(recursive=True)
    except psutil.Error:
        return []


def _started(suite: psutil.Process, _: Path) -> bool:
    """Processes of the stack are there, the load generator is not."""
    return _process("load generator", suite) is None


def _loading(_: psutil.Process, runs: Path) -> bool:
    return any(path.read_bytes().count(b"\n") >= 20 for path in runs.glob(f"*/{JOBS_FILE}"))


def _reporting(suite: psutil.Process, runs: Path) -> bool:
    """The load generator has ended, and has left its jobs."""
    return _loading(suite, runs) and _process("load generator", suite) is None


REACHED: Mapping[Phase, Callable[[psutil.Process, Path], bool]] = MappingProxyType(
    {"start": _started, "load": _loading, "reports": _reporting}
)


def _freeze(process: psutil.Process) -> None:
    process.suspend()
    time.sleep(FREEZE_SECONDS)
    process.resume()


def _twice(process: psutil.Process) -> None:
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)


SENT: Mapping[Fault, Callable[[psutil.Process], None]] = MappingProxyType(
    {
        "kill": lambda process: process.kill(),
        "end": lambda process: process.terminate(),
        "freeze": _freeze,
        "Ctrl-C": lambda process: process.send_signal(signal.SIGINT),
        "Ctrl-C twice": _twice,
        "hang up": lambda process: process.send_signal(signal.SIGHUP),
    }
)

NO_VERDICT = frozenset({ExitCode.INCONCLUSIVE})
FAILED = frozenset({ExitCode.FAIL})
NO_STACK = frozenset({ExitCode.ABSENT})
NOTHING_WRONG = frozenset({ExitCode.PASS})
INTERRUPTED = frozenset({ExitCode.INTERRUPTED})
UNFINISHED = frozenset({ExitCode.INCONCLUSIVE, ExitCode.INTERRUPTED})
JUDGED = frozenset({ExitCode.FAIL, ExitCode.INCONCLUSIVE})

ROWS: tuple[Row, ...] = (
    Row("service", "kill", "start", NO_STACK, "service"),
    Row("service", "kill", "load", JUDGED, "service ended with signal SIGKILL"),
    Row("service", "end", "load", JUDGED, "service ended"),
    Row("service", "freeze", "load", JUDGED),
    Row("service", "kill", "reports", JUDGED | NOTHING_WRONG),
    Row("providers", "kill", "start", NO_STACK, "providers"),
    Row("providers", "kill", "load", JUDGED, "providers ended with signal SIGKILL"),
    Row("providers", "freeze", "load", JUDGED),
    Row("prometheus", "kill", "start", NO_STACK, "prometheus ended with signal SIGKILL"),
    Row("prometheus", "kill", "load", NO_STACK, "prometheus ended with signal SIGKILL"),
    Row("prometheus", "end", "load", NO_STACK, "prometheus ended with exit status 0"),
    Row("prometheus", "freeze", "load", NO_VERDICT | NOTHING_WRONG),
    Row("load generator", "kill", "load", UNFINISHED, "load generator"),
    Row("load generator", "end", "load", UNFINISHED),
    Row("load generator", "freeze", "load", NO_VERDICT),
    Row("suite", "Ctrl-C", "start", INTERRUPTED),
    Row("suite", "Ctrl-C", "load", INTERRUPTED),
    Row("suite", "Ctrl-C twice", "load", INTERRUPTED),
    Row("suite", "end", "load", INTERRUPTED),
    Row("suite", "hang up", "load", INTERRUPTED),
    Row("suite", "Ctrl-C", "reports", INTERRUPTED),
)

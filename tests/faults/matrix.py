"""The matrix of faults: each process of a run, ended or frozen in each phase, and what the run must say about it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import psutil

from reelbench.exit_code import ExitCode
from reelbench.loadgen.record.run_files import JOBS_FILE, RUN_FILE
from tests.commands import UNIGNORED, command
from tests.faults.places import PLACES, Place

Phase = Literal["start", "load", "reports"]

SCENARIO = "throughput"
FREEZE_SECONDS = 6.0
PHASE_LIMIT = 120.0
"""Seconds until a phase must be reached."""
END_LIMIT = 180.0
"""Seconds after the fault until the command must have ended."""

MODULES: Mapping[str, str] = MappingProxyType(
    {"service": "reelbench.service", "providers": "reelbench.service.providers", "load generator": "reelbench.loadgen"}
)


@dataclass(frozen=True)
class Row:
    """One fault and what is expected of the run."""

    process: str
    """A process of the run, or one of `PLACES`."""
    fault: str
    phase: Phase
    codes: frozenset[ExitCode]
    """Exit codes that are true of such a run."""
    promise: str
    """What holds, as a sentence for the page."""
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


def run_with(row: Row, folder: Path) -> Ended:
    """Run the suite, make the fault in its phase, and wait for the end.

    Raises:
        AssertionError: the phase was not reached, or the command did not end.
    """
    place = PLACES.get(row.process)
    with nullcontext(Place(folder)) if place is None else place(row.fault, folder) as stands:
        return _run_at(stands, row)


def _run_at(place: Place, row: Row) -> Ended:
    runs = place.runs
    words = command("run_suite.py", *place.options, "--no-charts", "--scenario", SCENARIO, "--runs", str(runs))
    process = subprocess.Popen(
        [*place.prefix, *UNIGNORED, *words],
        env=os.environ | dict(place.environment),
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
        began = time.monotonic()
        if row.process not in PLACES or row.fault in place.strikes:
            try:
                victim = _reach(row, psutil.Process(process.pid), runs)
            except AssertionError as error:
                raise AssertionError(f"{error}; it said: {''.join(output['err'])}") from error
            began = time.monotonic()
            strike = place.strikes.get(row.fault)
            if strike is None:
                SENT[row.fault](victim)
            else:
                strike()
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
    said, messages, seconds = "".join(output["out"]), "".join(output["err"]), time.monotonic() - began
    kept = runs.with_name(f"{runs.name}.kept")  # the place of the runs may be gone after its row
    shutil.copytree(runs, kept, ignore=shutil.ignore_patterns("filler", "lost+found", "assets"))
    folders = sorted(path.parent for path in kept.glob(f"*/{RUN_FILE}"))
    return Ended(code, said, messages, seconds, folders)


def _reach(row: Row, suite: psutil.Process, runs: Path) -> psutil.Process:
    """Wait for the phase; return the process that the fault is for."""
    until = time.monotonic() + PHASE_LIMIT
    while time.monotonic() < until:
        assert suite.status() != psutil.STATUS_ZOMBIE, f"{row.name}: the command ended before the phase"
        if REACHED[row.phase](suite, runs) and (found := _process(row.process, suite)) is not None:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{row.name}: the phase was not reached within {PHASE_LIMIT:g} s")


def _process(name: str, suite: psutil.Process) -> psutil.Process | None:
    if name == "suite" or name in PLACES:
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


SENT: Mapping[str, Callable[[psutil.Process], None]] = MappingProxyType(
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
ANY_VERDICT = JUDGED | NOTHING_WRONG
NOT_PASSED = JUDGED | frozenset({ExitCode.USAGE, ExitCode.ABSENT})

ENDS = "The command ends by itself; the jobs of the ended process have failed, and the run is judged by them."
SAVED = "What was measured is saved, the reports are written, and no process is left."
MEASURED = (
    "No job is lost; the fault is in the response times or the verdict says that they are not those of the service."
)

SHOWN = "No job is lost; where the run passes, the pause is in the response times that are judged."

ROWS: tuple[Row, ...] = (
    Row("service", "kill", "start", NO_STACK, "The run does not begin; the message names the service.", "service"),
    Row("service", "kill", "load", JUDGED, ENDS, "service ended with signal SIGKILL"),
    Row("service", "end", "load", JUDGED, ENDS, "service ended"),
    Row("service", "freeze", "load", ANY_VERDICT, SHOWN),
    Row("service", "kill", "reports", JUDGED | NOTHING_WRONG, "The reports are written from what was measured."),
    Row(
        "providers", "kill", "start", NO_STACK, "The run does not begin; the message names the providers.", "providers"
    ),
    Row("providers", "kill", "load", JUDGED, ENDS, "providers ended with signal SIGKILL"),
    Row("providers", "freeze", "load", ANY_VERDICT, SHOWN),
    Row(
        "prometheus",
        "kill",
        "start",
        NO_STACK,
        "The run does not begin; the message names Prometheus.",
        "prometheus ended with signal SIGKILL",
    ),
    Row(
        "prometheus",
        "kill",
        "load",
        NO_STACK,
        "The load ends; the reports are written from what was stored.",
        "prometheus ended with signal SIGKILL",
    ),
    Row(
        "prometheus",
        "end",
        "load",
        NO_STACK,
        "The load ends; the reports are written from what was stored.",
        "prometheus ended with exit status 0",
    ),
    Row("prometheus", "freeze", "load", NO_VERDICT | NOTHING_WRONG, "A gap in the scrapes makes no false verdict."),
    Row("load generator", "kill", "load", UNFINISHED, "The run is interrupted, never a PASS.", "load generator"),
    Row("load generator", "end", "load", UNFINISHED, SAVED),
    Row("load generator", "freeze", "load", NO_VERDICT, "The generator's pause is not taken for one of the service."),
    Row("suite", "Ctrl-C", "start", INTERRUPTED, "No process is left."),
    Row("suite", "Ctrl-C", "load", INTERRUPTED, SAVED),
    Row("suite", "Ctrl-C twice", "load", INTERRUPTED, "The run ends at once, and no process is left."),
    Row("suite", "end", "load", INTERRUPTED, SAVED),
    Row("suite", "hang up", "load", INTERRUPTED, SAVED),
    Row("suite", "Ctrl-C", "reports", INTERRUPTED, "No process is left."),
    Row(
        "store", "wrong password", "start", NO_STACK, "The service does not start, and says why.", "refuses the access"
    ),
    Row("store", "allkeys-lru", "start", NO_STACK, "The service does not start, and says why.", "drops jobs"),
    Row("store", "kill", "load", ANY_VERDICT, "The run ends, and every planned job has one end."),
    Row("store", "freeze", "load", ANY_VERDICT, "The run ends, and every planned job has one end."),
    Row("store", "restart", "load", ANY_VERDICT, "The run ends, and every planned job has one end."),
    Row("store", "FLUSHALL", "load", ANY_VERDICT, "The run ends, and every planned job has one end."),
    Row(
        "store",
        "maxmemory",
        "load",
        ANY_VERDICT,
        "The run ends, and every planned job has one end.",
    ),
    Row(
        "disk",
        "freeze",
        "load",
        ANY_VERDICT,
        "Every job has its end; the stack shares the disk, so the pause is in its times.",
    ),
    Row("disk", "slow", "load", ANY_VERDICT, MEASURED),
    Row("disk", "full", "load", NOT_PASSED, "The message names the disk; what was written is readable."),
    Row("clock", "forward", "load", NO_VERDICT, "A scenario in which a clock moved has no verdict."),
    Row("clock", "back", "load", NO_VERDICT, "A scenario in which a clock moved has no verdict."),
    Row("network", "loss and delay", "load", ANY_VERDICT, "Longer response times; every planned job has one end."),
    Row(
        "network",
        "loss and delay to the store",
        "load",
        ANY_VERDICT,
        "Longer response times; every planned job has one end.",
    ),
    Row(
        "network",
        "cut",
        "load",
        ANY_VERDICT,
        "Requests of the outage are repeated or fail; every planned job has one end.",
    ),
    Row("network", "cut to the store", "load", ANY_VERDICT, "Jobs wait for the store; every planned job has one end."),
)

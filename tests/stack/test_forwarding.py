"""Signals of the user on their way to load generators, one of which may hang."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reelbench.stack.forwarding import Forwarding
from reelbench.stack.processes import Child
from tests.commands import UNIGNORED

NOTES = """
import signal, sys
count = 0
def note(number, _):
    global count
    count += 1
    print(signal.Signals(number).name, flush=True)
    if count == 2:
        sys.exit(7)
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, note)
print("up", flush=True)
while True:
    signal.pause()
"""
DEAF = NOTES.replace("sys.exit(7)", "pass")


@pytest.fixture
def started(request: pytest.FixtureRequest) -> Iterator[Child]:
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", request.param], stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    yield Child("loadgen", process, None)
    process.kill()
    process.wait()
    process.stdout.close()


def said(child: Child) -> str:
    assert child.process.stdout is not None
    return child.process.stdout.readline().decode().strip()


@pytest.mark.parametrize("started", [NOTES], indirect=True)
def test_each_signal_reaches_the_load_generator(started: Child) -> None:
    forwarding = Forwarding()
    with forwarding.to(started):
        assert not forwarding.requested
        forwarding.handle(signal.SIGHUP, None)
        assert said(started) == "SIGHUP"
        forwarding.handle(signal.SIGINT, None)
        assert said(started) == "SIGINT"
        assert started.process.wait() == 7
    assert forwarding.requested


@pytest.mark.parametrize("started", [DEAF], indirect=True)
def test_a_load_generator_that_hangs_is_killed_after_the_second_signal(started: Child) -> None:
    forwarding = Forwarding(grace=1e6, abort_grace=0.05)
    with forwarding.to(started):
        forwarding.handle(signal.SIGTERM, None)
        assert said(started) == "SIGTERM"
        assert started.process.poll() is None
        forwarding.handle(signal.SIGTERM, None)
        assert started.process.wait() == -signal.SIGKILL


@pytest.mark.parametrize("started", [DEAF], indirect=True)
def test_one_signal_is_enough_for_a_load_generator_that_hangs(started: Child) -> None:
    forwarding = Forwarding(grace=0.05)
    with forwarding.to(started):
        forwarding.handle(signal.SIGTERM, None)
        assert started.process.wait() == -signal.SIGKILL


@pytest.mark.parametrize("started", [DEAF], indirect=True)
def test_the_third_signal_kills_at_once(started: Child) -> None:
    forwarding = Forwarding(grace=1e6, abort_grace=1e6)
    with forwarding.to(started):
        for _ in range(3):
            forwarding.handle(signal.SIGINT, None)
        assert started.process.wait() == -signal.SIGKILL


@pytest.mark.parametrize("started", [NOTES], indirect=True)
def test_a_stopped_load_generator_goes_on_and_ends(started: Child) -> None:
    forwarding = Forwarding()
    started.signal(signal.SIGSTOP)
    with forwarding.to(started):
        forwarding.handle(signal.SIGTERM, None)
        assert said(started) == "SIGTERM"
        forwarding.handle(signal.SIGINT, None)
        assert started.process.wait() == 7


def test_without_a_load_generator_a_signal_interrupts_this_process() -> None:
    with pytest.raises(KeyboardInterrupt):
        Forwarding().handle(signal.SIGTERM, None)


@pytest.mark.parametrize("started", [NOTES], indirect=True)
def test_the_next_load_generator_begins_anew(started: Child) -> None:
    forwarding = Forwarding()
    with forwarding.to(started):
        forwarding.handle(signal.SIGINT, None)
        assert said(started) == "SIGINT"
    with forwarding.to(started):
        assert not forwarding.requested


@pytest.mark.parametrize("started", [DEAF], indirect=True)
def test_the_end_of_a_child_that_hangs_is_bounded(started: Child) -> None:
    assert started.ended(deadline=0.05) == -signal.SIGKILL


@pytest.mark.extended
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(
    "entry", ["reelbench", "scripts/run_suite.py", "reelbench.loadgen", "reelbench.stack.prefetch"]
)
def test_a_signal_during_the_imports_ends_without_a_traceback(
    number: signal.Signals, entry: str, tmp_path: Path
) -> None:
    """The import of a module that the command loads waits until the signal is there."""
    root = Path(__file__).parents[2]
    (tmp_path / "difflib.py").write_text("import signal; print('importing', flush=True)\nwhile True: signal.pause()\n")
    for module in ("uvloop", "tarfile"):  # not all commands load difflib
        (tmp_path / f"{module}.py").write_text((tmp_path / "difflib.py").read_text())
    words = [entry] if entry.endswith(".py") else ["-m", entry]
    process = subprocess.Popen(
        [*UNIGNORED, sys.executable, *words, "run", "--help"],
        cwd=root,
        env=os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{root}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"importing\n"
        process.send_signal(number)
        assert process.wait() == 130
        assert process.stderr is not None
        assert process.stderr.read() == b""


def test_nohup_keeps_a_command_running() -> None:
    code = "from reelbench.ending import ending_signals; print(*(one.name for one in ending_signals()))"

    def printed(*before: str) -> str:
        run = [*UNIGNORED, *before, sys.executable, "-c", code]
        return subprocess.run(run, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL).stdout

    assert (printed(), printed("nohup")) == ("SIGINT SIGTERM SIGHUP\n", "SIGINT SIGTERM\n")

"""Faults by commands: what runs, what is kept, and that the stop command always runs."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reelbench.loadgen.clock import Clock
from reelbench.loadgen.control import faults as faults_module
from reelbench.loadgen.control.command import KEPT_BYTES, run_command
from reelbench.loadgen.control.command_side import CommandSide
from reelbench.loadgen.control.faults import FaultError, Injector
from reelbench.loadgen.control.guard import Guard
from reelbench.loadgen.control.secrets import hide, is_secret, secrets, without_secrets
from reelbench.loadgen.plan.fault_plan import PlannedCommand, PlannedFault

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "VIDEO_API_KEY": "sk-very-secret",
    "CLOUD_TOKEN": "tok-123456",
    "PLAIN": "yes",
}


def fault(start: list[str], stop: list[str] | None = None, *, at: float = 0.0, timeout: float = 5.0) -> PlannedFault:
    command = PlannedCommand(start=tuple(start), stop=tuple(stop) if stop else None, timeout=timeout)
    return PlannedFault(
        scenario="s",
        case="c",
        at=at,
        until=None,
        target="command",
        kind=command.name,
        rate=1.0,
        status=None,
        seconds=None,
        seed=1,
        command=command,
    )


def shell(text: str) -> list[str]:
    return ["sh", "-c", text]


@pytest.fixture
def guard() -> Iterator[Guard]:
    with Guard() as made:
        yield made


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def injector(tmp_path: Path, guard: Guard, said: list[str]) -> Injector:
    side = CommandSide(
        run_dir=tmp_path,
        directory=tmp_path,
        variables=ENVIRONMENT,
        secret=frozenset({"ODD_NAME"}),
        about={"REELBENCH_TARGET": "http://127.0.0.1:1", "REELBENCH_RUN_ID": "r1"},
        guard=guard,
    )
    return Injector({"command": side}, Clock.start(), said.append, lambda _: None)


async def run(argv: list[str], folder: Path, *, seconds: float = 5.0) -> str | None:
    return await run_command(
        argv,
        environment={"PATH": os.environ["PATH"]},
        secrets={"sk-very-secret"},
        directory=folder,
        seconds=seconds,
        output=folder / "out.txt",
    )


@pytest.mark.parametrize(
    ("argv", "failure"),
    [
        (["true"], None),
        (shell("exit 3"), "ended with exit status 3"),
        (["no-such-program"], "cannot be run (No such file or directory)"),
        (shell("kill -KILL $$"), "was ended by SIGKILL"),
    ],
)
async def test_the_end_of_a_command_is_said(tmp_path: Path, argv: list[str], failure: str | None) -> None:
    assert await run(argv, tmp_path) == failure
    kept = (tmp_path / "out.txt").read_text()
    assert kept.startswith("$ ")
    assert (failure or "ended with exit status 0") in kept


async def test_a_command_that_takes_too_long_is_ended_with_its_children(tmp_path: Path) -> None:
    begun = time.monotonic()
    failure = await run(shell("sleep 300 & echo $! > child; wait"), tmp_path, seconds=1)
    assert failure == "did not end within 1 s"
    assert time.monotonic() - begun < 200
    assert ended(int((tmp_path / "child").read_text()))


async def test_a_program_left_in_the_background_does_not_hold_the_command(tmp_path: Path) -> None:
    begun = time.monotonic()
    assert await run(shell("sleep 300 & echo $! > child; echo started"), tmp_path) is None
    assert time.monotonic() - begun < 200
    os.kill(int((tmp_path / "child").read_text()), signal.SIGTERM)
    assert "started\n" in (tmp_path / "out.txt").read_text()


async def test_much_output_is_bounded_and_secrets_are_hidden(tmp_path: Path) -> None:
    script = "echo begin sk-very-secret http://me:pw@host/x; head -c 3000000 /dev/zero | tr '\\0' a; echo end"
    assert await run(shell(script), tmp_path) is None
    kept = (tmp_path / "out.txt").read_text()
    assert len(kept) < 2 * KEPT_BYTES + 1_000
    assert "begin *** http://***@host/x" in kept
    assert "bytes left out" in kept
    assert "aend\n" in kept
    output = kept.split("\n", 1)[1]  # the command itself is of the scenario file
    assert "sk-very-secret" not in output
    assert "pw@" not in output


def test_secrets_of_the_environment_are_known_by_name() -> None:
    for name in ("OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "DB_PASSWORD", "NPM_AUTH"):
        assert is_secret(name), name
    for name in ("PATH", "KEYBOARD", "SSH_AUTH_SOCK", "KUBECONFIG", "DOCKER_HOST", "MONKEY"):
        assert not is_secret(name), name
    given = ENVIRONMENT | {"ODD_NAME": "another-secret", "SHORT_KEY": "abc"}
    assert without_secrets(given, {"ODD_NAME"}, keep={"CLOUD_TOKEN"}).keys() == {"PATH", "PLAIN", "CLOUD_TOKEN"}
    assert secrets(given, {"ODD_NAME"}) == {"sk-very-secret", "tok-123456", "another-secret"}
    assert hide("another-secret abc", secrets(given, {"ODD_NAME"})) == "*** abc"


async def test_start_and_stop_run_in_their_folder_with_what_they_need_to_know(
    injector: Injector, tmp_path: Path, said: list[str]
) -> None:
    show = (
        'echo "$REELBENCH_FAULT of $REELBENCH_RUN_ID at $REELBENCH_TARGET [$VIDEO_API_KEY$CLOUD_TOKEN] $PLAIN" >> log'
    )
    async with injector.during((fault(shell(show), shell(show)),)):
        assert (tmp_path / "log").read_text() == "start of r1 at http://127.0.0.1:1 [] yes\n"
    assert (tmp_path / "log").read_text().splitlines()[1] == "stop of r1 at http://127.0.0.1:1 [] yes"
    (record,) = injector.records
    assert record.asked is not None
    assert record.asked_to_end is not None
    assert record.ended is not None
    assert record.asked <= record.started <= record.asked_to_end <= record.ended
    assert (record.target, record.kind, record.error) == ("command", "sh", None)
    assert record.output == "commands/s_c_001.txt"
    assert (tmp_path / record.output).read_text().count("$ sh -c") == 2
    assert said[0] == "  fault on: command sh"
    assert said[1].startswith("  fault off: command sh, ")


async def test_a_fault_without_stop_ends_with_its_start(injector: Injector, said: list[str]) -> None:
    async with injector.during((fault(["true"]),)):
        pass
    (record,) = injector.records
    assert record.ended == record.started
    assert record.stop == []
    assert said == ["  fault done: command true"]


async def test_a_failing_start_is_no_fault_but_the_stop_runs_once(
    injector: Injector, tmp_path: Path, said: list[str]
) -> None:
    async with injector.during((fault(shell("exit 7"), shell("echo stopped >> log")),)):
        pass
    assert (tmp_path / "log").read_text() == "stopped\n"
    (record,) = injector.records
    assert record.error == "the start command sh -c 'exit 7' ended with exit status 7"
    assert record.ended is not None
    assert said == [f"warning: no fault: {record.error}"]


async def test_a_failing_stop_is_tried_again_and_then_an_error(
    injector: Injector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faults_module, "_LIFT_PAUSE", 0.01)
    failing_once = "test -e tried && exit 0; touch tried; exit 1"
    async with injector.during((fault(["true"], shell(failing_once)),)):
        pass
    assert injector.records[0].ended is not None
    with pytest.raises(FaultError, match=r"may still be on: the stop command false ended with exit status 1"):
        async with injector.during((fault(["true"], ["false"]),)):
            pass
    assert (tmp_path / "commands" / "s_c_002.txt").read_text().count("$ false") == 3


@pytest.mark.parametrize("error", [RuntimeError("a job broke"), asyncio.CancelledError()])
async def test_the_stop_runs_however_the_case_ends(injector: Injector, tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)):
        async with injector.during((fault(["true"], ["touch", "stopped"]),)):
            raise error
    assert (tmp_path / "stopped").exists()


async def test_the_stop_runs_when_the_case_ends_while_the_start_still_runs(injector: Injector, tmp_path: Path) -> None:
    async with injector.during((fault(shell("touch begun; sleep 20"), ["touch", "stopped"], at=0.01),)):
        assert await asyncio.to_thread(appears, tmp_path / "begun")
    assert (tmp_path / "stopped").exists()
    assert "was stopped" in (tmp_path / "commands" / "s_c_001.txt").read_text()


KILLED = """
import asyncio, os, sys
from pathlib import Path
from reelbench.loadgen.clock import Clock
from reelbench.loadgen.control.command_side import CommandSide
from reelbench.loadgen.control.faults import Injector
from reelbench.loadgen.control.guard import Guard
from tests.loadgen.test_command_faults import fault

async def main(folder):
    guard = Guard()
    side = CommandSide(folder, folder, dict(os.environ), frozenset(), {}, guard)
    faults = (fault(["touch", "on"], ["touch", "off"]),)
    async with Injector({"command": side}, Clock.start(), print, lambda _: None).during(faults):
        await asyncio.sleep(60)

asyncio.run(main(Path(sys.argv[1])))
"""


@pytest.mark.extended
@pytest.mark.acceptance
def test_the_stop_runs_after_the_load_generator_was_killed(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], cwd=Path(__file__).parents[2])
    try:
        assert appears(tmp_path / "on")
        child.send_signal(signal.SIGKILL)
        child.wait(5)
        assert appears(tmp_path / "off")
    finally:
        child.kill()
    log = tmp_path / "commands" / "s_c_001.txt"
    for _ in range(100):
        if "its guard ran the stop command: exit status 0" in log.read_text():
            return
        time.sleep(0.02)
    pytest.fail(log.read_text())


def appears(path: Path) -> bool:
    deadline = time.monotonic() + 10
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    return path.exists()


def ended(process: int) -> bool:
    """Return whether a process ends within a second; a zombie has."""
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        state = Path(f"/proc/{process}/stat")
        if not state.exists() or state.read_text().split()[2] == "Z":
            return True
        time.sleep(0.02)
    return False

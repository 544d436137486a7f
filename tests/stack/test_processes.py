from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from reelbench.stack.endpoints import free_ports
from reelbench.stack.errors import PortTakenError, StackError
from reelbench.stack.processes import Processes

pytestmark = pytest.mark.acceptance
ROOT = Path(__file__).resolve().parents[2]
SLEEP = "import time; print('up', flush=True); time.sleep(60)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A zombie counts as dead.
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, check=False).stdout
    return not state.strip().startswith(b"Z") and bool(state.strip())


def wait_for(path: Path, text: str) -> None:
    deadline = time.monotonic() + 10
    while not path.exists() or text not in path.read_text():
        assert time.monotonic() < deadline, f"{path} never said {text!r}"
        time.sleep(0.02)


def test_only_a_child_that_listens_on_its_port_has_it(tmp_path: Path) -> None:
    listens = "import socket, time; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True)"
    with Processes() as processes, socket.create_server(("127.0.0.1", 0)) as stranger:
        out = tmp_path / "out"
        child = processes.start(
            "service",
            [sys.executable, "-c", f"{listens}; time.sleep(60)"],
            environment=dict(os.environ),
            directory=tmp_path,
            stdout=out,
        )
        wait_for(out, "\n")
        child.check_port(int(out.read_text()))
        taken = stranger.getsockname()[1]
        expected = f"^Another program answers on port {taken}, which service was given; run again\\.$"
        with pytest.raises(PortTakenError, match=expected):
            child.check_port(taken)


def test_children_end_in_reverse_order(tmp_path: Path) -> None:
    order = tmp_path / "order"
    code = (
        "import signal, sys, time\n"
        "def end(*_):\n open(sys.argv[2], 'a').write(sys.argv[1]); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end); print('up', flush=True); time.sleep(60)"
    )
    with Processes() as processes:
        for name in "abc":
            command = [sys.executable, "-S", "-c", code, name, str(order)]
            processes.start(name, command, environment=os.environ, directory=tmp_path, stdout=tmp_path / name)
            wait_for(tmp_path / name, "up")
        processes.check()
    assert order.read_text() == "cba"


def test_a_child_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    processes = Processes()
    child = processes.start(
        "deaf", [sys.executable, "-S", "-c", DEAF], environment={}, directory=tmp_path, stdout=tmp_path / "out"
    )
    wait_for(tmp_path / "out", "up")
    started = time.monotonic()
    processes.stop(deadline=0.3)
    assert time.monotonic() - started >= 0.3
    assert child.process.returncode == -signal.SIGKILL


def test_an_early_exit_shows_the_end_of_the_log(tmp_path: Path) -> None:
    code = "import sys; [print('line', n, file=sys.stderr) for n in range(100)]; sys.exit(3)"
    with Processes() as processes:
        child = processes.start(
            "short", [sys.executable, "-S", "-c", code], environment={}, directory=tmp_path, log=tmp_path / "log"
        )
        assert child.wait(10) == 3
        with pytest.raises(StackError) as failed:
            processes.check()
    lines = str(failed.value).splitlines()
    assert lines[0] == f"short ended with exit status 3 while it was needed; its log {tmp_path / 'log'} ends with:"
    assert lines[1:] == [f"line {number}" for number in range(85, 100)]


def test_an_exit_by_signal_names_the_signal(tmp_path: Path) -> None:
    with Processes() as processes:
        child = processes.start("victim", [sys.executable, "-S", "-c", SLEEP], environment={}, directory=tmp_path)
        child.signal(signal.SIGKILL)
        child.wait(10)
        with pytest.raises(StackError, match="victim ended with signal SIGKILL while it was needed"):
            child.check()


def test_a_missing_program_is_an_error(tmp_path: Path) -> None:
    with Processes() as processes, pytest.raises(StackError, match=r"ghost cannot be started: .*No such file"):
        processes.start("ghost", [str(tmp_path / "ghost")], environment={}, directory=tmp_path)


@pytest.mark.extended
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_no_orphans_when_the_parent_dies(tmp_path: Path, number: signal.Signals) -> None:
    """The parent has two children, one with its own child; then the parent is killed."""
    family = (
        f"import subprocess, sys\nprint(subprocess.Popen([sys.executable, '-S', '-c', {SLEEP!r}]).pid, flush=True)\n"
    )
    parent_code = f"""
import os, sys, time
from pathlib import Path
from reelbench.stack.processes import Processes
processes = Processes()
folder = Path({str(tmp_path)!r})
for name, code in (("a", {SLEEP!r}), ("b", {(family + SLEEP)!r})):
    child = processes.start(
        name, [sys.executable, "-S", "-c", code], environment=os.environ, directory=folder, stdout=folder / name
    )
    print(child.process.pid)
print("reaper", processes._orphan_reaper.pid, flush=True)
time.sleep(60)
"""
    with (tmp_path / "parent").open("wb") as out:
        parent = subprocess.Popen([sys.executable, "-c", parent_code], cwd=ROOT, stdout=out, stderr=subprocess.DEVNULL)
    wait_for(tmp_path / "parent", "reaper")
    wait_for(tmp_path / "a", "up")
    wait_for(tmp_path / "b", "up")
    pids = [int(word) for word in (tmp_path / "parent").read_text().split() if word != "reaper"]
    pids.append(next(int(word) for word in (tmp_path / "b").read_text().split() if word != "up"))
    assert all(alive(pid) for pid in pids)
    parent.send_signal(number)
    parent.wait(10)
    assert_all_end(pids, 3)


def test_the_orphan_reaper_kills_processes_that_ignore_sigterm(tmp_path: Path) -> None:
    code = "from reelbench.stack import orphan_reaper; orphan_reaper.GRACE = 0.3; orphan_reaper.main()"
    child = subprocess.Popen([sys.executable, "-S", "-c", DEAF], stdout=subprocess.PIPE, start_new_session=True)
    spared = subprocess.Popen([sys.executable, "-S", "-c", SLEEP], stdout=subprocess.DEVNULL, start_new_session=True)
    helper = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE)
    with child, spared, helper:
        assert child.stdout is not None
        assert child.stdout.readline() == b"up\n"
        assert helper.stdin is not None
        helper.stdin.write(f"+{child.pid}\n+{spared.pid}\n-{spared.pid}\n".encode())
        started = time.monotonic()
        helper.stdin.close()
        assert child.wait(5) == -signal.SIGKILL
        assert time.monotonic() - started >= 0.3
        assert helper.wait(5) == 0
        assert spared.poll() is None, "it was reported as ended: its number may belong to another process by now"
        spared.kill()


def assert_all_end(pids: list[int], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while any(alive(pid) for pid in pids):
        assert time.monotonic() < deadline, "orphans are left"
        time.sleep(0.02)


def test_free_ports_are_distinct_and_below_the_ephemeral_range() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert all(18_000 <= port < 32_000 for port in ports)
    for port in ports:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))


def test_an_occupied_port_is_not_chosen() -> None:
    class First(random.Random):
        def choice(self, _: object) -> Any:
            return next(ports)

    (port,) = free_ports(1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        ports = iter(range(port, port + 4))
        assert free_ports(1, choice=First())[0] > port

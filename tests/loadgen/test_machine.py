"""What others take of the machine of a run: by a real busy process, and by made files of /proc and control groups."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from reelbench.loadgen.control.admin_client import AdminClient
from reelbench.loadgen.drive.conditions import Conditions
from reelbench.loadgen.machine.limit import LimitError, others_limit
from reelbench.loadgen.machine.observation import Machine, Readings
from reelbench.loadgen.machine.parts import OWN_ADDRESSES, OWN_PROCESS, Parts, is_local, own_processes
from reelbench.loadgen.machine.pressure import group_pressure, machine_pressure, quotas
from reelbench.loadgen.machine.processes import (
    CpuTimes,
    Process,
    descendants,
    read_cpu_times,
    read_processes,
)
from reelbench.loadgen.machine.sockets import connected_ports, listeners
from reelbench.loadgen.machine.usage import Sample, Usage, used
from reelbench.loadgen.record.conditions import (
    MachineRecord,
    PressureRecord,
    TakerRecord,
    ThrottlingRecord,
    read_conditions,
)
from reelbench.loadgen.record.journal import Journal
from tests.loadgen.fake_target import FakeTarget, serving
from tests.loadgen.harness import case, scenario
from tests.loadgen.test_runner import run_on

TICK = os.sysconf("SC_CLK_TCK")
BUSY = "import time\nend = time.process_time() + 0.7\nwhile time.process_time() < end: pass\ninput()"


def process(pid: int, parent: int, own: float, ended: float = 0.0, *, name: str = "x", born: int = 1) -> Process:
    return Process(pid=pid, parent=parent, born=born, name=name, own=own, ended_children=ended)


def sample(at: float, work: float, idle: float, *processes: Process, own: tuple[int, ...] = ()) -> Sample:
    return Sample(at, CpuTimes(work, 0.0, idle, 0.0), {one.pid: one for one in processes}, own)


def write_process(proc: Path, pid: int, parent: int, *, name: str, ticks: tuple[int, int, int, int], born: int) -> None:
    folder = proc / str(pid)
    folder.mkdir(parents=True)
    times = " ".join(map(str, ticks))
    (folder / "stat").write_text(f"{pid} ({name}) S {parent} 1 1 0 -1 0 0 0 0 0 {times} 20 0 1 0 {born} 0 0 0\n")


@pytest.mark.extended
def test_a_busy_process_outside_of_the_run_is_measured_and_named() -> None:
    # 0.7 s of CPU time: its share of all CPUs follows from the length of the observation.
    idle = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    busy = subprocess.Popen([sys.executable, "-c", BUSY], stdin=subprocess.PIPE)

    async def observed() -> MachineRecord:
        async with Machine(Parts(roots=frozenset({idle.pid}))).observe() as seen:
            await asyncio.to_thread(_await_work, busy.pid)
        return await seen.record("single_job", "n01")

    try:
        found = asyncio.run(observed())
        name = read_processes()[busy.pid].name
    finally:
        for child in (busy, idle):
            child.communicate(b"\n")
    assert (found.scenario, found.case, found.unknown) == ("single_job", "n01", None)
    assert found.others is not None
    taken = found.others * found.cpus * found.seconds
    assert taken >= 0.55  # its start, before the first reading, is not in it
    assert sum(one.share * found.cpus * found.seconds for one in found.takers if one.name == name) >= 0.5
    assert found.run is not None
    assert found.run * found.cpus * found.seconds < 0.3  # the waiting process is the run
    assert found.cost < 0.1 * found.seconds


def _await_work(pid: int) -> None:
    deadline = time.monotonic() + 30
    while read_processes()[pid].own < 0.7 and time.monotonic() < deadline:
        time.sleep(0.05)


def test_cpu_times_are_those_of_the_cpus_of_the_run(tmp_path: Path) -> None:
    line = "cpu{} {} 10 40 800 20 5 15 30 0 0\n"
    (tmp_path / "stat").write_text("".join(line.format(cpu, user) for cpu, user in (("", 999), (0, 100), (7, 300))))
    assert read_cpu_times({7}, tmp_path) == CpuTimes(350 / TICK, 20 / TICK, 820 / TICK, 30 / TICK)
    assert read_cpu_times({0, 7}, tmp_path) == CpuTimes(500 / TICK, 40 / TICK, 1640 / TICK, 60 / TICK)
    assert read_cpu_times({0}, tmp_path / "none") is None


def test_processes_are_read_with_names_of_any_form_and_without_command_lines(tmp_path: Path) -> None:
    write_process(tmp_path, 12, 1, name="a) b (c\x07", ticks=(100, 50, 30, 20), born=77)
    (tmp_path / "12" / "cmdline").write_text("program --api-key secret")
    (tmp_path / "13").mkdir()
    found = read_processes(tmp_path)
    assert found == {12: process(12, 1, 150 / TICK, 50 / TICK, name="a? b ?c?", born=77)}


def test_the_run_is_a_process_with_its_children_and_theirs() -> None:
    tree = {pid: process(pid, parent, 0.0) for pid, parent in ((1, 0), (10, 1), (11, 10), (12, 11), (20, 1))}
    assert descendants([10], tree) == {10, 11, 12}
    assert descendants([99], tree) == set()


def test_a_process_stays_part_of_the_run_when_its_parent_has_ended() -> None:
    parts = Parts(roots=frozenset({10}))
    assert parts.find({10: process(10, 1, 0.0), 11: process(11, 10, 0.0)}) == {10, 11}
    assert parts.find({10: process(10, 1, 0.0), 11: process(11, 1, 0.0)}) == {10, 11}
    assert parts.find({10: process(10, 1, 0.0), 11: process(11, 1, 0.0, born=9)}) == {10}  # another process by now


def test_ended_processes_are_counted_once_by_the_parent_that_is_left() -> None:
    # 3 ran 2 s before and 1 s more, then ended, and 2, which waited for it, ended too: 1 counts both.
    before = sample(0.0, 0.0, 0.0, process(1, 0, 5.0), process(2, 1, 0.5), process(3, 2, 2.0))
    now = sample(1.0, 0.0, 0.0, process(1, 0, 5.0, ended=3.5), process(4, 1, 0.25))
    assert used(before, now) == {1: 1.0, 4: 0.25}


def test_others_are_what_is_not_of_the_run_by_name() -> None:
    usage = Usage()
    before = sample(0.0, 100.0, 50.0, process(1, 0, 9.0), process(2, 0, 1.0, name="cc1plus"))
    now = sample(
        1.0, 101.6, 50.4, process(1, 0, 9.4), process(2, 0, 1.9, name="cc1plus"), process(3, 0, 0.2, name="cc1plus"),
        own=(1,),
    )  # fmt: skip
    usage.add(before, now)
    assert (usage.run, usage.others, usage.peak) == pytest.approx((0.4, 0.6, 0.6))
    assert usage.takers == (TakerRecord(name="cc1plus", share=0.55),)


def test_pressure_is_the_share_of_the_time_in_which_work_waited(tmp_path: Path) -> None:
    folder = tmp_path / "pressure"
    folder.mkdir()

    def write(cpu: int, io: int) -> None:
        (folder / "cpu").write_text(f"some avg10=1.00 avg60=1.00 avg300=1.00 total={cpu}\n")
        (folder / "io").write_text(f"some avg10=0.00 total={io}\nfull avg10=0.00 total={io // 2}\n")

    write(1_000_000, 0)
    before = machine_pressure(tmp_path)
    write(2_900_000, 400_000)
    assert machine_pressure(tmp_path).since(before, 2.0) == PressureRecord(cpu=0.95, io=0.2, io_full=0.1)
    assert machine_pressure(tmp_path / "none").since(before, 2.0) is None


def test_pressure_and_throttling_of_the_control_group(tmp_path: Path) -> None:
    groups, own = tmp_path / "cgroup", tmp_path / "self"
    inner = groups / "job" / "step"
    inner.mkdir(parents=True)
    own.write_text("0::/job/step\n")
    (inner / "cpu.pressure").write_text("some avg10=0 total=100000\nfull avg10=0 total=0\n")
    (inner / "cpu.stat").write_text("usage_usec 5\nnr_periods 0\nnr_throttled 0\n")
    (groups / "job" / "cpu.stat").write_text("usage_usec 5\nnr_periods 100\nnr_throttled 10\nthrottled_usec 9\n")
    waited, used_up = group_pressure(groups, own), quotas(groups, own)
    (inner / "cpu.pressure").write_text("some avg10=0 total=600000\nfull avg10=0 total=0\n")
    (groups / "job" / "cpu.stat").write_text("usage_usec 9\nnr_periods 120\nnr_throttled 15\nthrottled_usec 99\n")
    assert group_pressure(groups, own).since(waited, 1.0) == PressureRecord(cpu=0.5)
    throttling = quotas(groups, own).since(used_up)
    assert throttling == ThrottlingRecord(periods=20, throttled=5)
    assert throttling.share == 0.25


def test_throttling_of_version_1_of_control_groups(tmp_path: Path) -> None:
    own = tmp_path / "self"
    own.write_text("4:memory:/\n1:cpu,cpuacct:/\n")
    folder = tmp_path / "cpu"
    folder.mkdir()
    (folder / "cpu.stat").write_text("nr_periods 5\nnr_throttled 1\nthrottled_time 77\n")
    own.write_text("1:cpu:/\n")
    before = quotas(tmp_path, own)
    (folder / "cpu.stat").write_text("nr_periods 15\nnr_throttled 4\nthrottled_time 99\n")
    assert quotas(tmp_path, own).since(before) == ThrottlingRecord(periods=10, throttled=3)
    (folder / "cpu.stat").write_text("nr_periods 0\nnr_throttled 0\nthrottled_time 0\n")
    assert quotas(tmp_path, own).since(before) is None


def test_the_server_that_listens_on_the_targets_port_is_part_of_the_run() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert listeners({port}) == {port: {os.getpid()}}
        parts = Parts.of_run(f"http://127.0.0.1:{port}", {OWN_PROCESS: "", OWN_ADDRESSES: ""})
        parts.roots = frozenset()
        assert os.getpid() in parts.find(read_processes())
        assert parts.hidden is None


def write_sockets(proc: Path, *lines: tuple[str, str, str, int]) -> None:
    (proc / "net").mkdir(exist_ok=True)
    rows = [
        f"{n}: {local} {remote} {state} 0 0 0 0 0 {inode} 1" for n, (local, remote, state, inode) in enumerate(lines)
    ]
    (proc / "net" / "tcp").write_text("\n".join(["head", *rows]))


def open_sockets(proc: Path, pid: int, *inodes: int) -> None:
    folder = proc / str(pid) / "fd"
    folder.mkdir(parents=True, exist_ok=True)
    for number, inode in enumerate(inodes):
        (folder / str(number)).symlink_to(f"socket:[{inode}]")


def test_what_works_for_a_local_target_is_part_of_the_run(tmp_path: Path) -> None:
    # 10 is a gateway on port 8000 (1F40), with a model on port 9000 (2328), which asks a store on port 6379 (18EB).
    for pid in (10, 20, 21, 30, 40):
        write_process(tmp_path, pid, 20 if pid == 21 else 1, name="x", ticks=(0, 0, 0, 0), born=1)
    here, there = "0100007F", "0200000A"
    write_sockets(
        tmp_path,
        (f"{here}:1F40", "00000000:0000", "0A", 1),
        (f"{here}:2328", "00000000:0000", "0A", 2),
        (f"{here}:18EB", "00000000:0000", "0A", 3),
        (f"{here}:0016", "00000000:0000", "0A", 4),
        (f"{here}:C000", f"{here}:2328", "01", 5),  # the gateway's connection to the model
        (f"{here}:2328", f"{here}:C000", "01", 6),
        (f"{here}:C001", f"{here}:18EB", "01", 7),  # the model's connection to the store
        (f"{here}:C002", f"{there}:0016", "01", 8),  # to another machine
        (f"{here}:1F40", f"{here}:C003", "01", 9),  # a client of the gateway
    )
    open_sockets(tmp_path, 10, 1, 5, 8, 9)
    open_sockets(tmp_path, 20, 2)
    open_sockets(tmp_path, 21, 6, 7)
    open_sockets(tmp_path, 30, 3)
    open_sockets(tmp_path, 40, 4)
    assert connected_ports({10}, tmp_path) == {9000}
    parts = Parts(roots=frozenset(), target_port=8000, ports=frozenset({8000}), proc=tmp_path)
    assert parts.find(read_processes(tmp_path)) == {10, 20, 21}
    assert parts.find(read_processes(tmp_path)) == {10, 20, 21, 30}
    assert parts.hidden is None


def test_connections_are_looked_at_less_often_until_the_target_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for pid in (10, 11):
        write_process(tmp_path, pid, 1 if pid == 10 else 10, name="x", ticks=(0, 0, 0, 0), born=1)
    write_sockets(tmp_path, ("0100007F:1F40", "00000000:0000", "0A", 1), ("0100007F:1F40", "0100007F:C003", "06", 2))
    open_sockets(tmp_path, 10, 1)
    looks: list[int] = []

    def looked(processes: set[int], proc: Path) -> set[int]:
        looks.append(len(processes))
        return connected_ports(processes, proc)

    monkeypatch.setattr("reelbench.loadgen.machine.parts.connected_ports", looked)
    parts = Parts(roots=frozenset(), target_port=8000, ports=frozenset({8000}), proc=tmp_path)
    both = read_processes(tmp_path)
    for _ in range(40):
        assert parts.find({10: both[10]}) == {10}
    assert len(looks) == 6  # readings 1, 2, 4, 8, 16 and 32
    assert parts.find(both) == {10, 11}
    assert looks[6:] == [2]


def test_a_target_whose_process_cannot_be_seen_leaves_others_unknown() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # taken, but nothing listens
        port = bound.getsockname()[1]
        readings = Readings(Machine(Parts.of_run(f"http://localhost:{port}", {})))
        readings.begin()
        found = readings.end("single_job", "n01")
    assert (found.others, found.run, found.takers) == (None, None, ())
    assert found.unknown is not None
    assert f"port {port}" in found.unknown
    assert found.idle is not None


def test_a_target_on_another_machine_hides_nothing(tmp_path: Path) -> None:
    parts = Parts.of_run("https://videos.example:8443", {}, tmp_path)
    assert (parts.target_port, parts.hidden, parts.roots) == (None, None, frozenset({os.getpid()}))
    assert not is_local("videos.example", lambda _: ["192.0.2.7"])
    assert is_local("here", lambda _: ["::1"])


def test_the_suite_names_its_processes_without_passwords() -> None:
    given = own_processes(41, ["http://user:secret@127.0.0.1:9090/prom", "https://127.0.0.1"])
    assert given == {OWN_PROCESS: "41", OWN_ADDRESSES: "127.0.0.1:9090 127.0.0.1:443"}
    parts = Parts.of_run("http://127.0.0.1:8000", given)
    assert parts.roots == {os.getpid(), 41}
    assert (parts.target_port, parts.ports) == (8000, {8000, 9090, 443})


async def test_every_case_of_a_run_has_its_record(tmp_path: Path) -> None:
    fake = FakeTarget(seconds=0.05)
    spec = scenario(steps=["create", "wait"], cases=[case("n01"), case("n02", concurrency=2, iterations=4)])

    def conditions(journal: Journal, _: AdminClient) -> Conditions:
        return Conditions(journal, Machine(Parts.of_run(fake.url)), 0.4)

    async with serving(fake):
        await run_on(fake.url, tmp_path / "run", [spec], conditions=conditions)
    found = read_conditions(tmp_path / "run")
    assert found is not None
    assert found.others_limit == 0.4
    assert [(one.scenario, one.case) for one in found.machine] == [("trial", "n01"), ("trial", "n02")]
    assert all(one.run is not None and 0 <= one.run <= 1 and one.seconds >= 0.05 for one in found.machine)


async def test_the_processes_say_what_they_run_with_and_a_foreign_server_is_not_needed(tmp_path: Path) -> None:
    fake = FakeTarget()
    with Journal(tmp_path, b"") as journal:
        conditions = Conditions(journal, Machine(Parts(roots=frozenset())), None)
        async with serving(fake), AdminClient(fake.url) as admin, AdminClient("http://127.0.0.1:9") as absent:
            await conditions.describe({"service": admin, "providers": admin}, {"TZ": "UTC", "API_TOKEN": "sesame"})
            both = read_conditions(tmp_path)
            await conditions.describe({"service": absent}, {})
    assert both is not None
    assert [(one.name, one.settings) for one in both.processes] == [
        ("loadgen", {}),
        ("service", {"SEED": "1"}),
        ("providers", {"SEED": "1"}),
    ]
    assert both.processes[0].environment == {"TZ": "UTC"}
    alone = read_conditions(tmp_path)
    assert alone is not None
    assert [one.name for one in alone.processes] == ["loadgen"]


@pytest.mark.parametrize(
    ("text", "share"), [("", 0.25), ("40%", 0.4), ("0.4", 0.4), ("100 %", 1.0), ("none", None), ("None", None)]
)
def test_the_limit_of_others_is_a_setting(text: str, share: float | None) -> None:
    assert others_limit({"REELBENCH_OTHERS_LIMIT": text}) == share


@pytest.mark.parametrize("text", ["0", "-1%", "200%", "many", "nan"])
def test_a_limit_that_is_no_share_is_refused_with_its_cure(text: str) -> None:
    with pytest.raises(LimitError, match=r"REELBENCH_OTHERS_LIMIT: .*25%, or none"):
        others_limit({"REELBENCH_OTHERS_LIMIT": text})

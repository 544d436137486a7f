"""CPU time and memory of processes: by a real process of known cost, and by made files of /proc."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reelbench.bench.usage_error import measured
from reelbench.loadgen.clock import Clock
from reelbench.loadgen.control.admin_client import AdminClient
from reelbench.loadgen.drive.conditions import Conditions
from reelbench.loadgen.machine.observation import Machine
from reelbench.loadgen.machine.parts import Parts
from reelbench.loadgen.machine.process_parts import ProcessParts
from reelbench.loadgen.machine.process_reader import ProcessReader
from reelbench.loadgen.plan.sampling import sampled
from reelbench.loadgen.record.journal import Journal
from reelbench.loadgen.record.processes import Part, PartUsage, UsageSample, read_usage
from reelbench.loadgen.record.run import read_run
from reelbench.loadgen.record.run_files import RecordError, to_line
from tests.loadgen.fake_target import FakeTarget, serving
from tests.loadgen.harness import case, scenario
from tests.loadgen.test_machine import write_process
from tests.loadgen.test_runner import run_on

PAGE = os.sysconf("SC_PAGE_SIZE")
LISTENING = "  0: 0100007F:{port:04X} 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000  0 {inode} 1\n"


def write_machine(proc: Path, *, server: str = "python") -> None:
    """A server 10 on port 8000 with a worker 11, providers 20 on port 9000, and a process 30 of others."""
    (proc / "net").mkdir(parents=True)
    lines = [LISTENING.format(port=port, inode=inode) for port, inode in ((8000, 77), (9000, 78))]
    (proc / "net" / "tcp").write_text("header\n" + "".join(lines))
    for pid, parent, inode in ((10, 1, 77), (11, 10, None), (20, 1, 78), (30, 1, None)):
        write_process(proc, pid, parent, name=server if pid == 10 else "python", ticks=(0, 0, 0, 0), born=1)
        (proc / str(pid) / "statm").write_text(f"999 {pid} 0 0 0 0 0\n")
        (proc / str(pid) / "fd").mkdir()
        if inode:
            (proc / str(pid) / "fd" / "3").symlink_to(f"socket:[{inode}]")


def test_the_parts_are_found_by_their_ports_and_read(tmp_path: Path) -> None:
    write_machine(tmp_path)
    used = {10: 1.5, 11: 0.25, 20: 3.0}
    reader = ProcessReader(ProcessParts(8000, 9000, own=30, proc=tmp_path), lambda: 5.0, lambda pid: used.get(pid, 9.0))
    assert reader.sees_target
    reader.look()
    assert reader.take() == UsageSample(
        at=5.0,
        parts={
            Part.SERVICE: PartUsage(cpu=1.5, memory=10 * PAGE, processes=1),
            Part.WORKERS: PartUsage(cpu=0.25, memory=11 * PAGE, processes=1),
            Part.PROVIDERS: PartUsage(cpu=3.0, memory=20 * PAGE, processes=1),
            Part.LOADGEN: PartUsage(cpu=9.0, memory=30 * PAGE, processes=1),
        },
    )


def test_cpu_time_of_ended_processes_stays_counted(tmp_path: Path) -> None:
    write_machine(tmp_path)
    used: dict[int, float | None] = {10: 1.0, 11: 0.5}
    reader = ProcessReader(ProcessParts(8000, proc=tmp_path), lambda: 0.0, used.get)
    assert reader.sees_target
    reader.look()
    reader.take()
    used[11] = None  # ended
    assert reader.take().parts[Part.WORKERS] == PartUsage(cpu=0.5, memory=0, processes=0)
    write_process(tmp_path, 12, 10, name="python", ticks=(0, 0, 0, 0), born=2)
    used[12] = 0.125
    (tmp_path / "11" / "stat").unlink()
    reader.look()
    found = reader.take().parts[Part.WORKERS]
    assert (found.cpu, found.processes) == (0.625, 1)


@pytest.mark.parametrize(("port", "server"), [(8000, "docker-proxy"), (8001, "python"), (None, "python")])
def test_a_target_in_a_container_or_elsewhere_is_not_seen(tmp_path: Path, port: int | None, server: str) -> None:
    write_machine(tmp_path, server=server)
    assert not ProcessReader(ProcessParts(port, proc=tmp_path), lambda: 0.0).sees_target


def test_the_ports_are_those_of_this_machine() -> None:
    found = ProcessParts.of_run("http://here:8000", "http://there:9000", lambda host: host == "here")
    assert (found.target_port, found.providers_port, found.own) == (8000, None, os.getpid())


async def test_scenarios_of_resources_are_read_from_before_their_load_to_the_end_of_their_rest(tmp_path: Path) -> None:
    fake, clock = FakeTarget(seconds=0.05), Clock.start()

    def conditions(journal: Journal, _: AdminClient) -> Conditions:
        reader = ProcessReader(ProcessParts.of_run(fake.url, None), clock.now)
        assert reader.sees_target
        return Conditions(journal, Machine(Parts(roots=frozenset())), None, reader=reader)

    specs = [scenario(), scenario(name="use", dimension="resources", rest=0.3, cases=[case(iterations=6)])]
    async with serving(fake):
        await run_on(fake.url, tmp_path / "run", specs, conditions=conditions, clock=clock)
    samples = list(read_usage(tmp_path / "run"))
    used = read_run(tmp_path / "run").scenarios[1]
    (window,) = used.cases
    assert used.ended is not None
    assert window.started is not None
    assert window.ended is not None
    assert samples[0].at <= window.started - 0.3
    assert samples[-1].at >= window.ended + 0.3
    assert samples[-1].at <= used.ended + 0.5
    assert set(samples[0].parts) >= {Part.SERVICE, Part.LOADGEN}
    cpu = [one.parts[Part.SERVICE].cpu for one in samples]
    assert cpu == sorted(cpu)
    assert min(one.parts[Part.SERVICE].memory for one in samples) > 1e6


@pytest.mark.extended
async def test_a_job_that_uses_50_ms_and_keeps_a_megabyte_reads_as_that() -> None:
    found = await measured(10, 0.05, 1_000_000)
    assert found.cpu == pytest.approx(0.05, rel=0.1)
    assert found.leak == pytest.approx(1e6, rel=0.02)
    assert found.leak_interval.lower is not None
    assert found.leak_interval.lower <= found.leak


def test_damaged_lines_are_refused(tmp_path: Path) -> None:
    line = to_line(UsageSample(at=1.0, parts={Part.SERVICE: PartUsage(cpu=1.0, memory=2, processes=1)}))
    assert line == b'{"at":1.0,"parts":{"service":[1.0,2,1]}}\n'
    path = tmp_path / "processes.jsonl"
    path.write_bytes(line + b'{"at":1.0,"parts":{"others":[1.0,2,1]}}\n' + line)
    with pytest.raises(RecordError, match=r"line 2 is damaged"):
        list(read_usage(tmp_path))
    path.unlink()
    assert list(read_usage(tmp_path)) == []


def test_lengths_of_scenarios_of_resources_follow_from_the_interval() -> None:
    spec = scenario(dimension="resources", rest=1.1, cases=[case(), case("paced", pace=0.35, iterations=24)])
    found = sampled(spec, 5.0, alone=True)
    assert found.cooldown == pytest.approx(11.0)
    assert [(one.pace, one.min_duration) for one in found.cases] == [(None, 30.0), (pytest.approx(1.75), None)]
    shared = sampled(spec, 5.0, alone=False)
    assert [one.min_duration for one in shared.cases] == [None, None]
    assert sampled(spec, 0.0, alone=True) == spec
    assert sampled(scenario(rest=1.1), 5.0, alone=True) == scenario(rest=1.1)

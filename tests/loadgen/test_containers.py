"""Processes of containers, found by made files of /proc as Docker leaves them."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path

from reelbench.loadgen.machine.containers import Neighbours, contained, forwarded, main_process
from reelbench.loadgen.machine.parts import Parts
from reelbench.loadgen.machine.process_parts import ProcessParts
from reelbench.loadgen.machine.processes import read_processes
from reelbench.loadgen.record.processes import Part
from tests.loadgen.test_machine import open_sockets, write_process, write_sockets

SERVICE, STORE = "172.19.0.8", "172.19.0.2"
HEAD = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n"
INSIDE = HEAD + "eth0 00000000 010013AC 0003 0 0 0 00000000 0 0 0\neth0 000013AC 00000000 0001 0 0 0 0000FFFF 0 0 0\n"
OTHER = HEAD + "eth0 000014AC 00000000 0001 0 0 0 0000FFFF 0 0 0\n"
HOST = HEAD + "br-1 000013AC 00000000 0001 0 0 0 0000FFFF 0 0 0\nbr-2 000014AC 00000000 0001 0 0 0 0000FFFF 0 0 0\n"


def write_containers(proc: Path) -> None:
    """Write a service 20 with a worker 21 and a health check 22, its store 30, and the container 40 of others.

    Docker forwards port 8000 of this machine by process 10. Process 50 is another program of this machine.
    """
    write_sockets(proc, ("0100007F:1F40", "00000000:0000", "0A", 1))
    names = {10: "docker-proxy", 20: "python", 21: "python", 22: "python", 30: "valkey-server", 40: "x", 50: "x"}
    for pid, name in names.items():
        write_process(proc, pid, 20 if pid == 21 else 1, name=name, ticks=(0, 0, 0, 0), born=pid)
        (proc / str(pid) / "net").mkdir()
        (proc / str(pid) / "net" / "route").write_text({40: OTHER, 10: HOST, 50: HOST}.get(pid, INSIDE))
        address = {30: STORE, 40: "172.20.0.2"}.get(pid, SERVICE if pid in {20, 21, 22} else "172.19.0.1")
        table = f"Main:\n  +-- 172.19.0.0/28 2 0 2\n    |-- {address}\n       /32 host LOCAL\n"
        (proc / str(pid) / "net" / "fib_trie").write_text(table)
    (proc / "self" / "net").mkdir(parents=True)
    (proc / "self" / "net" / "route").write_text(HOST)
    words = "docker-proxy -proto tcp -host-ip 127.0.0.1 -host-port 8000 -container-ip 172.19.0.8 -container-port 8000"
    (proc / "10" / "cmdline").write_text(words.replace(" ", "\0"))
    open_sockets(proc, 10, 1)


def test_the_address_of_a_container_is_that_to_which_docker_forwards_the_port(tmp_path: Path) -> None:
    write_containers(tmp_path)
    processes = read_processes(tmp_path)
    assert forwarded({8000, 9000}, processes, tmp_path) == {8000: IPv4Address(SERVICE)}
    assert forwarded({9000}, processes, tmp_path) == {}
    assert main_process(IPv4Address(SERVICE), processes, tmp_path) == 20  # not the health check, which is younger
    assert main_process(IPv4Address("172.19.0.9"), processes, tmp_path) is None


def test_all_containers_of_the_targets_network_are_part_of_the_run(tmp_path: Path) -> None:
    write_containers(tmp_path)
    parts = Parts(roots=frozenset(), target_port=8000, ports=frozenset({8000}), proc=tmp_path)
    assert parts.find(read_processes(tmp_path)) == {10, 20, 21, 22, 30}
    assert parts.hidden is None


def test_a_container_that_starts_during_a_run_is_found(tmp_path: Path) -> None:
    write_containers(tmp_path)
    found = Neighbours(tmp_path)
    processes = read_processes(tmp_path)
    first = {pid: one for pid, one in processes.items() if pid != 30}
    assert found.of({IPv4Address(SERVICE)}, first) == {20, 21, 22}
    assert found.of({IPv4Address(SERVICE)}, processes) == {20, 21, 22, 30}
    assert found.of(set(), processes) == set()


def test_a_forwarder_without_a_visible_container_hides_the_target(tmp_path: Path) -> None:
    write_containers(tmp_path)
    for pid in (20, 21, 22, 30):
        (tmp_path / str(pid) / "net" / "route").unlink()
    parts = Parts(roots=frozenset(), target_port=8000, ports=frozenset({8000}), proc=tmp_path)
    parts.find(read_processes(tmp_path))
    assert parts.hidden is not None
    assert "port 8000" in parts.hidden


def test_a_service_in_a_container_is_read_with_its_workers(tmp_path: Path) -> None:
    write_containers(tmp_path)
    parts = ProcessParts(8000, proc=tmp_path)
    serving = parts.serving()
    assert serving == {Part.SERVICE: {20}}
    assert parts.members(serving, read_processes(tmp_path)) == {Part.SERVICE: {20}, Part.WORKERS: {21}}


def test_a_load_generator_in_a_container_knows_nothing_of_others(tmp_path: Path) -> None:
    (tmp_path / "self" / "ns").mkdir(parents=True)
    link = tmp_path / "self" / "ns" / "pid"
    link.symlink_to("pid:[4026531836]")
    assert not contained(tmp_path)
    assert Parts.of_run("http://service.example:8000", {}, tmp_path).hidden is None
    link.unlink()
    link.symlink_to("pid:[4026532501]")
    assert contained(tmp_path)
    assert "in a container" in (Parts.of_run("http://service.example:8000", {}, tmp_path).hidden or "")

"""Which processes of this machine are the target, its workers, the providers and the load generator."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from reelbench.loadgen.machine.containers import FORWARDERS, forwarded, main_process
from reelbench.loadgen.machine.parts import host_and_port, is_local
from reelbench.loadgen.machine.processes import PROC, Process, descendants, read_processes
from reelbench.loadgen.machine.sockets import listeners
from reelbench.loadgen.record.processes import Part


@dataclass(frozen=True, slots=True)
class ProcessParts:
    """The processes of each part, found by the ports on which they listen."""

    target_port: int | None
    """Local port of the target; None: the target is on another machine."""
    providers_port: int | None = None
    own: int = 0
    """The process of the load generator."""
    proc: Path = PROC

    @classmethod
    def of_run(
        cls, target: str, providers: str | None, local: Callable[[str], bool] = is_local, proc: Path = PROC
    ) -> ProcessParts:
        """Return the parts of a run.

        Args:
            target: base URL of the server under test.
            providers: base URL of the mock providers.
            local: whether a host is this machine.
            proc: where processes are read.
        """
        ports = []
        for url in (target, providers):
            host, _, port = host_and_port(url).rpartition(":") if url else ("", "", "")
            ports.append(int(port) if host and local(host) else None)
        return cls(ports[0], ports[1], os.getpid(), proc)

    def serving(self) -> Mapping[Part, frozenset[int]]:
        """Return the processes that listen on the ports of target and providers, as far as they are visible."""
        both = {Part.SERVICE: self.target_port, Part.PROVIDERS: self.providers_port}
        ports = {part: port for part, port in both.items() if port is not None}
        found = listeners(ports.values(), self.proc)
        processes = read_processes(self.proc)
        containers = forwarded(ports.values(), processes, self.proc)
        named = {}
        for part, port in ports.items():
            pids = {pid for pid in found[port] if pid in processes and processes[pid].name not in FORWARDERS}
            if not pids and port in containers:
                main = main_process(containers[port], processes, self.proc)
                pids = set() if main is None else {main}
            if pids:
                named[part] = frozenset(pids)
        return named

    def members(
        self, serving: Mapping[Part, frozenset[int]], processes: Mapping[int, Process]
    ) -> dict[Part, frozenset[int]]:
        """Return the living processes of each part.

        Args:
            serving: the processes that listen.
            processes: all processes of the machine.
        """
        service = serving.get(Part.SERVICE, frozenset()) & processes.keys()
        providers = serving.get(Part.PROVIDERS, frozenset())
        found = {
            Part.SERVICE: frozenset(service),
            Part.WORKERS: frozenset(descendants(service, processes) - service),
            Part.PROVIDERS: frozenset(descendants(providers, processes)),
            Part.LOADGEN: frozenset({self.own} & processes.keys()),
        }
        return {part: pids for part, pids in found.items() if pids}

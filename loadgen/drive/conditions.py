"""What could have disturbed a run, recorded while it goes on: ``conditions.json``."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Final, Literal

import msgspec

from reelbench.loadgen.clock import Clock
from reelbench.loadgen.control.admin_client import AdminClient, AdminError
from reelbench.loadgen.control.clock_sources import (
    PROVIDERS,
    SERVICE,
    TARGET,
    ClockSource,
    compared,
    of_date,
    of_machine,
    of_process,
    prometheus_clocks,
)
from reelbench.loadgen.machine.observation import Machine
from reelbench.loadgen.machine.process_reader import ProcessReader, ProcessReading
from reelbench.loadgen.plan.fault_plan import Side
from reelbench.loadgen.record.conditions import ConditionsRecord
from reelbench.loadgen.record.environment import PACKAGES
from reelbench.loadgen.record.journal import Journal
from reelbench.telemetry.running import Running, environment, versions

SETTINGS: Final[Mapping[Side, str]] = {"service": "/v1/admin/settings", "providers": "/settings"}
"""Where each process says what it runs with."""


class Conditions:
    """The conditions of a run by now; each change replaces the record and writes the file."""

    def __init__(
        self,
        journal: Journal,
        machine: Machine,
        others_limit: float | None,
        clocks: Sequence[ClockSource] = (),
        reader: ProcessReader | None = None,
    ) -> None:
        self._journal = journal
        self._clocks = clocks
        self._machine = machine
        self._reader = reader
        self._record = ConditionsRecord(others_limit=others_limit)

    @asynccontextmanager
    async def case(self, scenario: str, case: str) -> AsyncIterator[None]:
        """Observe the machine during the measured part of a case.

        Raises:
            JournalError: the file cannot be written.
        """
        async with self._machine.observe() as seen:
            yield
        found = await seen.record(scenario, case)
        self._replace(machine=(*self._record.machine, found))

    def processes(self, dimension: str) -> AbstractAsyncContextManager[object]:
        """Return a context in which the processes of the run are read, for a scenario of resources."""
        if self._reader is None or dimension != "resources":
            return nullcontext()
        return ProcessReading(self._reader, self._journal.usage)

    async def describe(self, offered: Mapping[Side, AdminClient], own: Mapping[str, str]) -> None:
        """Record what the load generator runs with, and the service and its providers where they say it.

        Args:
            offered: Service and providers.
            own: Environment of this process.

        Raises:
            JournalError: the file cannot be written.
        """
        found = [Running(name="loadgen", environment=environment(own), versions=versions(PACKAGES))]
        for side, path in SETTINGS.items():
            if side in offered:
                with contextlib.suppress(AdminError):  # not offered
                    found.append(await offered[side].running(path))
        self._replace(processes=tuple(found))

    async def read_clocks(self, clock: Clock, scenario: str, when: Literal["before", "after"]) -> None:
        """Compare every clock of the run with that of the load generator.

        Raises:
            JournalError: the file cannot be written.
        """
        found = await asyncio.gather(*(compared(source, clock, scenario, when) for source in self._clocks))
        self._replace(clocks=(*self._record.clocks, *(one for one in found if one is not None)))

    def ahead(self, source: str) -> float:
        """Return the seconds by which a clock is ahead by now, for corrections."""
        return self._record.ahead(source)

    def of_target(self) -> float:
        """Return the seconds by which the clock of the target is ahead, by the best source that is known."""
        return self.ahead(SERVICE if self._record.readings(SERVICE) else TARGET)

    def _replace(self, **changes: object) -> None:
        self._record = msgspec.structs.replace(self._record, **changes)
        self._journal.conditions(self._record)


def clocks_of(
    target: AdminClient, offered: Mapping[Side, AdminClient], variables: Mapping[str, str]
) -> list[ClockSource]:
    """Return the clocks of a run: this machine, target, service, providers and Prometheus, as far as they are known.

    Args:
        target: The server under test, of any kind.
        offered: Service and providers of this project.
        variables: Environment that names the Prometheus servers.
    """
    names: dict[Side, str] = {"service": SERVICE, "providers": PROVIDERS}
    processes = [of_process(names[side], offered[side], path) for side, path in SETTINGS.items() if side in offered]
    return [of_machine(time.time), of_date(target), *processes, *prometheus_clocks(variables)]

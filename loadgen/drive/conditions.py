"""What could have disturbed a run, recorded while it goes on: ``conditions.json``."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from reelbench.loadgen.control.admin_client import AdminClient, AdminError
from reelbench.loadgen.machine.observation import Machine
from reelbench.loadgen.plan.fault_plan import Side
from reelbench.loadgen.record.conditions import ConditionsRecord
from reelbench.loadgen.record.environment import PACKAGES
from reelbench.loadgen.record.journal import Journal
from reelbench.telemetry.running import Running, environment, versions

_SETTINGS: Final[Mapping[Side, str]] = {"service": "/v1/admin/settings", "providers": "/settings"}
"""Where each process says what it runs with."""


class Conditions:
    """The conditions of a run by now; each change replaces the record and writes the file."""

    def __init__(self, journal: Journal, machine: Machine, others_limit: float | None) -> None:
        self._journal = journal
        self._machine = machine
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

    async def describe(self, offered: Mapping[Side, AdminClient], own: Mapping[str, str]) -> None:
        """Record what the load generator runs with, and the service and its providers where they say it.

        Args:
            offered: Service and providers.
            own: Environment of this process.

        Raises:
            JournalError: the file cannot be written.
        """
        found = [Running(name="loadgen", environment=environment(own), versions=versions(PACKAGES))]
        for side, path in _SETTINGS.items():
            if side in offered:
                with contextlib.suppress(AdminError):  # not offered
                    found.append(await offered[side].running(path))
        self._replace(processes=tuple(found))

    def _replace(self, **changes: object) -> None:
        self._record = msgspec.structs.replace(self._record, **changes)
        self._journal.conditions(self._record)

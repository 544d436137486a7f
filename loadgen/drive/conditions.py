"""What could have disturbed a run, recorded while it goes on: ``conditions.json``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from reelbench.loadgen.machine.observation import Machine
from reelbench.loadgen.record.conditions import ConditionsRecord
from reelbench.loadgen.record.journal import Journal


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

    def _replace(self, **changes: object) -> None:
        self._record = msgspec.structs.replace(self._record, **changes)
        self._journal.conditions(self._record)

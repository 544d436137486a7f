"""``conditions.json``: what could have disturbed a run: the machine in each case, clocks, and what was running."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Literal

import msgspec

from reelbench.loadgen.record.run_files import CONDITIONS_FILE, SCHEMA_VERSION, VersionedFile
from reelbench.telemetry.running import Running

OTHERS_LIMIT = 0.25
"""Default of `ConditionsRecord.others_limit`. Desktop programs, a cron job or the agent of a CI runner take 1 to 15 %
of 2 to 8 CPUs; a second program that computes takes 25 % of 4 CPUs, and 50 % of 2."""


class TakerRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Programs of one name that are no part of the run."""

    name: str
    share: float
    """Of the CPU time of all CPUs."""


class PressureRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Shares of time in which work waited for a resource (PSI); None where the kernel does not say."""

    cpu: float | None = None
    """Some process waited for a CPU."""
    io: float | None = None
    """Some process waited for a disk."""
    io_full: float | None = None
    """All that had work waited for a disk."""
    memory: float | None = None
    memory_full: float | None = None


class ThrottlingRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the CPU quota of the control group of the load generator stopped its processes."""

    periods: int
    throttled: int
    """Periods, usually of 100 ms, at whose end the quota was used up."""

    @property
    def share(self) -> float:
        """Throttled periods as a share of all."""
        return self.throttled / self.periods if self.periods else 0.0


class MachineRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The machine of the load generator in one case. Shares are those of the CPU time of `cpus`."""

    scenario: str
    case: str
    seconds: float
    """Length of the observation, which encloses the measured part of the case."""
    cpus: int
    """Number of CPUs on which the processes of the run may run."""
    run: float | None = None
    """Share that the processes of the run took."""
    others: float | None = None
    """Share that all other processes took; None: see `unknown`."""
    others_peak: float | None = None
    """Highest share of others in one second."""
    steal: float | None = None
    idle: float | None = None
    takers: tuple[TakerRecord, ...] = ()
    """The others that took most."""
    unknown: str | None = None
    """Why the processes of the run and others cannot be distinguished."""
    pressure: PressureRecord | None = None
    """Of the whole machine."""
    group_pressure: PressureRecord | None = None
    """Of the control group of the load generator."""
    throttling: ThrottlingRecord | None = None
    """None: no control group with a CPU quota."""
    frequency: tuple[float, ...] = ()
    """Mean frequency of the CPUs in MHz at the begin and at the end; empty where it cannot be read."""
    cost: float = 0.0
    """CPU seconds that this observation took itself."""


STORE_CLOCK = "rendezvous store"
"""Source of the clock that the load generators of a run have in common."""
DATE_CLOCK = "target (Date)"
"""Source of the header Date, which is at times old, but never ahead of its server's clock."""
PROMETHEUS_VARIABLES = {
    "prometheus": "REELBENCH_SECRET_PROMETHEUS",
    "their prometheus": "REELBENCH_SECRET_THEIR_PROMETHEUS",
}
"""Source to the variable with the base URL of its Prometheus, which may hold a password: the name keeps the variable
from the programs that inject faults."""


class ClockRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One reading of a clock, compared with the clock of the load generator, on which all times of the records are."""

    source: str
    """service, providers, target (Date), prometheus, their prometheus, rendezvous store, or this machine."""
    scenario: str
    when: Literal["before", "after"]
    at: float
    """Unix time of the load generator."""
    offset: float
    """Seconds by which the source is ahead."""
    error: float
    """Greatest error of the offset: half of the round trip, and 1 s for the header Date."""


LEAST_OFFSET = 0.1
"""Seconds; a smaller offset is not corrected, as it moves no sample of a scrape interval of 1 s or more."""


class ConditionsRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The conditions of one run. Unknown fields are ignored, so that a later version can add some."""

    schema_version: int = SCHEMA_VERSION
    others_limit: float | None = OTHERS_LIMIT
    """Share of the CPUs above which others make a case INCONCLUSIVE; None: the machine is recorded, not judged."""
    machine: tuple[MachineRecord, ...] = ()
    processes: tuple[Running, ...] = ()
    """What the load generator, the service and its providers ran with, as far as they say it."""
    clocks: tuple[ClockRecord, ...] = ()

    def readings(self, source: str) -> tuple[ClockRecord, ...]:
        """Return the readings of a clock, in the order of the run."""
        return tuple(one for one in self.clocks if one.source == source)

    def ahead(self, source: str) -> float:
        """Return the seconds by which a clock is ahead, for corrections: 0 when it is small, or not known."""
        found = self.readings(source)
        if not found:
            return 0.0
        offsets = [one.offset for one in found]
        middle = max(offsets) if source == DATE_CLOCK else statistics.median_low(offsets)
        return middle if abs(middle) > max(LEAST_OFFSET, *(one.error for one in found)) else 0.0


_FILE = VersionedFile(CONDITIONS_FILE, ConditionsRecord)


def read_conditions(folder: Path) -> ConditionsRecord | None:
    """Read ``conditions.json``; None in runs of versions that did not write it.

    Raises:
        RecordError: the file cannot be read, is damaged or is of another schema version.
    """
    return _FILE.read(folder)


def write_conditions(folder: Path, record: ConditionsRecord) -> None:
    """Replace ``conditions.json`` atomically."""
    _FILE.write(folder, record)


def ahead_of(conditions: ConditionsRecord | None, source: str) -> float:
    """Return the seconds by which a clock is ahead, for corrections; 0 in runs of versions that did not record it."""
    return conditions.ahead(source) if conditions is not None else 0.0

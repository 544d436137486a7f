"""A look at the machine before a run: others that take its CPU are named before minutes are spent."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from reelbench.loadgen.machine.limit import LIMIT_VARIABLE, others_limit
from reelbench.loadgen.machine.observation import Machine, Readings
from reelbench.loadgen.machine.parts import Parts
from reelbench.loadgen.record.conditions import MachineRecord
from reelbench.reporting.analysis.disturbance import disturbance

SECONDS = 0.5
"""Length of the look."""


def look(parts: Parts, sleep: Callable[[float], None] = time.sleep) -> MachineRecord:
    """Return what happens on this machine for half a second, in which nothing of the run works."""
    readings = Readings(Machine(parts))
    readings.begin()
    sleep(SECONDS)
    return readings.end("", "")


def warning(seen: MachineRecord, environment: Mapping[str, str]) -> str | None:
    """Return a line about a machine that is busy before the run; None: it is not.

    Raises:
        LimitError: the limit in the environment cannot be used.
    """
    limit = others_limit(environment)
    reason = disturbance(seen, limit) if limit is not None else None
    if reason is None:
        return None
    return (
        f"warning: this machine is busy: {reason}. Cases in which this goes on are INCONCLUSIVE; "
        f"end the other work, or set {LIMIT_VARIABLE}"
    )

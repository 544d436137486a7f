"""The run, the scenario and the case of a job, from W3C baggage."""

from __future__ import annotations

import re
from dataclasses import dataclass

from opentelemetry import baggage
from opentelemetry.context import Context

_VALID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_KEYS = ("run_id", "scenario", "case")


@dataclass(frozen=True, slots=True)
class Correlation:
    """Labels of job-level spans and metrics; "" where the client sent no valid value."""

    run_id: str = ""
    scenario: str = ""
    case: str = ""

    @property
    def values(self) -> tuple[str, str, str]:
        """The labels in the order of the fields."""
        return self.run_id, self.scenario, self.case

    def attributes(self) -> dict[str, str]:
        """Return the labels under the keys of spans and metrics."""
        return {"run_id": self.run_id, "scenario": self.scenario, "case": self.case}


OVERFLOW = Correlation("overflow", "overflow", "overflow")


class Correlations:
    """Reads correlations from baggage; bounds the number of distinct ones, and so the number of series."""

    def __init__(self, limit: int = 1000) -> None:
        self._limit = limit
        self._seen: dict[tuple[str, ...], Correlation] = {}

    def read(self, context: Context | None = None) -> Correlation:
        """Return the correlation in `context` (default: the current one); `OVERFLOW` for new ones beyond the limit."""
        sent = baggage.get_all(context)
        values = tuple([value if isinstance(value := sent.get(key), str) else "" for key in _KEYS])
        known = self._seen.get(values)
        if known is not None:  # the usual case: all are valid and were seen before
            return known
        found = Correlation(*map(_valid, values))
        known = self._seen.get(found.values)
        if known is not None:
            return known
        if len(self._seen) >= self._limit:
            return OVERFLOW
        self._seen[found.values] = found
        return found


def _valid(value: str) -> str:
    return value if _VALID.fullmatch(value) else ""

"""Which run, scenario and case a job belongs to, as its client says in W3C baggage."""

from __future__ import annotations

import re
from dataclasses import dataclass

from opentelemetry import baggage
from opentelemetry.context import Context

_VALID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_KEYS = ("run_id", "scenario", "case")


@dataclass(frozen=True, slots=True)
class Correlation:
    """Labels of job-level spans and metrics; "" where the client sent none, or none that is valid."""

    run_id: str = ""
    scenario: str = ""
    case: str = ""

    def attributes(self) -> dict[str, str]:
        """The labels under the keys that spans and metrics use."""
        return {"run_id": self.run_id, "scenario": self.scenario, "case": self.case}


OVERFLOW = Correlation("overflow", "overflow", "overflow")


class Correlations:
    """Reads correlations from baggage and bounds how many this process tells apart."""

    def __init__(self, limit: int = 1000) -> None:
        self._limit = limit
        self._seen: dict[Correlation, Correlation] = {}

    def read(self, context: Context | None = None) -> Correlation:
        """The correlation in `context` (default: the current one); `OVERFLOW` beyond the limit of distinct ones."""
        found = Correlation(*(_valid(baggage.get_baggage(key, context)) for key in _KEYS))
        known = self._seen.get(found)
        if known is not None:
            return known
        if len(self._seen) >= self._limit:
            return OVERFLOW
        self._seen[found] = found
        return found


def _valid(value: object) -> str:
    return value if isinstance(value, str) and _VALID.fullmatch(value) else ""

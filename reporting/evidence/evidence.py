"""Everything that is known of a run, gathered once; reports, verdicts and checks read from it and nowhere else."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property

from reelbench.loadgen.record.stack import StackRecord
from reelbench.reporting.catalogue.prices import Prices
from reelbench.reporting.catalogue.sli import Catalogue, Role
from reelbench.reporting.evidence.measurements import Measurement, Measurements
from reelbench.reporting.evidence.records import Records
from reelbench.reporting.evidence.traces import Gathered, RootKey


@dataclass(frozen=True, kw_only=True)
class Evidence(Records):
    """The records of a run and what telemetry said about it."""

    catalogue: Catalogue
    stack: StackRecord | None
    measurements: Measurements
    prices: Prices
    root_spans: Counter[RootKey] | None
    """None when no trace was kept."""
    traces: Gathered = field(default_factory=Gathered)
    """The spans of single traces, for those jobs that a report looks at."""

    @cached_property
    def _measured(self) -> dict[tuple[str, str, str, str], Measurement]:
        return {(m.sli, m.scenario, m.case, m.member): m for m in self.measurements.measurements}

    def measured(self, sli: Role | str, scenario: str, case: str = "", member: str = "") -> Measurement | None:
        """Return the measurement of an indicator, by role or id; None when it was not measured there."""
        if isinstance(sli, Role):
            found = self.catalogue.of_role(sli)
            return self._measured.get((found.id, scenario, case, member)) if found else None
        return self._measured.get((sli, scenario, case, member))

    def value(self, sli: Role | str, scenario: str, case: str = "", member: str = "") -> float | None:
        """Return the value of an indicator, by role or id; None when there is no data."""
        measurement = self.measured(sli, scenario, case, member)
        return measurement.value if measurement else None

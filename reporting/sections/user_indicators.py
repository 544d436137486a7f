"""Indicators of the user over the metric names of his server."""

from __future__ import annotations

from reelbench.reporting.catalogue.sli import ReportSection
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Bullets, Section, Table
from reelbench.reporting.document.text import literal
from reelbench.reporting.evidence.dimension import Dimension
from reelbench.reporting.evidence.evidence import Evidence, place_name


def section(evidence: Evidence, dimension: Dimension) -> Section | None:
    """Return every indicator of the user in every place of a dimension; None without any."""
    slis = [s for s in evidence.catalogue.slis if s.section is ReportSection.SERVER and s.of(dimension)]
    names = {scenario.name for scenario in evidence.scenarios(dimension)}
    rows = []
    for sli in slis:
        objective = text.NONE
        if sli.objective is not None:
            sign = "≤" if sli.objective.direction == "at_most" else "≥"
            objective = f"{sign} {text.with_unit(sli.objective.value, sli.unit)}"
        for one in evidence.measurements.measurements:
            if one.sli != sli.id or one.scenario not in names:
                continue
            value = text.with_unit(one.value, sli.unit) if one.value is not None else f"no data: {one.no_data}"
            place = place_name(one.scenario, one.case, one.member)
            rows.append((literal(sli.title), place, objective, literal(value), text.count(one.n)))
    if not rows:
        return None
    columns = ("Indicator", "Where", "Objective", "Value", "n")
    whys = Bullets(tuple(f"{literal(sli.title)}: {literal(sli.why)}" for sli in slis))
    return Section("Indicators of your own", (Table(columns, tuple(rows), ("Value", "n")), whys))

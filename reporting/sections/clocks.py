"""The clocks of a run, and what was corrected by their offsets."""

from __future__ import annotations

from reelbench.loadgen.record.conditions import DATE_CLOCK, LEAST_OFFSET, ConditionsRecord
from reelbench.reporting.analysis.clocks import (
    MOST_MOVED,
    extremes,
    movements,
    sources,
    span_offsets,
)
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Paragraph, Section, Table
from reelbench.reporting.document.text import literal
from reelbench.reporting.evidence.evidence import Evidence

_CORRECTED = {
    "prometheus": "times of samples and queries",
    "their prometheus": "times of samples and queries",
    "service": "times of breakers and of calls, end of the search in the list of jobs",
    "providers": "times of calls",
    DATE_CLOCK: "end of the search in the list of jobs, where the service does not say its time",
}
_COLUMNS = ("Clock", "Ahead, least [s]", "Ahead, most [s]", "± [s]", "Readings", "Corrected")


def section(evidence: Evidence, *dimensions: str) -> Section:
    """Return the offset of each clock, and the scenarios in which one moved."""
    conditions = evidence.conditions
    if conditions is None or not conditions.clocks:
        return Section("Clocks", (Paragraph("The clocks of the run were not compared."),))
    moved = [one for dimension in dimensions for one in movements(evidence, dimension)]
    lead = (
        f"**{text.counted(len(moved), 'clock')} moved**: "
        f"{'; '.join(literal(f'{one.scenario}: {one.reason}') for one in moved)}."
        if moved
        else "No clock moved."
    )
    rows = [_row(conditions, source) for source in sources(conditions)]
    rows += [
        (
            f"spans of {literal(one.process)}, against those of {literal(one.caller)}",
            text.number(one.offset, 3),
            text.number(one.offset, 3),
            text.number(one.error, 3),
            text.count(one.pairs),
            "no",
        )
        for one in span_offsets(evidence)
    ]
    caption = (
        "All times of the records are on the clock of the load generator, which follows the monotonic clock and is "
        "never stepped. Each other clock was compared with it before and after each scenario; `this machine` is its "
        f"wall clock, which shows steps. An offset above {LEAST_OFFSET:g} s and above its error is subtracted. The "
        f"objectives of a scenario in which a clock moved by more than {MOST_MOVED:g} s are INCONCLUSIVE. The header "
        "Date has whole seconds, and a busy server renews it late: an offset below zero can be its age."
    )
    return Section("Clocks", (Paragraph(lead), Table(_COLUMNS, tuple(rows), numeric=_COLUMNS[1:5], caption=caption)))


def _row(conditions: ConditionsRecord, source: str) -> tuple[str, ...]:
    readings = conditions.readings(source)
    least, most, error = extremes(readings)
    ahead = conditions.ahead(source)
    what = _CORRECTED.get(source)
    corrected = f"by {ahead:+.3f} s: {what}" if ahead and what else "no"
    numbers = (text.number(value, 3) for value in (least, most, error))
    return (source, *numbers, text.count(len(readings)), corrected)

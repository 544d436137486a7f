"""The load generators of a run that several made together."""

from __future__ import annotations

from reelbench.reporting.analysis.generators import MOST_APART, GeneratorFigures, clock_problems, generators
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Paragraph, Section, Table
from reelbench.reporting.document.text import literal
from reelbench.reporting.evidence.evidence import Evidence

SHOWN = 20
"""Rows of the table; the generators that sent their jobs latest come first where there are more."""
_COLUMNS = (
    "Generator", "Jobs", "CPU [cores]", "Send delay P99 [s]", "Loop lag P99 [s]", "Begun late [s]", "Clock ahead [s]",
    "± [s]",
)  # fmt: skip


def section(evidence: Evidence, dimension: str) -> Section | None:
    """Return the health of each load generator; None for a run of one."""
    found = generators(evidence, dimension)
    if not found:
        return None
    problems = clock_problems(evidence)
    lead = f"{text.counted(len(found), 'load generator')} ran one plan; their records are merged, not summarized. " + (
        f"**INVALID**: {'; '.join(map(literal, problems))}." if problems else "Their clocks agree."
    )
    shown = found
    if len(found) > SHOWN:
        latest = sorted(found, key=lambda one: one.send_delay_p99 or 0.0, reverse=True)[:SHOWN]
        shown = tuple(sorted(latest, key=lambda one: one.number))
        lead += f" The table has the {SHOWN} of the longest send delay."
    caption = (
        "Each value is that of the worst case of a generator; verdicts judge the worst generator of each case. Begun "
        "late: from the agreed instant to the begin of a case. Clock ahead: of the store's clock, the reading with the "
        f"largest possible deviation. Times of jobs are not corrected; beyond {MOST_APART * 1000:g} ms, ± included, "
        "the run is INVALID."
    )
    rows = tuple(_row(one) for one in shown)
    return Section("Load generators", (Paragraph(lead), Table(_COLUMNS, rows, numeric=_COLUMNS[1:], caption=caption)))


def _row(one: GeneratorFigures) -> tuple[str, ...]:
    ahead, error = (-one.clock.offset, one.clock.error) if one.clock is not None else (None, None)
    return (
        str(one.number),
        text.count(one.jobs),
        text.number(one.cpu, 2),
        text.number(one.send_delay_p99, 4),
        text.number(one.loop_lag_p99, 4),
        text.number(one.begun_late, 4),
        text.number(ahead, 4),
        text.number(error, 4),
    )

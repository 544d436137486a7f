"""Ended requests as a server that is not ours counts them, its restarts, and scrapes that failed."""

from __future__ import annotations

from reelbench.reporting.analysis import server_figures as figures
from reelbench.reporting.analysis.server_counts import tallies
from reelbench.reporting.catalogue.server_metrics import ServerRole
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Section, Table
from reelbench.reporting.document.text import literal
from reelbench.reporting.evidence.dimension import Dimension
from reelbench.reporting.evidence.evidence import Evidence, place_name


def section(evidence: Evidence) -> Section | None:
    """Return the server's own counts of each case; None when its metrics have none."""
    if not figures.has(evidence, ServerRole.REQUESTS):
        return None
    rows = []
    for scenario, case in evidence.cases(Dimension.RELIABILITY):
        if case.ended is None:
            continue
        for one in tallies(evidence, scenario.name, case):
            expected = f"{one.low:,}" if one.low == one.high else f"{one.low:,} to {one.high:,}"
            compared = one.found is not None
            rows.append(
                (
                    place_name(scenario.name, case.name),
                    one.source,
                    one.result,
                    text.count(one.found),
                    expected if compared else text.NONE,
                    f"{one.found - one.low:+,}" if one.found is not None else text.NONE,
                    literal(one.note),
                )
            )
    if not rows:
        return None
    columns = ("Scenario / case", "Server", "Result", "Server's count", "Client's count", "Difference", "Note")
    caption = (
        "Jobs, warm-up included, that ended between the two samples around a case. The client's count is a range where "
        "a job may have ended on either side of a sample, or the client does not know its end. Requests of other "
        "clients cannot be distinguished: more at the server is no contradiction, fewer is one."
    )
    return Section("The server's own counts", (Table(columns, tuple(rows), columns[3:6], caption),))

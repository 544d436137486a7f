"""Sources of the metrics of a server that is not ours, and the distance of their samples from each case."""

from __future__ import annotations

from reelbench.reporting.catalogue.server_metrics import known_sets
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Bullets, Paragraph, Section, Table
from reelbench.reporting.document.text import literal
from reelbench.reporting.evidence.dimension import Dimension
from reelbench.reporting.evidence.evidence import Evidence, place_name


def section(evidence: Evidence, dimension: Dimension) -> Section | None:
    """Return the sources of the server's metrics; None without any."""
    server = evidence.server
    if server is None:
        return None
    rows = []
    for number, source in enumerate(server.sources, 1):
        sets = [known_sets()[name].title for name in source.names if name in known_sets()]
        rows.append(
            (
                str(number),
                f"`{source.url}`",
                "scraped by this run" if source.scraped else f"Prometheus of the user, `{source.selector}`",
                literal(", ".join(sets) or "no known names"),
                text.number(source.interval, 1),
            )
        )
    columns = ("Source", "Address", "How", "Known names", "Interval [s]")
    caption = (
        "Every number of the server is the difference of a cumulative metric between two stored samples, or a gauge's "
        "stored samples; `rate()` is not used. What grows with jobs is read up to the last sample before other jobs "
        "are sent. `server.json` holds the same as data."
    )
    blocks: list[Block] = [Table(columns, tuple(rows), ("Interval [s]",), caption)]
    troubles = _troubles(evidence, dimension)
    if troubles:
        blocks.append(Bullets(tuple(troubles)))
    blocks.append(_borders(evidence, dimension))
    return Section("Metrics of the server", tuple(blocks))


def _borders(evidence: Evidence, dimension: Dimension) -> Block:
    names = {scenario.name for scenario in evidence.scenarios(dimension)}
    assert evidence.server is not None
    rows = tuple(
        (
            place_name(one.scenario, one.case),
            str(one.source),
            text.number(one.before),
            text.number(one.after),
            text.count(one.scrapes),
            text.count(one.failed),
            "**yes**" if one.restarted else "no",
        )
        for one in evidence.server.places
        if one.scenario in names
    )
    if not rows:
        return Paragraph("No case of this report ended, so no samples around a case were read.")
    columns = ("Scenario / case", "Source", "Before the start [s]", "After the end [s]", "Scrapes", "Failed", "Restart")
    return Table(columns, rows, columns[2:6], "Distance of the samples around each case from its borders.")


def _troubles(evidence: Evidence, dimension: Dimension) -> list[str]:
    names = {scenario.name for scenario in evidence.scenarios(dimension)}
    assert evidence.server is not None
    items = []
    for one in evidence.server.places:
        if one.scenario not in names:
            continue
        name = place_name(one.scenario, one.case)
        if one.restarted:
            items.append(
                f"{name}: source {one.source} was started again, or a counter fell; its differences are not used."
            )
        elif one.before is None or one.after is None:
            items.append(
                f"{name}: source {one.source} has no sample on one side of the case, so nothing is subtracted."
            )
        if one.failed:
            items.append(f"{name}: {one.failed} of {one.scrapes} scrapes of source {one.source} got no page.")
    return [*items, *evidence.server.remarks]

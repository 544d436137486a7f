"""Why a verdict is what it is: objectives that do not hold with their likely cause, and failed jobs in groups."""

from __future__ import annotations

from reelbench.reporting.analysis.causes import causes
from reelbench.reporting.analysis.failures import groups
from reelbench.reporting.analysis.verdicts import Analysis
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Paragraph, Section, Table
from reelbench.reporting.document.text import literal
from reelbench.reporting.evidence.evidence import Evidence, place_name
from reelbench.reporting.sections.verdict import limits, linked, verdict_cells

TITLE = "Why"
MOST = 12
"""Groups of failed jobs that are listed."""


def section(evidence: Evidence, analysis: Analysis, dimension: str) -> Section:
    """Return what does not hold, by how much and why, and the failed jobs by error, operation and stage."""
    blocks: list[Block] = []
    found = causes(evidence, analysis, dimension)
    if found:
        rows = tuple(
            (
                f"**{one.verdict.status}**",
                literal(one.verdict.sli.title),
                linked(evidence, one.verdict.scenario, one.verdict.case, one.verdict.member),
                verdict_cells(one.verdict)[3],
                limits(one.verdict),
                text.count(one.verdict.n),
                verdict_cells(one.verdict)[2],
                one.excess or text.NONE,
                literal(one.why),
            )
            for one in found
        )
        columns = ("Verdict", "Indicator", "Where", "Value", "95 % CI", "n", "Objective", "Off by", "Likely cause")
        blocks.append(Table(columns, rows, ("Value", "n"), name=f"{dimension}_not_held"))
    else:
        blocks.append(Paragraph("No objective is violated, and none lacks data."))
    failed = groups(evidence, dimension)
    if failed:
        rest = sum(group.jobs for group in failed[MOST:])
        more = f" {text.counted(rest, 'job')} of smaller groups are not shown." if rest else ""
        caption = (
            "Measured jobs without a video. Operation: the request in which the client learnt of it. Stage: the stage "
            "of the service that failed, by the trace of one job of the group. Fault: injected, and active when that "
            f"job ran.{more}"
        )
        names = ("Jobs", "Scenario / case", "Outcome", "Operation", "Stage", "Fault", "Error")
        kinds = tuple(
            (
                f"{group.jobs} of {group.of}",
                place_name(group.scenario, group.case),
                group.outcome.value,
                group.operation or text.NONE,
                literal(group.stage) or text.NONE,
                literal(group.fault) or text.NONE,
                literal(group.error),
            )
            for group in failed[:MOST]
        )
        blocks.append(Table(names, kinds, ("Jobs",), caption, name=f"{dimension}_failures"))
    return Section(TITLE, tuple(blocks))

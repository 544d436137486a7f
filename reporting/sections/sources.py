"""Where the numbers come from: counts that must agree, queries, raw samples."""

from __future__ import annotations

from reelbench.reporting.analysis.record_slis import explain
from reelbench.reporting.analysis.verdicts import Analysis
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Paragraph, Section, Table
from reelbench.reporting.document.text import literal
from reelbench.reporting.evidence.evidence import Evidence, place_name
from reelbench.reporting.evidence.measurements import Measurement
from reelbench.reporting.sections.verdict import linked


def reconciliation(analysis: Analysis) -> Section:
    """Return every count next to the client's log."""
    rows = tuple(
        (
            r.scenario,
            count.source,
            count.what,
            count.expected,
            "not available" if count.found is None else text.count(count.found),
            ("agrees" if count.agrees else "**DIFFERS**")
            if count.found is not None
            else literal(count.note.removeprefix("not available: ")),
        )
        for r in analysis.reconciliations
        for count in r.counts
    )
    differences = [d for r in analysis.reconciliations for d in r.differences]
    lead = (
        f"**{text.counted(len(differences), 'count')} not equal to the client's log**; the verdicts of these "
        "scenarios are INCONCLUSIVE."
        if differences
        else "Every available source counts the same jobs as the client's log."
    )
    sentence = (
        f"{lead} *Completed* in the client's log is *completed* or *partial* in the service. Where the client does not "
        "know the end of a job (error, timeout, aborted), the count may lie in a range. Missing sources are skipped."
    )
    columns = ("Scenario", "Source", "Counted", "Client's log", "Found", "Result")
    return Section("Reconciliation", (Paragraph(sentence), Table(columns, rows, numeric=("Client's log", "Found"))))


def queries(evidence: Evidence, dimension: str) -> Section:
    """Return every number with its query, so that it can be asked for again."""
    asked = evidence.measurements
    blocks: list[Block] = [
        Paragraph(
            f"All queries were evaluated at Unix time {asked.instant:.3f} ({text.instant(asked.instant)}). "
            "`measurements.json` holds the same as data."
        )
    ]
    names = {"", *(scenario.name for scenario in evidence.scenarios(dimension))}
    for sli in evidence.catalogue.slis:
        found = [m for m in asked.measurements if m.sli == sli.id and m.scenario in names]
        if not sli.of(dimension) or not found:
            continue
        unit = f"{sli.unit}; the query's value is divided by the length of the case" if sli.per_second else sli.unit
        how = f" From the records: {explain(sli.function)}" if sli.function else ""
        blocks.append(Paragraph(f"**{sli.id}** ({unit}): {sli.why}{how}"))
        rows = tuple(
            (
                linked(evidence, m.scenario, m.case, m.member),
                _with_bucket(m, m.value) if m.value is not None else f"no data: {literal(m.no_data or '')}",
                text.count(m.n),
                f"`{m.query}`",
            )
            for m in found
        )
        source = "Function of the records" if sli.function else "Query"
        blocks.append(Table(("Where", f"Value [{sli.unit}]", "n", source), rows, numeric=("n",)))
    return Section("Appendix: queries", tuple(blocks))


def raw_samples(evidence: Evidence) -> Section:
    """Return the number of raw samples of each series, with their selectors."""
    blocks: list[Block] = []
    for reading in evidence.catalogue.readings:
        rows = tuple(
            (
                place_name(
                    s.scenario, s.case, ", ".join(s.labels[name] for name in ("job", "type") if name in s.labels)
                ),
                text.count(len(s.values)),
                f"{s.instant:.3f}",
                f"`{s.query}`",
            )
            for s in evidence.measurements.series
            if s.reading == reading.id
        )
        if rows:
            blocks.append(Paragraph(f"**{reading.id}** ({reading.unit}): {reading.why}"))
            blocks.append(Table(("Where", "Samples", "Evaluated at", "Query"), rows, ("Samples", "Evaluated at")))
    if not blocks:
        blocks.append(Paragraph("No raw samples were read."))
    return Section("Appendix: raw samples", tuple(blocks))


def _with_bucket(m: Measurement, value: float) -> str:
    if m.bound is None:
        return _number(value)
    upper = f"to {_number(m.bound.upper)}" if m.bound.upper is not None else "and above"
    return f"{_number(value)} (bucket {_number(m.bound.lower)} {upper})"


def _number(value: float) -> str:
    return f"{value:.6g}" if abs(value) < 1e6 else f"{value:.0f}"  # noqa: PLR2004 - where six digits end

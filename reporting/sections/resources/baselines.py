"""Optimizations and their baselines: cases with a cache or pooled connections, and the same without."""

from __future__ import annotations

from reelbench.reporting.analysis import subjects
from reelbench.reporting.analysis.baseline import Comparison, compare
from reelbench.reporting.analysis.subjects import Subject
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Paragraph, Section, Table
from reelbench.reporting.evidence.evidence import Evidence, place_name
from reelbench.reporting.sections.verdict import switched_off


def cached(evidence: Evidence) -> Subject | None:
    """Return the cases with known prompts, or with the cache on, after the case without."""
    return subjects.known_prompts(evidence) or subjects.toggled(evidence, "cache")


def pooled(evidence: Evidence) -> Subject | None:
    """Return the case with pooled connections after the case without."""
    return subjects.toggled(evidence, "pooling")


def comparisons(evidence: Evidence, found: Subject | None) -> list[tuple[str, Comparison]]:
    """Return every case of a subject with its difference from the first one."""
    cases = found.cases[1:] if found else ()
    return [
        (case.name, compared)
        for case in cases
        if found and (compared := compare(evidence, found.name, case.name, found.case.name))
    ]


def sentence(found: Comparison, what: str, than: str) -> str:
    """Return a difference of average response times in words, with its interval."""
    share = abs(found.change) / found.baseline.average * 100 if found.baseline.average else 0.0
    word = "faster" if found.change < 0 else "slower"
    unclear = "" if found.clear else "; the interval includes zero: no difference is shown"
    return (
        f"{what} answer **{abs(found.change) * 1000:.1f} ms {word}** than {than} ({share:.1f} %): "
        f"{found.case.average:.3f} s (n = {found.case.n}) against {found.baseline.average:.3f} s "
        f"(n = {found.baseline.n}), 95 % CI of the difference {text.interval(found.difference, 'ms')} ms{unclear}."
    )


def section(evidence: Evidence) -> Section:
    """Return every case with an optimization next to its baseline."""
    rows = tuple(
        (
            what,
            f"{place_name(subject.name, case)} against {subject.case.name}",
            f"{found.case.n} and {found.baseline.n}",
            text.seconds(found.case.average),
            text.seconds(found.baseline.average),
            text.relative(found.case.average, found.baseline.average),
            text.interval(found.difference, "ms"),
        )
        for what, subject in (("Caches", cached(evidence)), ("Pooled connections", pooled(evidence)))
        if subject
        for case, found in comparisons(evidence, subject)
    )
    blocks: list[Block] = []
    if off := switched_off(evidence):
        blocks.append(Paragraph(f"The whole run is a baseline: the service ran without {text.listed(off)}."))
    if rows:
        columns = (
            "Optimization", "Cases", "n", "With [s]", "Without [s]", "Difference %", "95 % CI of the difference [ms]",
        )  # fmt: skip
        caption = "Average response time of completed jobs; interval of the difference of the means by Welch's t."
        blocks.append(Table(columns, rows, columns[2:], caption))
    if not blocks:
        blocks.append(Paragraph("No optimization and its baseline ran."))
    return Section("Optimizations and baselines", tuple(blocks))

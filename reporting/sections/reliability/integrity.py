"""Data integrity: violations with exact intervals, and the service's own audit."""

from __future__ import annotations

from reelbench.reporting.analysis import subjects
from reelbench.reporting.analysis.job_integrity import Losses, losses
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Bullets, Paragraph, Section, Table
from reelbench.reporting.document.text import literal
from reelbench.reporting.evidence.dimension import Dimension
from reelbench.reporting.evidence.evidence import Evidence
from reelbench.reporting.statistics.intervals import Proportion, exact_proportion


def section(evidence: Evidence) -> Section:
    """Return lost, duplicated, corrupt and stuck jobs, each as k of n."""
    names = subjects.names(evidence.scenarios(Dimension.RELIABILITY))
    found = losses(evidence, *names)
    lead = (
        "Every accepted job must reach exactly one terminal state, and its files must match the manifest. Violations "
        "of all reliability scenarios, with warm-up; intervals are exact (Clopper and Pearson), so zero in a small "
        "sample is not read as impossible."
    )
    rows = tuple((name, text.fraction(share), _limits(share)) for name, share in _violations(found))
    columns = ("Violation", "Jobs", "Share % (95 % CI)")
    items = [f"Files downloaded and compared with their sha256 and size: {found.files:,}."]
    scenario = subjects.most_files_checked(evidence)
    checked = losses(evidence, scenario.name) if scenario else None
    intact = exact_proportion(checked.checked - checked.corrupt, checked.checked) if checked else None
    if scenario and checked and intact:
        items.append(f"Integrity in `{scenario.name}`: {text.quoted(intact)}, exact interval; {checked.files:,} files.")
    if found.unread:
        items.append(f"The list of videos was not read in {', '.join(found.unread)}: losses there are not known.")
    violations = Table(columns, rows, columns[1:], _definitions(found))
    tables = (_by_scenario(evidence, names), _audit(evidence))
    return Section("Data integrity", (Paragraph(lead), violations, Bullets(tuple(items)), *tables))


def _violations(found: Losses) -> tuple[tuple[str, Proportion | None], ...]:
    return (
        ("lost", None if found.lost is None else exact_proportion(found.lost, found.expected)),
        ("duplicated", exact_proportion(found.duplicated, found.ids)),
        ("corrupt", exact_proportion(found.corrupt, found.checked)),
        ("stuck", exact_proportion(found.stuck, found.accepted)),
    )


def _definitions(found: Losses) -> str:
    unknown = " -: not checked." if found.lost is None or not found.checked else ""
    return (
        "Lost: accepted, and afterwards not in the service's list of videos or without a terminal state. Duplicated: "
        "one id for two jobs. Corrupt: a file is missing, or a file or field does not match the manifest, of the jobs "
        f"checked. Stuck: no terminal state within the scenario's time limit.{unknown}"
    )


def _limits(share: Proportion | None) -> str:
    if share is None:
        return text.NONE
    return f"{share.value * 100:.2f} ({share.lower * 100:.2f} to {share.upper * 100:.2f})"


def _by_scenario(evidence: Evidence, names: list[str]) -> Table:
    rows = []
    for name in names:
        found = losses(evidence, name)
        rows.append((name, *(text.fraction(share) for _, share in _violations(found)), text.count(found.files)))
    columns = ("Scenario", "Lost", "Duplicated", "Corrupt", "Stuck", "Files checked")
    return Table(columns, tuple(rows), columns[1:])


def _audit(evidence: Evidence) -> Table:
    rows = []
    for scenario in evidence.scenarios(Dimension.RELIABILITY):
        audit = scenario.audit
        if audit is None or audit.error is not None:
            why = (audit.error if audit else None) or "not offered by the service"
            rows.append((scenario.name, *[text.NONE] * 4, f"not available: {literal(why)}"))
            continue
        counts = (audit.live, audit.unsaved, audit.orphans, audit.missing)
        rows.append((scenario.name, *map(text.count, counts), "**not clean**" if any(counts) else "clean"))
    columns = ("Audit after", "Live", "Unsaved", "Orphans", "Missing", "Result")
    caption = (
        "State of the service after each scenario, by its own audit. Live: queued or running jobs. Unsaved: states "
        "that wait for the store. Orphans: folders of files without a record. Missing: completed records without files."
    )
    return Table(columns, tuple(rows), columns[1:5], caption)

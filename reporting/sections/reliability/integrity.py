"""Data integrity: the invariant, its violations with exact intervals, and the service's own audit."""

from __future__ import annotations

from reelbench.reporting.analysis.job_integrity import Losses, losses
from reelbench.reporting.document import text
from reelbench.reporting.document.literal import literal
from reelbench.reporting.document.report import Block, Bullets, Paragraph, Section, Table
from reelbench.reporting.evidence.evidence import Evidence
from reelbench.reporting.sections.reliability.success import DIMENSION
from reelbench.reporting.statistics.intervals import Proportion, exact_proportion

SCENARIO = "data_integrity"


def section(evidence: Evidence) -> Section:
    """Lost, duplicated, corrupt, stuck: each as k of n."""
    names = [scenario.name for scenario in evidence.scenarios(DIMENSION)]
    found = losses(evidence, *names)
    lead = (
        "Every accepted job must end exactly once, and its files must be what the manifest says. Violations of all "
        "reliability scenarios together, warm-up included; intervals are exact (Clopper and Pearson), so that none in "
        "a small sample is not taken for never."
    )
    rows = tuple((name, text.fraction(share), _limits(share)) for name, share in _violations(found))
    columns = ("Violation", "Jobs", "Share % (95 % CI)")
    blocks: list[Block] = [Paragraph(lead), Table(columns, rows, columns[1:], _definitions(found))]
    items = [f"Files downloaded and compared with their sha256 and size: {found.files:,}."]
    checked = losses(evidence, SCENARIO)
    if checked.checked:
        intact = exact_proportion(checked.checked - checked.corrupt, checked.checked)
        assert intact is not None
        items.append(f"Integrity in `{SCENARIO}`: {text.quoted(intact)}, exact interval; {checked.files:,} files.")
    if found.unread:
        items.append(f"The list of videos was not read in {', '.join(found.unread)}: losses there are not known.")
    blocks += [Bullets(tuple(items)), _by_scenario(evidence, names), _audit(evidence)]
    return Section("Data integrity", tuple(blocks))


def _violations(found: Losses) -> tuple[tuple[str, Proportion | None], ...]:
    return (
        ("lost", None if found.lost is None else exact_proportion(found.lost, found.expected)),
        ("duplicated", exact_proportion(found.duplicated, found.ids)),
        ("corrupt", exact_proportion(found.corrupt, found.checked)),
        ("stuck", exact_proportion(found.stuck, found.accepted)),
    )


def _definitions(found: Losses) -> str:
    unknown = " A dash: not looked at, so not known." if found.lost is None or not found.checked else ""
    return (
        "Lost: accepted, and afterwards not in the service's list of videos, or there without an end. Duplicated: an "
        "id that belongs to two jobs. Corrupt: a file or field that does not match the manifest, or a file missing, of "
        f"the jobs checked. Stuck: no end within the scenario's time limit.{unknown}"
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
    for scenario in evidence.scenarios(DIMENSION):
        audit = scenario.audit
        if audit is None or audit.error is not None:
            why = (audit.error if audit else None) or "not offered by the service"
            rows.append((scenario.name, *[text.NONE] * 4, f"not available: {literal(why)}"))
            continue
        counts = (audit.live, audit.unsaved, audit.orphans, audit.missing)
        rows.append((scenario.name, *map(text.count, counts), "**not clean**" if any(counts) else "clean"))
    columns = ("Audit after", "Live", "Unsaved", "Orphans", "Missing", "Result")
    caption = (
        "What the service says of its own state after each scenario. Live: jobs that wait or run. Unsaved: states that "
        "wait for the store. Orphans: folders of files without a record. Missing: completed records without files."
    )
    return Table(columns, tuple(rows), columns[1:5], caption)

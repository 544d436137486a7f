"""The report of an ablation."""

from __future__ import annotations

from reelbench.reporting.compare import cells, report
from reelbench.reporting.compare.effects import AblationRecord, Effect
from reelbench.reporting.compare.finding import Finding, Word
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Bullets, Paragraph, Report, Section, Table
from reelbench.reporting.evidence.evidence import place_name

NAME = "ablation_report"
KEY = (
    "response_time_avg",
    "response_time_p95",
    "throughput",
    "success_rate",
    "recovery_rate",
    "mttr",
    "cpu_utilisation",
    "cache_hit_rate",
    "job_calls",
    "connections_opened",
)
"""Indicators that are shown whatever the verdict; of the others only those that are better or worse."""
WORDS = {Word.BETTER: "better with it", Word.WORSE: "worse with it"}


def tally(effect: Effect) -> str:
    """How many comparisons said what."""
    count = effect.comparison.count
    return (
        f"{count(Word.BETTER)} better with it, {count(Word.WORSE)} worse with it, {count(Word.NOT_SHOWN)} no "
        f"difference shown, {count(Word.CANNOT_TELL)} cannot tell"
    )


def build(record: AblationRecord) -> Report:
    """The ablation as a report."""
    over_runs = any(effect.comparison.over_runs for effect in record.effects)
    return Report(
        name=NAME,
        title=f"Impact of each optimization, {record.name}",
        sections=(
            _impact(record, over_runs=over_runs),
            *(section for effect in record.effects for section in _sections(effect)),
            report.method(over_runs=over_runs),
        ),
    )


def _impact(record: AblationRecord, *, over_runs: bool) -> Section:
    runs = ", ".join(f"`{name}`" for name in record.full.runs)
    lead = (
        f"Runs with everything on ({runs}) against runs that differ in one switch of the service. *Better* means "
        "better with the optimization than without it; differences are with less without."
    )
    rows = tuple(
        (
            f"`{effect.optimization}`",
            *(text.count(effect.comparison.count(word)) for word in (Word.BETTER, Word.WORSE, Word.NOT_SHOWN)),
            text.count(effect.comparison.count(Word.CANNOT_TELL)),
            _largest(effect, Word.BETTER),
            _largest(effect, Word.WORSE),
        )
        for effect in record.effects
    )
    columns = (
        "Optimization", "Better", "Worse", "No difference shown", "Cannot tell", "Largest gain", "Largest loss",
    )  # fmt: skip
    caption = "Comparisons of an indicator in a place. An optimization shows only where a scenario has a need of it."
    items = list(dict.fromkeys(f"{problem}." for effect in record.effects for problem in effect.problems))
    items += list(dict.fromkeys(f"{remark}." for effect in record.effects for remark in effect.comparison.remarks))
    if not over_runs:
        items.append(
            "**One run for each configuration:** what changes from one run to the next (caches, neighbours, placement) "
            "is not told from the optimization, and jobs of one run are correlated, so p is too small and intervals "
            "are too narrow. With `--repeat 4` or more the configurations take turns, and runs are compared."
        )
    warning = (Bullets(tuple(items)),) if items else ()
    return Section("Impact", (Paragraph(lead), *warning, Table(columns, rows, columns[1:5], caption)))


def _sections(effect: Effect) -> tuple[Section, ...]:
    comparison = effect.comparison
    shown = tuple(f for f in comparison.findings if f.sli in KEY or f.verdict in WORDS)
    alone = [a for a in comparison.alone if a.sli in KEY]
    names = ", ".join(f"`{name}`" for name in comparison.baseline.runs)
    text = f"With it ({_runs(len(comparison.run.runs))}) against without it ({names}): {tally(effect)}."
    items = []
    if effect.set_by_cases:
        items.append(
            f"Left out, as these cases set `{effect.optimization}` themselves, so that it was the same on both sides: "
            f"{', '.join(effect.set_by_cases)}."
        )
    others = [d for d in comparison.differs if d.item != f"Switch {effect.optimization}"]
    items += [f"Also differs: {d.item} ({d.run} with it, {d.baseline} without)." for d in others]
    hidden = len(comparison.findings) - len(shown) + len(comparison.alone) - len(alone)
    if hidden:
        items.append(f"{hidden} further places that are neither better nor worse stand in the JSON file.")
    head: tuple[Block, ...] = (Paragraph(text), *((Bullets(tuple(items)),) if items else ()))
    title = f"Impact of {effect.optimization}"
    return (Section(title, head), *report.tables(shown, alone, level=3, names=("With", "Without")))


def _largest(effect: Effect, word: Word) -> str:
    found = [f for f in effect.comparison.findings if f.verdict is word]
    if not found:
        return text.NONE
    largest = max(found, key=report.size)
    return f"{largest.title} in {place_name(largest.scenario, largest.case, largest.member)}: {_change(largest)}"


def _change(finding: Finding) -> str:
    return cells.change(finding) if finding.relative is None else f"{cells.relative(finding)} %"


def _runs(number: int) -> str:
    return "1 run" if number == 1 else f"{number} runs"

"""The effect of each optimization: runs with everything on against runs without it, and the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from reelbench.reporting.catalogue.sli import Catalogue, Role
from reelbench.reporting.catalogue.sli_file import load
from reelbench.reporting.compare import cells, charts, report
from reelbench.reporting.compare.comparison import compare
from reelbench.reporting.compare.folders import ABLATION_FILE
from reelbench.reporting.compare.records import AblationRecord, Effect, Finding, Verdict
from reelbench.reporting.compare.side import Side, refusals, side_of
from reelbench.reporting.compare.writing import MARKDOWN, Content, Output, Written, write
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Paragraph, Report, Section
from reelbench.reporting.evidence.evidence import place_name

NAME = "ablation_report"
KEY = (
    Role.RESPONSE_TIME_AVG, Role.RESPONSE_TIME_P95, Role.THROUGHPUT, Role.SUCCESS_RATE, Role.RECOVERY_RATE, Role.MTTR,
    Role.CPU_UTILISATION, Role.CACHE_HIT_RATE, Role.JOB_CALLS, Role.CONNECTIONS_OPENED,
)  # fmt: skip
"""Indicators that are shown with any verdict; others are shown only when better or worse."""
DRAWN = 4
"""Rows of the figure for each optimization."""
CLEAR = (Verdict.BETTER, Verdict.WORSE, Verdict.DIFFERS)


def write_ablation(
    folder: Path, full: Sequence[Path], without: Mapping[str, Sequence[Path]], output: Output = MARKDOWN
) -> Written[AblationRecord]:
    """Write the report of exported runs; the same bytes each time.

    Args:
        folder: The folder of the ablation, a sibling of the run folders.
        full: Runs with everything on.
        without: Runs without an optimization, by its name.
        output: Formats to write.

    Raises:
        RecordError: a run cannot be read.
    """
    catalogue = load()
    sides = {off: side_of(f"no_{off}", paths, catalogue) for off, paths in without.items()}
    record = ablation(folder.resolve().name, side_of("full", full, catalogue), sides)
    lines = (f"impact of {effect.optimization}: {_counts(effect)}" for effect in record.effects)
    rows = {f"ablation_{effect.optimization}": effect.comparison.findings for effect in record.effects}
    content = Content(report=build(record, catalogue), rows=rows)
    return write(folder, ABLATION_FILE, record, content, *lines, output=output)


def ablation(name: str, full: Side, without: Mapping[str, Side]) -> AblationRecord:
    """Compare the full configuration with each of the others; all tests are corrected together."""
    own = {off: _set_by_cases(full, off) for off in without}
    left_out = [{*places, *((scenario, "") for scenario, _ in places)} for places in own.values()]
    comparisons = compare([(full, side) for side in without.values()], left_out=left_out)
    return AblationRecord(
        name=name,
        full=full.record,
        effects=tuple(
            Effect(
                optimization=off,
                comparison=comparison,
                set_by_cases=tuple(place_name(*place) for place in own[off]),
                problems=(*full.problems, *refusals(full, without[off])),
            )
            for off, comparison in zip(without, comparisons, strict=True)
        ),
    )


def build(record: AblationRecord, catalogue: Catalogue) -> Report:
    """Build the report."""
    key = frozenset(sli.id for sli in catalogue.slis if sli.role in KEY)
    over_runs = any(effect.comparison.over_runs for effect in record.effects)
    return Report(
        name=NAME,
        title=f"Impact of each optimization, {record.name}",
        sections=(
            _impact(record, over_runs=over_runs),
            *_pictures(record, key),
            *(section for effect in record.effects for section in _sections(effect, key)),
            report.method(over_runs=over_runs),
        ),
    )


def _pictures(record: AblationRecord, key: frozenset[str]) -> tuple[Section, ...]:
    """Return the largest differences of each optimization."""
    rows = []
    for effect in record.effects:
        leads = [cause.lead for verdict in CLEAR for cause in effect.comparison.causes(verdict)]
        others = [f for f in effect.comparison.findings if f.sli in key and f.verdict not in CLEAR]
        others.sort(key=lambda finding: finding.size, reverse=True)
        rows += charts.rows_of([*leads, *others], f"{effect.optimization}: ")[:DRAWN]
    caption = (
        f"With the optimization - without it: up to {DRAWN} causes of each, the clear ones first, with 95 % intervals. "
        "An interval that contains zero shows no difference."
    )
    found = charts.intervals(
        "ablation_effects",
        rows,
        charts.GROUPS,
        title="Impact of each optimization",
        x_label=charts.PER_CENT,
        caption=caption,
    )
    return (Section("In pictures", found),) if found else ()


def _set_by_cases(side: Side, switch: str) -> tuple[tuple[str, str], ...]:
    run = side.runs[0].run
    return tuple((s.name, c.name) for s in run.scenarios for c in s.cases if switch in c.switches)


def _count(verdict: Verdict, effect: Effect) -> str:
    causes = len(effect.comparison.causes(verdict))
    return text.count(causes if verdict in CLEAR else effect.comparison.count(verdict))


def _counts(effect: Effect) -> str:
    return report.counts(effect.comparison, " with it")


def _impact(record: AblationRecord, *, over_runs: bool) -> Section:
    lead = (
        f"Runs with everything on ({report.runs(record.full)}) against runs that differ in one switch of the service. "
        "*Better* means better with the optimization than without it. Differences are with - without."
    )
    counted = {str(verdict).capitalize(): verdict for verdict in (*CLEAR, Verdict.NOT_SHOWN, Verdict.CANNOT_TELL)}
    table = cells.table(
        record.effects,
        {
            "Optimization": lambda e: f"`{e.optimization}`",
            **{head: partial(_count, verdict) for head, verdict in counted.items()},
            "Largest gain": lambda e: _largest(e, worse=False),
            "Largest loss": lambda e: _largest(e, worse=True),
        },
        tuple(counted),
        "Better, worse and different: causes, which count an indicator and those that follow it as one; else "
        "comparisons of an indicator in a place. An optimization shows only in scenarios that use it.",
    )
    items = list(dict.fromkeys(f"{problem}." for effect in record.effects for problem in effect.problems))
    items += list(dict.fromkeys(f"{remark}." for effect in record.effects for remark in effect.comparison.remarks))
    if not over_runs:
        items.append(
            "**One run for each configuration:** differences from run to run (caches, neighbours, placement) cannot be "
            "separated from the effect of the optimization. Jobs of one run are correlated, so p is too small and "
            "intervals are too narrow. With `--repeat 4` or more, the configurations alternate and runs are compared."
        )
    return Section("Impact", (Paragraph(lead), *report.bullets(items), table))


def _sections(effect: Effect, key: frozenset[str]) -> tuple[Section, ...]:
    comparison = effect.comparison
    shown = tuple(f for f in comparison.findings if f.sli in key or f.verdict in CLEAR)
    alone = [a for a in comparison.alone if a.sli in key]
    lead = (
        f"With it ({text.counted(len(comparison.run.runs), 'run')}) against without it "
        f"({report.runs(comparison.baseline)}): {_counts(effect)}."
    )
    items = []
    if effect.set_by_cases:
        items.append(
            f"Left out, because these cases set `{effect.optimization}` themselves, so it was the same on both sides: "
            f"{', '.join(effect.set_by_cases)}."
        )
    others = [d for d in comparison.differs if d.item != f"Switch {effect.optimization}"]
    items += [f"Also differs: {d.item} ({d.run} with it, {d.baseline} without)." for d in others]
    hidden = len(comparison.findings) - len(shown) + len(comparison.alone) - len(alone)
    if hidden:
        items.append(f"{hidden} more comparisons, neither better nor worse, are in the JSON file.")
    head = Section(f"Impact of {effect.optimization}", (Paragraph(lead), *report.bullets(items)))
    return (head, *report.tables(shown, alone, level=3, names=("With", "Without")))


def _largest(effect: Effect, *, worse: bool) -> str:
    found = [f for f in effect.comparison.findings if f.verdict in CLEAR and f.gone_worse is worse]
    if not found:
        return text.NONE
    largest = max(found, key=lambda f: f.size)
    return f"{largest.title} in {largest.place}: {_change(largest)}"


def _change(finding: Finding) -> str:
    return cells.change(finding) if finding.relative is None else f"{cells.relative(finding)} %"

"""The report of a comparison."""

from __future__ import annotations

from collections.abc import Sequence

from reelbench.reporting.compare import cells
from reelbench.reporting.compare.finding import Alone, ComparisonRecord, Finding, SideRecord, Word
from reelbench.reporting.compare.judge import NEGLIGIBLE_A12, NEGLIGIBLE_H, NEGLIGIBLE_RELATIVE, ONE_VALUE
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Bullets, Paragraph, Report, Section, Table
from reelbench.reporting.document.text import literal
from reelbench.reporting.statistics.significance import ALPHA

NAME = "comparison_report"
SHOWN = 8
"""Findings that the verdict tells in words."""
ORDER = (Word.WORSE, Word.BETTER, Word.NOT_SHOWN, Word.CANNOT_TELL)


def build(comparison: ComparisonRecord) -> Report:
    """The comparison as a report."""
    return Report(
        name=NAME,
        title=f"Comparison of {comparison.run.name} with the baseline {comparison.baseline.name}",
        sections=(
            Section("Verdict", (Paragraph(tally(comparison)), *warnings(comparison), *told(comparison.findings))),
            sides(comparison),
            *tables(comparison.findings, comparison.alone),
            method(over_runs=comparison.over_runs),
        ),
    )


def tally(comparison: ComparisonRecord) -> str:
    """How many comparisons said what."""
    counts = ", ".join(f"{comparison.count(word)} {word}" for word in ORDER)
    return f"**{counts}**, of {len(comparison.findings)} comparisons of an indicator in a place."


def warnings(comparison: ComparisonRecord) -> tuple[Block, ...]:
    """What a reader must know before any number."""
    items = [f"**Forced:** {literal(reason)}." for reason in comparison.forced]
    items += [f"{remark}." for remark in comparison.remarks]
    if not comparison.over_runs:
        items.append(
            "**One run a side:** the tests are over the jobs within two runs. They do not cover what differs from one "
            "run to the next (caches, neighbours, placement), and jobs of one run are correlated, so p is too small "
            "and intervals are too narrow. Before a conclusion, repeat both sides (`run_suite.py --repeat 5`) and "
            "compare the `.repeat` folders."
        )
    return (Bullets(tuple(items)),) if items else ()


def told(findings: tuple[Finding, ...]) -> tuple[Block, ...]:
    """The largest findings in words, worse ones first."""
    items = []
    for word in (Word.WORSE, Word.BETTER):
        found = sorted((f for f in findings if f.verdict is word), key=size, reverse=True)
        items += [f"{cells.sentence(f)}." for f in found[:SHOWN]]
        if len(found) > SHOWN:
            items.append(f"and {len(found) - SHOWN} more that are {word}, in the table below.")
    return (Bullets(tuple(items)),) if items else ()


def sides(comparison: ComparisonRecord) -> Section:
    """Who is compared, and what else is not the same."""
    rows = [
        ("Runs", _runs(comparison.run), _runs(comparison.baseline)),
        ("Plan sha256", f"`{comparison.run.plan_hash[:16]}`", f"`{comparison.baseline.plan_hash[:16]}`"),
        *((d.item, d.run, d.baseline) for d in comparison.differs),
    ]
    lead = (
        "Plan, profile, seed and document are the same. What is recorded of the environment and differs:"
        if not comparison.forced
        else "What is recorded of the environment and differs:"
    )
    end = "" if comparison.differs else " nothing."
    return Section("What differs", (Paragraph(lead + end), Table(("Item", "Run", "Baseline"), tuple(rows))))


def tables(
    findings: Sequence[Finding],
    alone: Sequence[Alone],
    level: int = 2,
    names: tuple[str, str] = ("Run", "Baseline"),
) -> tuple[Section, ...]:
    """The findings by what could be said, and what one side alone has."""
    found = []
    if clear := [f for f in findings if f.verdict in {Word.WORSE, Word.BETTER}]:
        caption = (
            f"Differences are {names[0]} - {names[1]}; n is samples of either side, or runs where runs are compared. "
            f"A12 is the probability that a value on the side {names[0]} is the larger one. `?`: the sample is too "
            "small for this limit."
        )
        found.append(Section("Differences", (cells.tested(clear, names, caption),), level))
    found += _not_shown([f for f in findings if f.verdict is Word.NOT_SHOWN], level, names)
    found += _cannot_tell([f for f in findings if f.verdict is Word.CANNOT_TELL], level, names)
    if alone:
        caption = "Without data there is nothing to compare, also where the reason is that there was nothing to count."
        found.append(Section("Data on one side only", (cells.alone(alone, names, caption),), level))
    return tuple(found)


def _not_shown(findings: list[Finding], level: int, names: tuple[str, str]) -> list[Section]:
    blocks: list[Block] = []
    if tested := [f for f in findings if f.test]:
        caption = "No difference shown is no proof of none: see the interval for what the data still allow."
        blocks.append(cells.tested(tested, names, caption))
    if alike := [f for f in findings if not f.test]:
        caption = "All or none on both sides, or one value in all runs: there is nothing to test."
        blocks.append(cells.alike(alike, caption))
    return [Section("No difference shown", tuple(blocks), level)] if blocks else []


def _cannot_tell(findings: list[Finding], level: int, names: tuple[str, str]) -> list[Section]:
    single = [f for f in findings if f.reason == ONE_VALUE]
    moved = [f for f in single if f.difference and abs(f.relative or 1) >= NEGLIGIBLE_RELATIVE]
    blocks: list[Block] = []
    if others := [f for f in findings if f.reason != ONE_VALUE]:
        blocks.append(cells.untested(others, names, "", why=True))
    if single:
        few = len(single) - len(moved)
        rest = (
            f" {few} more differ by less than {NEGLIGIBLE_RELATIVE * 100:g} % or not at all (JSON file)." if few else ""
        )
        caption = (
            f"{ONE_VALUE[0].upper()}{ONE_VALUE[1:]}. Both values are facts of these runs; whether they would come "
        )
        caption += f"again is not known.{rest}"
        blocks.append(cells.untested(moved, names, caption, why=False) if moved else Paragraph(caption))
    return [Section("Cannot tell", tuple(blocks), level)] if blocks else []


def method(*, over_runs: bool) -> Section:
    """How the findings were got, with sources."""
    within = (
        "**Average of samples** (response time, API latency): Welch's t-test and interval of the difference of means. "
        "**Median:** Mann-Whitney test; interval from those of the order statistics of either side (MOVER; Zou and "
        "Donner, Stat. Med. 27 (2008) 1693). **P95, P99:** permutation test of the difference of that percentile, "
        "over all permutations (counted, none is drawn); interval as of the median; without an interval there is no "
        "verdict: it needs n >= 72 for P95 and n >= 368 for P99."
    )
    shares = (
        "**Shares** (success, recovery, hits, losses): Fisher's exact test; Newcombe's interval of the difference "
        "(Stat. Med. 17 (1998) 873, method 10)."
    )
    numbers = (
        "**Single numbers** (throughput, CPU, memory, queue, stages, calls): one value a run cannot be tested; they "
        "need repetitions."
    )
    runs = (
        "**Runs are the samples**, one value for each: Welch's t-test and interval of the difference of means over "
        "runs; A12 of the runs' values. Where each side has one value in all its runs (counts of a seeded plan) the "
        "difference is exact, and no test is counted. At least 4 runs a side: with 3 against 3 the least p of a rank "
        "test is 0.1. One run against many: Student's t with the spread of the many (Crawford and Howell, Clin. "
        "Neuropsychol. 12 (1998) 482)."
    )
    verdict = (
        f"**Verdict** better or worse: p <= {ALPHA:g} after Benjamini and Hochberg over all tests of this report, the "
        "interval does not hold zero, and the difference is not negligible: |A12 - 0.5| >= "
        f"{NEGLIGIBLE_A12:g} for averages and medians (Vargha and Delaney 2000), {NEGLIGIBLE_RELATIVE * 100:g} % of "
        "the baseline for percentiles and means of runs (link order alone moves benchmarks by this: Mytkowicz et al., "
        f"ASPLOS 2009), Cohen's |h| >= {NEGLIGIBLE_H:g} for shares, nothing for losses. Which way is better stands in "
        "the catalogue. Where all or none are counted on both sides, or all runs agree, nothing is tested."
    )
    relative = (
        "**Relative intervals** are of the ratio of both values (MOVER-R; Donner and Zou, Stat. Methods Med. Res. 21 "
        "(2012) 347), with the uncertainty of the baseline."
    )
    values = (
        "**Values** of sampled indicators are exact, from the client's records without warm-up; others from the kept "
        "measurements of each run (its reports hold queries and reconciliation)."
    )
    items = (runs, verdict, relative, values) if over_runs else (within, shares, numbers, verdict, relative, values)
    return Section("Method", (Bullets(items),))


def size(finding: Finding) -> float:
    """How large a difference is, for an order among findings."""
    return abs(finding.relative if finding.relative is not None else finding.difference)


def _runs(side: SideRecord) -> str:
    return ", ".join(f"`{name}`" for name in side.runs) or text.NONE

"""The report of a comparison."""

from __future__ import annotations

from collections.abc import Sequence

from reelbench.reporting.analysis.baseline import NEGLIGIBLE_A12
from reelbench.reporting.compare import cells
from reelbench.reporting.compare.judge import NEGLIGIBLE_H, NEGLIGIBLE_RELATIVE, ONE_VALUE
from reelbench.reporting.compare.records import ComparisonRecord, Finding, SideRecord, Unpaired, Verdict
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Bullets, Chart, Paragraph, Report, Section, Table
from reelbench.reporting.document.text import literal
from reelbench.reporting.statistics.significance import ALPHA

NAME = "comparison_report"
SHOWN = 8
"""Causes of each verdict that are written out as sentences."""
REMARKS = 3
"""Remarks on the runs that stand in the verdict; more have a section of their own."""
_READING = (
    "Differences are {0} - {1}; n is the number of samples per side, or of runs where runs are compared. A12 is the "
    "probability that a value of {0} is the larger one. `?`: the sample is too small for this limit."
)
_METHOD_WITHIN = (
    (
        "**Average of samples** (response time, API latency): Welch's t-test and interval of the difference of means. "
        "**Median:** Mann-Whitney test; interval combined from the order-statistics intervals of both sides (MOVER; "
        "Zou and Donner, Stat. Med. 27 (2008) 1693). **P95, P99:** permutation test of the difference of that "
        "percentile over all permutations (counted, not drawn); interval as for the median. Without an interval there "
        "is no verdict: it needs n ≥ 72 for P95 and n ≥ 368 for P99."
    ),
    (
        "**Shares** (success, recovery, hits, losses): Fisher's exact test; Newcombe's interval of the difference "
        "(Stat. Med. 17 (1998) 873, method 10)."
    ),
    (
        "**Single numbers** (throughput, CPU, memory, queue, stages, calls): one value per run cannot be tested; "
        "repeat both sides."
    ),
)
_METHOD_OVER_RUNS = (
    (
        "**Runs are the samples**, one value per run: Welch's t-test and interval of the difference of means over "
        "runs; A12 of the runs' values. Where each side has one value in all its runs (counts of a seeded plan), the "
        "difference is exact and no test is counted. At least 4 runs per side: with 3 against 3, the least p of a "
        "rank test is 0.1. One run against many: Student's t with the spread of the many (Crawford and Howell, Clin. "
        "Neuropsychol. 12 (1998) 482)."
    ),
)
_METHOD = (
    (
        f"**Verdict** better or worse: p ≤ {ALPHA:g} after Benjamini and Hochberg, the primary indicators and those "
        "that follow them corrected apart; the interval excludes zero, and the difference is not negligible. With one "
        "run per side the same result is *differs in these two runs*. Negligible is: |A12 - 0.5| < "
        f"{NEGLIGIBLE_A12:g} for averages and medians (Vargha and Delaney 2000); less than "
        f"{NEGLIGIBLE_RELATIVE * 100:g} % of the baseline for percentiles and means of runs (link order alone moves "
        f"benchmarks by this: Mytkowicz et al., ASPLOS 2009); Cohen's |h| < {NEGLIGIBLE_H:g} for shares. For losses "
        "every difference counts. The catalogue gives the better direction. Nothing is tested where both sides count "
        "all or none, or all runs agree."
    ),
    (
        "**Relative intervals** are intervals of the ratio of both values (MOVER-R; Donner and Zou, Stat. Methods Med. "
        "Res. 21 (2012) 347) and include the uncertainty of the baseline. Where such an interval and that of the "
        "difference disagree about zero, the latter is shown in per cent of the baseline."
    ),
    (
        "**Values** of sampled indicators are exact, from the client's records without warm-up; other values are the "
        "kept measurements of each run, whose reports hold queries and reconciliation."
    ),
)


def build(comparison: ComparisonRecord, charts: tuple[Chart, ...] = ()) -> Report:
    """Build the report for paper and pull requests, with a table for each kind of verdict."""
    return _report(comparison, charts, *tables(comparison.findings, comparison.alone))


def page(comparison: ComparisonRecord, charts: tuple[Chart, ...] = ()) -> Report:
    """Build the report for a page, on which one table of all indicators is sorted and filtered."""
    names = ("Run", "Baseline")
    caption = (
        f"{_READING.format(*names)} An indicator with data on one side only is not compared. Under *Why* stands what "
        "keeps a verdict from being better or worse."
    )
    order = tuple(Verdict)
    findings = sorted(comparison.findings, key=lambda finding: order.index(finding.verdict))
    table = cells.every(findings, comparison.alone, names, caption)
    return _report(comparison, charts, Section("All indicators", (table,)))


def _report(comparison: ComparisonRecord, charts: tuple[Chart, ...], *found: Section) -> Report:
    verdict = (
        f"**{counts(comparison)}**, from {len(comparison.findings)} comparisons of an indicator in a place. "
        "Indicators that follow another one (percentiles, throughput, queue) count with it as one cause."
    )
    lead = (Paragraph(verdict), *bullets(_causes(comparison)), *bullets(_warnings(comparison)))
    return Report(
        name=NAME,
        title=f"Comparison of {comparison.run.name} with the baseline {comparison.baseline.name}",
        sections=(
            Section("Verdict", lead),
            *((Section("In pictures", charts),) if charts else ()),
            *found,
            _differs(comparison),
            *((Section("Remarks on the runs", bullets(_remarks(comparison))),) if _many_remarks(comparison) else ()),
            method(over_runs=comparison.over_runs),
        ),
    )


def status(comparison: ComparisonRecord) -> str:
    """Return the strongest word of the comparison."""
    order = (Verdict.WORSE, Verdict.BETTER, Verdict.DIFFERS, Verdict.NOT_SHOWN)
    return next((verdict.value for verdict in order if comparison.count(verdict)), Verdict.CANNOT_TELL.value)


def counts(comparison: ComparisonRecord, suffix: str = "") -> str:
    """Return the number of causes that are worse, better or different, and of the other findings.

    `suffix` follows worse and better.
    """
    worse, better, differ = (len(comparison.causes(v)) for v in (Verdict.WORSE, Verdict.BETTER, Verdict.DIFFERS))
    judged = (
        f"{worse} worse{suffix}, {better} better{suffix}" if comparison.over_runs else f"{differ} {Verdict.DIFFERS}"
    )
    others = (f"{comparison.count(verdict)} {verdict}" for verdict in (Verdict.NOT_SHOWN, Verdict.CANNOT_TELL))
    return ", ".join((judged, *others))


def bullets(items: Sequence[str]) -> tuple[Block, ...]:
    """Return a list as a block; nothing for an empty one."""
    return (Bullets(tuple(items)),) if items else ()


def tables(
    findings: Sequence[Finding],
    alone: Sequence[Unpaired],
    level: int = 2,
    names: tuple[str, str] = ("Run", "Baseline"),
) -> tuple[Section, ...]:
    """Return a section for each kind of verdict, and one for indicators of which only one side has data."""
    clear = [f for f in findings if f.verdict in {Verdict.WORSE, Verdict.BETTER, Verdict.DIFFERS}]
    found: list[tuple[str, list[Block]]] = [
        ("Differences", []),
        ("No difference shown", _not_shown([f for f in findings if f.verdict is Verdict.NOT_SHOWN], names)),
        ("Cannot tell", _cannot_tell([f for f in findings if f.verdict is Verdict.CANNOT_TELL], names)),
        ("Data on one side only", []),
    ]
    if clear:
        found[0][1].append(cells.tested(clear, names, _READING.format(*names)))
    if alone:
        caption = "An indicator without data on one side is not compared, also where there was nothing to count."
        found[-1][1].append(cells.unpaired(alone, names, caption))
    return tuple(Section(title, tuple(blocks), level) for title, blocks in found if blocks)


def method(*, over_runs: bool) -> Section:
    """Return the statistical methods with their sources."""
    return Section("Method", (Bullets((*(_METHOD_OVER_RUNS if over_runs else _METHOD_WITHIN), *_METHOD)),))


def runs(side: SideRecord) -> str:
    """Return the names of the runs of a side."""
    return ", ".join(f"`{name}`" for name in side.runs) or text.NONE


def _warnings(comparison: ComparisonRecord) -> list[str]:
    items = [f"**Forced:** {literal(reason)}." for reason in comparison.forced]
    if _many_remarks(comparison):
        items.append(
            f"{len(comparison.remarks)} remarks on the runs, such as cases that other processes disturbed: see "
            "*Remarks on the runs*."
        )
    else:
        items += _remarks(comparison)
    if not comparison.over_runs:
        items.append(
            "**One run per side:** the tests use the jobs within two runs. They do not cover differences from run to "
            "run (caches, neighbours, placement), by which identical code differs too, so the strongest word is "
            "*differs in these two runs*, and `--fail-on worse` does not fail. To find what is better or worse, repeat "
            "both sides (`reelbench run --repeat 5`) and compare the `.repeat` folders; four runs of the baseline show "
            "how large the variation between runs is on this machine."
        )
    return items


def _many_remarks(comparison: ComparisonRecord) -> bool:
    return len(comparison.remarks) > REMARKS


def _remarks(comparison: ComparisonRecord) -> list[str]:
    return [f"{remark}." for remark in comparison.remarks]


def _causes(comparison: ComparisonRecord) -> list[str]:
    """One line for each cause, the worse ones first and the largest of them first."""
    items = []
    for verdict in (Verdict.WORSE, Verdict.BETTER, Verdict.DIFFERS):
        found = comparison.causes(verdict)
        for cause in found[:SHOWN]:
            more = len(cause.findings) - 1
            places = len({f.place for f in cause.findings})
            also = f"; with it {text.counted(more, 'more finding')} in {text.counted(places, 'place')}" if more else ""
            items.append(f"{cells.sentence(cause.lead)}{also}.")
        if len(found) > SHOWN:
            items.append(f"{len(found) - SHOWN} more causes: {verdict}; see the table below.")
    return items


def _differs(comparison: ComparisonRecord) -> Section:
    rows = [
        ("Runs", runs(comparison.run), runs(comparison.baseline)),
        ("Plan sha256", f"`{comparison.run.plan_hash[:16]}`", f"`{comparison.baseline.plan_hash[:16]}`"),
        *((d.item, d.run, d.baseline) for d in comparison.differs),
    ]
    same = "" if comparison.forced else "Plan, profile, seed and document are the same. "
    lead = f"{same}The recorded environments {'differ:' if comparison.differs else 'are equal.'}"
    return Section("What differs", (Paragraph(lead), Table(("Item", "Run", "Baseline"), tuple(rows))))


def _not_shown(findings: list[Finding], names: tuple[str, str]) -> list[Block]:
    blocks: list[Block] = []
    if tested := [f for f in findings if f.test]:
        caption = "This does not prove equality: the interval shows which differences the data still allow."
        blocks.append(cells.tested(tested, names, caption))
    if alike := [f for f in findings if not f.test]:
        caption = "Nothing to test: all or none on both sides, or one value in all runs."
        blocks.append(cells.alike(alike, caption))
    return blocks


def _cannot_tell(findings: list[Finding], names: tuple[str, str]) -> list[Block]:
    single = [f for f in findings if f.reason == ONE_VALUE]
    moved = [f for f in single if f.difference and abs(f.relative or 1) >= NEGLIGIBLE_RELATIVE]
    blocks: list[Block] = []
    if others := [f for f in findings if f.reason != ONE_VALUE]:
        blocks.append(cells.untested(others, names, "", why=True))
    if single:
        few = len(single) - len(moved)
        rest = f" {few} more differ by less than {NEGLIGIBLE_RELATIVE * 100:g} % (JSON file)." if few else ""
        caption = f"{ONE_VALUE[0].upper()}{ONE_VALUE[1:]}. The values describe these runs only.{rest}"
        blocks.append(cells.untested(moved, names, caption, why=False) if moved else Paragraph(caption))
    return blocks

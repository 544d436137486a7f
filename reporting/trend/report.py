"""The report of a trend: the changes of each group of runs, run by run, with their charts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import msgspec

from reelbench.reporting.compare import cells
from reelbench.reporting.compare.judge import NEGLIGIBLE_H, NEGLIGIBLE_RELATIVE
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Bullets, Chart, Paragraph, Report, Section, Series, Table
from reelbench.reporting.document.text import literal
from reelbench.reporting.statistics.change_points import CORRELATION, LEAST_SIDE
from reelbench.reporting.trend.records import Change, Group, Outcome, SeriesRecord, TrendRecord

NAME = "trend_report"
SHOWN = 8
"""Changes of a run that are written out as sentences."""
DRAWN = 12
"""Charts of a group with changes."""
DRAWN_UNCHANGED = 4
"""Charts of a group without a change: the first primary indicators that vary."""
_NEAR = 1
"""Runs between two changes of one cause: noise can move a change point by one run."""
_METHOD = (
    (
        "**Series:** the values of one indicator in one place, one for each run, in the order of the starts. Runs are "
        "one group when target, profile, plan, files of the workload and machine are the same. Only indicators with a "
        "better direction are tested."
    ),
    (
        "**Change points:** E-divisive (Matteson and James, JASA 109 (2014) 334) with the t-test and the merging of "
        "Hunter (Fleming et al., ICPE 2023, doi 10.1145/3578244.3583719), by Apache Otava. The p of a change is that "
        "of Student's t between the runs before it and after it, up to the neighbouring changes, times the number of "
        "ways to choose them in this series. The test allows for a correlation of neighbouring runs of "
        f"{CORRELATION:g}, and takes logarithms of positive values (not of shares). A change needs {LEAST_SIDE} runs "
        "on both sides."
    ),
    (
        "**Correction:** Benjamini and Hochberg over all series of primary indicators of a group, and apart from them "
        "over those that follow another indicator. Series that are the same in every run are not tested; a step "
        "between two constants is exact."
    ),
    (
        f"**Negligible:** less than {NEGLIGIBLE_RELATIVE * 100:g} % of the mean before; of shares |h| < "
        f"{NEGLIGIBLE_H:g} (Cohen). For losses every difference counts."
    ),
    (
        "**What it cannot see:** a change in the last two runs, and whether the code or the machine made a change. "
        "Where the commit is the same before and after, the machine or the surroundings changed."
    ),
)


class Cause(msgspec.Struct, frozen=True):
    """Changes that one shift explains: a primary indicator and those that follow it, in all places, at one run."""

    lead: SeriesRecord
    change: Change
    findings: tuple[tuple[SeriesRecord, Change], ...]


def build(record: TrendRecord) -> Report:
    """Build the report."""
    sections: list[Section] = [Section("Verdict", (Bullets(_verdicts(record)),))]
    for number, group in enumerate(record.groups, start=1):
        sections += _group(group, number, record)
    if record.left_out:
        rows = tuple((f"`{one.run}`", literal(one.reason)) for one in record.left_out)
        caption = "Without values, or with values that say nothing of the code."
        sections.append(Section("Runs that are left out", (Table(("Run", "Why"), rows, caption=caption),)))
    sections.append(Section("Method", (Bullets((*_METHOD, f"**Level:** a corrected p of at most {record.level:g}.")),)))
    runs = sum(len(group.runs) for group in record.groups)
    return Report(name=NAME, title=f"Trend over {text.counted(runs, 'run')}", sections=tuple(sections))


def lines(record: TrendRecord) -> list[str]:
    """Return the lines for the terminal."""
    found = [f"left out: {one.run}: {one.reason}" for one in record.left_out]
    for group in record.groups:
        found.append(f"{group.name}: {counts(group, record)}")
        shown = causes(group)
        found += [f"  {sentence(group, cause)}" for cause in shown[:SHOWN]]
        found += [f"  {len(shown) - SHOWN} more in the report"] if len(shown) > SHOWN else []
    return found


def counts(group: Group, record: TrendRecord) -> str:
    """Return what was found in a group, in one sentence."""
    runs = text.counted(len(group.runs), "run")
    if len(group.runs) < record.least_runs:
        return f"{runs}; no change can be found in fewer than {record.least_runs}, of which {LEAST_SIDE} are after it"
    found = causes(group)
    worse = sum(cause.change.worse for cause in found)
    rest = ", ".join(
        f"{group.count(outcome)} {outcome}"
        for outcome in (Outcome.UNCHANGED, Outcome.CONSTANT, Outcome.TOO_FEW)
        if group.count(outcome)
    )
    return f"{runs}, {worse} worse, {len(found) - worse} better; of {len(group.series)} series {rest or 'all changed'}"


def causes(group: Group) -> list[Cause]:
    """Return the changes of a group, one entry for each cause: the newest first, of one run the worse ones first."""
    found: dict[tuple[str, bool], list[tuple[SeriesRecord, Change]]] = {}
    for one in group.series:
        for change in one.changes:
            found.setdefault((one.follows or one.sli, change.worse), []).append((one, change))
    made = []
    for findings in found.values():
        findings.sort(key=lambda finding: finding[1].run)
        ends = [i for i, (a, b) in enumerate(pairwise(findings), start=1) if b[1].run - a[1].run > _NEAR]
        for start, end in pairwise([0, *ends, len(findings)]):
            part = findings[start:end]
            lead, change = max(part, key=lambda finding: (not finding[0].follows, _size(finding[1])))
            made.append(Cause(lead, change, tuple(part)))
    return sorted(made, key=lambda cause: (-cause.change.run, not cause.change.worse, -_size(cause.change)))


def sentence(group: Group, cause: Cause) -> str:
    """Return a cause as running text."""
    one, change = cause.lead, cause.change
    run, before = group.runs[change.run - 1], group.runs[change.run - 2]
    by = f"{change.relative * 100:+.1f} %" if change.relative is not None else _points(change, one.unit)
    code = f"commit {before.code} to {run.code}" if before.code != run.code else f"the same commit, {run.code}"
    chance = f"p = {_p(change.p_corrected)}" if change.p_corrected is not None else "in every run"
    more = len(cause.findings) - 1
    places = text.counted(len({found.place for found, _ in cause.findings}), "place")
    also = f"; with it {text.counted(more, 'more finding')} in {places}" if more else ""
    return (
        f"{'worse' if change.worse else 'better'}: {one.title} in {one.place} {by} at run {run.run_id} ({code}), from "
        f"{text.with_unit(change.before, one.unit)} in {text.counted(change.n_before, 'run')} to "
        f"{text.with_unit(change.after, one.unit)} in {change.n_after}, {chance}{also}"
    )


def _verdicts(record: TrendRecord) -> tuple[str, ...]:
    items = [f"**{literal(group.name)}:** {counts(group, record)}." for group in record.groups]
    if record.left_out:
        items.append(f"{text.counted(len(record.left_out), 'run')} left out; the table below names them.")
    return tuple(items or ["No run is left to judge."])


def _group(group: Group, number: int, record: TrendRecord) -> Iterator[Section]:
    title = f"Group {number}: {group.target}, profile {group.profile}, {text.counted(len(group.runs), 'run')}"
    yield Section(title, (Paragraph(f"{literal(group.name)}. {counts(group, record)}."), _runs(group)))
    found = causes(group)
    at = dict.fromkeys(cause.change.run for cause in found)
    for run in at:
        here = [cause for cause in found if cause.change.run == run]
        entry = group.runs[run - 1]
        items = [f"{_marked(sentence(group, cause))}." for cause in here[:SHOWN]]
        items += [f"{len(here) - SHOWN} more in the table below."] if len(here) > SHOWN else []
        differs = [f"{one.item} {literal(one.baseline)} to {literal(one.run)}" for one in entry.differs]
        what = (
            f"Different from the run before: {'; '.join(differs)}."
            if differs
            else "Nothing recorded differs from the run before."
        )
        yield Section(f"At run {entry.run_id}", (Bullets(tuple(items)), Paragraph(what)), 3)
    drawn = _drawn(group, found)
    if drawn:
        charts = tuple(_chart(group, one, f"trend_{number}_{order}") for order, one in enumerate(drawn, start=1))
        yield Section("Charts", charts, 3)
    if found:
        yield Section("All changes", (_changes(group),), 3)


def _drawn(group: Group, found: Sequence[Cause]) -> list[SeriesRecord]:
    if found:
        return list({id(cause.lead): cause.lead for cause in found}.values())[:DRAWN]
    return [one for one in group.series if one.outcome is Outcome.UNCHANGED][:DRAWN_UNCHANGED]


def _runs(group: Group) -> Block:
    columns = ("No.", "Run", "Started", "Commit", "Verdict", "Differs from the run before")
    rows = tuple(
        (
            str(number),
            f"`{run.run_id}`",
            text.instant(run.started),
            run.code,
            run.verdict,
            ", ".join(one.item for one in run.differs) or text.NONE,
        )
        for number, run in enumerate(group.runs, start=1)
    )
    return Table(columns, rows, ("No.",))


def _changes(group: Group) -> Table:
    columns = ("Indicator", "Where", "Run", "Before", "After", "Difference", "Runs", "p corrected", "Change")
    rows = tuple(
        (
            one.title,
            one.place,
            f"`{group.runs[change.run - 1].run_id}`",
            text.with_unit(change.before, one.unit),
            text.with_unit(change.after, one.unit),
            _points(change, one.unit) + (f" ({change.relative * 100:+.1f} %)" if change.relative is not None else ""),
            f"{change.n_before} / {change.n_after}",
            _p(change.p_corrected) if change.p_corrected is not None else "exact",
            "**worse**" if change.worse else "**better**",
        )
        for one in group.series
        for change in one.changes
    )
    caption = "Means of the runs before and after the change, up to the neighbouring changes; their number in Runs."
    return Table(columns, rows, ("Before", "After", "Runs", "p corrected"), caption)


def _chart(group: Group, one: SeriesRecord, name: str) -> Chart:
    numbers = [number for number, value in enumerate(one.values, start=1) if value is not None]
    scale, unit = _scale(one)
    values = tuple(value * scale for value in one.values if value is not None)
    runs = Series("one run", tuple(map(float, numbers)), values)
    means = []
    starts = [numbers[0], *(change.run for change in one.changes)]
    for start, end in pairwise([*starts, len(one.values) + 1]):
        part = [value for value in one.values[start - 1 : end - 1] if value is not None]
        mean = sum(part) / len(part) * scale
        means.append(Series(f"mean of {text.counted(len(part), 'run')}", (start - 0.4, end - 0.6), (mean, mean)))
    at = ", ".join(group.runs[change.run - 1].run_id for change in one.changes)
    return Chart(
        name=name,
        kind="time",
        title=f"{one.title} in {one.place}",
        x_label="Run, in order of start",
        y_label=f"{one.title} [{unit}]" if unit else one.title,
        series=(runs, *means),
        caption=f"{literal(one.title)} in {literal(one.place)}, "
        + (f"with a change at {at}." if at else "without a change.")
        + f" Better is {'less' if one.better == 'at_most' else 'more'}.",
    )


def _scale(one: SeriesRecord) -> tuple[float, str]:
    if one.unit == "ratio":
        return 100.0, "%"
    if one.unit == "By":
        return 1e-6, "MB"
    return 1.0, one.unit


def _points(change: Change, unit: str) -> str:
    return cells.signed(change.after - change.before, unit)


def _size(change: Change) -> float:
    return abs(change.relative if change.relative is not None else change.after - change.before)


def _p(p: float) -> str:
    return f"{p:.1g}" if p < text.LEAST_P else f"{p:.3f}"


def _marked(shown: str) -> str:
    word, colon, rest = shown.partition(":")
    return f"**{word}**{colon}{rest}"

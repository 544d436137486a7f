"""The report of an interleaved comparison: the answer, the stages that moved, all pairs, and the rule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from reelbench.loadgen.record.run_files import RUN_FILE
from reelbench.reporting.compare import charts
from reelbench.reporting.compare.ab.judge import SHARE_MARGIN, pairs_of
from reelbench.reporting.compare.ab.leg import read_evidence
from reelbench.reporting.compare.ab.records import BASE, HEAD, AbRecord, Answer, Ended, Primary, StageShift
from reelbench.reporting.compare.cells import limits, signed
from reelbench.reporting.compare.folders import AB_FILE
from reelbench.reporting.compare.judge import NEGLIGIBLE_RELATIVE
from reelbench.reporting.compare.page_data import comparison_data
from reelbench.reporting.compare.side import Side
from reelbench.reporting.compare.writing import MARKDOWN, Content, Output, Written, write
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Bullets, Chart, Paragraph, Report, Section, Table
from reelbench.reporting.document.text import literal
from reelbench.reporting.evidence.evidence import place_name
from reelbench.reporting.results.comparison_data import ComparisonData

NAME = "ab_report"
DRAWN = 4
"""Places whose stages have a figure."""
_STAGE_GROUPS = ("not shown to have moved", "moved")
NAMED = 3
"""Stages of a place that the answer names."""


def write_ab(folder: Path, record: AbRecord, output: Output = MARKDOWN) -> Written[AbRecord]:
    """Write the report below `folder`, which has the folders of all runs; the same bytes each time."""
    content = Content(
        report=build(record),
        status=str(record.answer),
        data=_page_data(folder, record),
        rows={"ab": record.primaries, "ab_stages": record.stages},
    )
    return write(folder, AB_FILE, record, content, *answer_lines(record), output=output)


def _page_data(folder: Path, record: AbRecord) -> ComparisonData | None:
    """Return what the page draws: the jobs of all runs of a side, and the first runs over time.

    Without the folders of the runs, which a user may remove, the page has the report alone.
    """
    if not record.legs or not all((folder / leg.folder / RUN_FILE).is_file() for leg in record.legs):
        return None
    head, base = (
        Side(which, tuple(read_evidence(folder / leg.folder) for leg in record.legs if leg.side == which))
        for which in (HEAD, BASE)
    )
    return comparison_data(head, base, names=(HEAD, BASE))


def answer_lines(record: AbRecord) -> tuple[str, ...]:
    """Return the answer for the terminal."""
    head = f"{record.head.name} against {record.base.name}: {_word(record)}"
    pairs = text.counted(len(pairs_of(record.legs)), "pair")
    end = f"{pairs} of runs in {text.length(record.seconds)}; {record.ended}"
    return (head, *(f"  {sentence(one)}" for one in record.primaries), *_moved_lines(record), f"  {end}")


def build(record: AbRecord) -> Report:
    """Build the report."""
    return Report(
        name=NAME,
        title=f"{literal(record.head.name)} against {literal(record.base.name)}, interleaved",
        sections=(
            _answer(record),
            *_pictures(record),
            *_stages(record),
            _indicators(record),
            _pairs(record),
            _differs(record),
            _method(record),
        ),
    )


def sentence(one: Primary) -> str:
    """Return what was found of an indicator in a place."""
    where = f"{one.title}, {one.place}"
    if one.difference is None or one.base is None:
        return f"{where}: {one.answer}, {one.reason}"
    shown = f"{signed_value(one.difference, one.unit)}{_relative(one)}"
    allowed = limits(one.interval, lambda value: signed_value(value, one.unit))
    tested = f", p = {p_of(one.p)}" if one.p is not None and one.stddev else ""
    why = f"; {one.reason}" if one.reason else ""
    return f"{where}: {one.answer}, {shown} (repeated CI {allowed}{tested}){why}"


def shift_text(one: StageShift) -> str:
    """Return the shift of a stage, such as ``LLM script +80 ms, p = 0.0003``."""
    return f"{one.stage} {signed_value(one.difference, 's')}, p = {p_of(one.p_corrected)}"


def signed_value(value: float, unit: str) -> str:
    """Return a difference with its sign: of times in milliseconds, of shares in percentage points."""
    return f"{value * 1000:+,.0f} ms" if unit == "s" else signed(value, unit)


def p_of(p: float | None) -> str:
    """Return a p with two digits."""
    return text.NONE if p is None else "< 0.0001" if p < 0.0001 else f"{p:.2g}"  # noqa: PLR2004 - the least that is shown


def _word(record: AbRecord) -> str:
    """Return the answer, and that only a stage gives it where the response time itself does not differ."""
    alone = record.answer not in {one.answer for one in record.primaries}
    return f"{record.answer} in a stage" if alone and record.primaries else str(record.answer)


def _relative(one: Primary) -> str:
    return f" ({one.difference / one.base * 100:+.1f} %)" if one.unit == "s" and one.base and one.difference else ""


def _moved_lines(record: AbRecord) -> Iterator[str]:
    for one in record.primaries:
        if one.unit != "s":
            continue
        stages = [stage for stage in record.stages if stage.place == one.place]
        named = [stage for stage in stages if stage.moved][:NAMED]
        if named:
            yield f"  moved in {one.place}: {'; '.join(map(shift_text, named))}"
        elif one.answer in {Answer.WORSE, Answer.BETTER}:
            cause = "no single stage is shown to have moved" if stages else "without traces no stage can be named"
            yield f"  {one.place}: {cause}"


def _answer(record: AbRecord) -> Section:
    items = [f"{sentence(one)}." for one in record.primaries]
    items += [f"{line.strip()[0].upper()}{line.strip()[1:]}." for line in _moved_lines(record)]
    items += [f"{remark}." for remark in record.remarks]
    lead = (
        f"**{_word(record)}**: {literal(record.head.name)} ({literal(record.head.described)}) against "
        f"{literal(record.base.name)} ({literal(record.base.described)}), from "
        f"{text.counted(len(pairs_of(record.legs)), 'pair')} of runs in {text.length(record.seconds)}. "
        f"The comparison ended because {_why(record.ended)}."
    )
    return Section("Answer", (Paragraph(lead), Bullets(tuple(items))))


def _why(ended: Ended) -> str:
    return "the user interrupted it" if ended is Ended.INTERRUPTED else str(ended)


def _pictures(record: AbRecord) -> tuple[Section, ...]:
    """Return the primary indicators, and the stages of each place that has a shift."""
    rows = []
    for one in record.primaries:
        lower, upper = one.interval.lower, one.interval.upper
        if one.difference is None or lower is None or upper is None:
            continue
        scale = 100.0
        if one.unit == "s":
            if not one.base:  # nothing has no share
                continue
            scale = 100 / one.base
        label = f"{one.title}\n{one.place}"
        rows.append(charts.Row(label, str(one.answer), one.difference * scale, lower * scale, upper * scale))
    groups = [Answer.NOT_SHOWN, Answer.WORSE, Answer.BETTER, Answer.EQUAL, Answer.CANNOT_TELL]
    caption = "Head - base over the pairs of runs, with the repeated confidence interval, which holds over all looks."
    found = charts.intervals(
        "ab_indicators", rows, groups, title="Primary indicators", x_label=charts.PER_CENT, caption=caption
    )
    for number, place in enumerate(dict.fromkeys(one.place for one in record.stages)):
        if number < DRAWN:
            found += _stage_picture([one for one in record.stages if one.place == place], number, place)
    return (Section("In pictures", found),) if found else ()


def _stage_picture(stages: Sequence[StageShift], number: int, place: str) -> tuple[Chart, ...]:
    rows = [
        charts.Row(one.stage, _STAGE_GROUPS[one.moved], one.difference * 1000, lower * 1000, upper * 1000)
        for one in stages
        if (lower := one.interval.lower) is not None and (upper := one.interval.upper) is not None
    ]
    caption = "Head - base of each part of the critical path, with the 95 % interval of this part alone."
    title = f"Shift of the stages, {place}"
    return charts.intervals(
        f"ab_stages_{number + 1}", rows, _STAGE_GROUPS, title=title, x_label="Shift [ms]", caption=caption
    )


def _stages(record: AbRecord) -> Iterator[Section]:
    for place in dict.fromkeys(one.place for one in record.stages):
        stages = [one for one in record.stages if one.place == place]
        rows = tuple(
            (
                one.stage,
                text.milliseconds(one.base),
                text.milliseconds(one.head),
                f"{one.difference * 1000:+.1f}",
                limits(one.interval, lambda value: f"{value * 1000:+.1f}"),
                p_of(one.p),
                p_of(one.p_corrected),
                "**yes**" if one.moved else "no",
            )
            for one in stages
        )
        caption = (
            "Parts of the critical path of the completed jobs; together they are the response time. The p of all parts "
            "of a place are corrected after Holm."
        )
        columns = ("Stage", "Base ms", "Head ms", "Shift ms", "95 % CI", "p", "Corrected p", "Moved")
        yield Section(f"Stages of {place}", (Table(columns, rows, columns[1:-1], caption),))


def _indicators(record: AbRecord) -> Section:
    rows = tuple(
        (
            one.place,
            one.title,
            text.with_unit(one.base, one.unit),
            text.with_unit(one.head, one.unit),
            text.count(one.pairs),
            text.NONE if one.difference is None else signed_value(one.difference, one.unit),
            text.NONE if one.stddev is None else signed_value(one.stddev, one.unit).lstrip("+"),
            limits(one.interval, lambda value, unit=one.unit: signed_value(value, unit)) or text.NONE,  # type: ignore[misc]
            p_of(one.p),
            f"{one.level:.4f}",
            str(one.answer),
        )
        for one in record.primaries
    )
    columns = (
        "Place", "Indicator", "Base", "Head", "Pairs", "Difference", "Stddev of pairs", "Repeated CI", "p",
        "Level", "Answer",
    )  # fmt: skip
    caption = "Values are means over the runs of a side. A difference is shown when p is at most the level."
    return Section("Primary indicators", (Table(columns, rows, columns[2:10], caption),))


def _pairs(record: AbRecord) -> Section:
    places = list(dict.fromkeys(one.place for leg in record.legs for one in leg.places))
    blocks: list[Block] = []
    for place in places:
        rows = []
        for number, (base, head) in enumerate(pairs_of(record.legs), 1):
            both = [next((one for one in leg.places if one.place == place), None) for leg in (base, head)]
            times = [one.response if one is not None else None for one in both]
            done = [f"{one.completed} of {one.jobs}" if one is not None else text.NONE for one in both]
            change = text.NONE if times[0] is None or times[1] is None else f"{(times[1] - times[0]) * 1000:+.1f}"
            first = "base" if base.folder < head.folder else "head"
            rows.append((str(number), first, *map(text.milliseconds, times), change, *done))
        columns = ("Pair", "First", "Base ms", "Head ms", "Difference ms", "Completed, base", "Completed, head")
        caption = f"{place_name(*place)}: mean response time of each run."
        blocks.append(Table(columns, tuple(rows), (columns[0], *columns[2:]), caption))
    return Section("Pairs", tuple(blocks))


def _differs(record: AbRecord) -> Section:
    lead = (
        f"All runs have one plan (sha256 `{record.plan_hash[:16]}`), profile {record.profile}, seed {record.seed}. "
        f"What the processes recorded of themselves {'differs:' if record.differs else 'is equal on both sides.'}"
    )
    blocks: list[Block] = [Paragraph(lead)]
    if record.differs:
        rows = tuple((one.item, one.baseline, one.run) for one in record.differs)
        blocks.append(Table(("Item", "Base", "Head"), rows))
    return Section("What differs", tuple(blocks))


def _method(record: AbRecord) -> Section:
    rule = record.rule
    looks = ", ".join(map(str, rule.looks))
    started = (
        "Targets stay as they are between runs, so what is particular to one process of a target counts as its side."
        if record.kind == "targets"
        else "Each run starts service and providers anew, so the variation between processes is part of the spread."
    )
    items = (
        (
            "Runs alternate A B B A or B A A B, drawn for each block, so a drift of the machine cancels out and a "
            f"regular disturbance meets both sides. {started} Two neighbouring runs are a pair, and the difference of "
            "a pair is one value."
        ),
        (
            f"Looks after {looks} pairs. At each, Student's t-test of the pair differences is compared with one level "
            "(Pocock, Biometrika 64 (1977) 191), computed for t and these looks. Equal sides show a difference in any "
            f"look, indicator, stage or place in at most {rule.alpha * 100:g} % of comparisons: response times have "
            "4/10 of this error, success rates 1/10, stages 5/10."
        ),
        (
            "The answer is known when something differs, or when all repeated intervals lie within the margin: "
            f"± {rule.margin * 100:g} % of the base, ± {SHARE_MARGIN * 100:g} percentage points of a success rate. "
            f"Less than {NEGLIGIBLE_RELATIVE * 100:g} % of the response time is not called worse or better."
        ),
        (
            "A stage moved when its p is at most the level of stages, or, where the response time differs, at most "
            f"{rule.alpha:g} after Holm over the stages of the place; and when the difference is at least "
            f"{NEGLIGIBLE_RELATIVE * 100:g} % of the response time."
        ),
    )
    return Section("Method", (Bullets(items),))

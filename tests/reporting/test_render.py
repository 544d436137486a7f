from __future__ import annotations

import xml.etree.ElementTree as ET

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.container import ErrorbarContainer
from tabulate import tabulate

from reelbench.reporting.document import text
from reelbench.reporting.document.report import (
    Band,
    Bullets,
    Chart,
    Code,
    Panel,
    Paragraph,
    Report,
    Section,
    Series,
    Table,
)
from reelbench.reporting.evidence.buckets import Bound
from reelbench.reporting.render import figures, markdown
from reelbench.reporting.statistics.intervals import Interval

CHART = Chart(
    name="c",
    kind="line",
    title="Title",
    x_label="Jobs in flight",
    y_label="Response time [s]",
    series=(Series("P50", (1, 5, 50), (1.0, 2.0, 3.0), ((0.1, 0.2),) * 3), Series("P95", (1, 5, 50), (2.0, 3.0, 4.0))),
    caption="n = 3",
    limit=("objective 2 s", 2.0),
)
REPORT = Report(
    "r",
    "A report",
    (
        Section(
            "One",
            (Paragraph("Text."), Bullets(("a", "b")), Table(("x", "y"), (("p|q", "1.50"),), ("y",), "n = 1"), CHART),
        ),
    ),
)


TEXTS = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), max_size=12)


@given(st.data())
def test_a_table_is_that_of_tabulate(data: st.DataObject) -> None:
    heads = data.draw(st.lists(st.text("abcxyz -/%", min_size=1, max_size=8), min_size=1, max_size=4, unique=True))
    rows = data.draw(st.lists(st.tuples(*[TEXTS] * len(heads)), max_size=4))
    numeric = data.draw(st.lists(st.sampled_from(heads), unique=True))
    table = Table(tuple(heads), tuple(rows), tuple(numeric))
    expected = tabulate(
        [[cell.replace("|", r"\|") for cell in row] for row in rows],
        headers=heads,
        tablefmt="github",
        disable_numparse=True,
        colalign=["right" if head in numeric else "left" for head in heads] if rows else None,
    )
    text = markdown.render(Report("r", "A report", (Section("One", (table,)),)), charts=False)
    assert text == f"# A report\n\n## One\n\n{expected}\n"


def test_a_report_as_markdown() -> None:
    assert markdown.render(REPORT, charts=True) == (
        "# A report\n\n## One\n\nText.\n\n- a\n- b\n\n"
        "| x    |    y |\n|------|------|\n| p\\|q | 1.50 |\n\n*n = 1*\n\n"
        "![Title](figures/c.svg)\n\n*n = 3*\n"
    )


def test_without_charts_there_are_no_image_links() -> None:
    assert "figures/" not in markdown.render(REPORT, charts=False)


@pytest.mark.extended
def test_a_chart_has_its_labels_and_is_reproducible() -> None:
    drawn = figures.svg(CHART)
    texts = {element.text for element in ET.fromstring(drawn).iter("{http://www.w3.org/2000/svg}text")}  # noqa: S314 - our own bytes
    assert {
        "Title",
        "Jobs in flight (logarithmic)",
        "Response time [s]",
        "P50",
        "P95",
        "objective 2 s",
        "1",
        "5",
        "50",
    } <= texts
    assert figures.svg(CHART) == drawn
    assert b"<dc:date>" not in drawn


def test_an_objective_above_all_values_is_visible() -> None:
    chart = msgspec.structs.replace(CHART, limit=("objective 10 s", 10.0))
    bottom, top = figures.figure(chart).axes[0].get_ylim()
    assert (bottom, top > 10) == (0, True)


def test_bars_begin_at_zero_and_show_their_spread() -> None:
    bars = Series("P95", (), (2.0, 3.0), ((0.5, 1.0), (0.0, 0.0)))
    chart = Chart("b", "bars", "Bars", "Time [s]", "", (bars,), "caption", labels=("one", "two"))
    (axes,) = figures.figure(chart).axes
    assert axes.get_xlim()[0] == 0
    (lines,) = (one for one in axes.containers if isinstance(one, ErrorbarContainer))
    (_, _, (spread,)) = lines
    assert [[point[0] for point in segment] for segment in spread.get_segments()] == [[1.5, 3.0], [3.0, 3.0]]


def test_a_time_axis_begins_at_zero_on_its_y_axis() -> None:
    chart = Chart(
        "m", "time", "Memory", "Time [s]", "Memory [MB]", (Series("s", (0.0, 1.0), (300.0, 301.0)),), "caption"
    )
    assert figures.figure(chart).axes[0].get_ylim()[0] == 0


@pytest.mark.extended
def test_panels_share_the_time_axis_and_gaps_break_the_line() -> None:
    nan = float("nan")
    one = Panel("Jobs/s", (Series("arrivals", (0.5, 1.5, 2.5, 3.5), (1.0, 2.0, nan, 4.0)),))
    two = Panel("In flight", (Series("in flight", (0.5, 1.5, 2.5, 3.5), (1.0, 1.0, 1.0, 1.0)),))
    bands = (Band("part", "first_$x$", 0.0, 2.0), Band("fault", "llm outage", 1.0, 1.5))
    chart = Chart("t", "panels", "Time", "Seconds", "", (), "caption", panels=(one, two), bands=bands)
    drawn = figures.figure(chart)
    upper, lower = drawn.axes
    assert upper.get_xlim() == lower.get_xlim() == (0.0, 3.5)
    assert [axes.get_ylabel() for axes in drawn.axes] == ["Jobs/s", "In flight"]
    assert upper.lines[0].get_markevery() == [3]
    assert "first_$x$" in {text.get_text() for text in upper.texts}
    assert figures.svg(chart) == figures.svg(chart)


def test_numbers_as_text() -> None:
    assert text.seconds(1234.5678) == "1,234.568"
    assert text.milliseconds(0.01234) == "12.3"
    assert text.with_unit(0.0999, "s") == "99.9 ms"
    assert text.with_unit(2.0, "s") == "2 s"
    assert text.with_unit(0.95, "ratio") == "95 %"
    assert text.size(123456) == "120.6 KiB"
    assert text.instant(0) == "1970-01-01 00:00:00 UTC"
    assert text.relative(1.1, 1.0) == "+10.0"
    assert text.relative(0.99999, 1.0) == "0.0"
    assert text.relative(None, 1.0) == text.seconds(None) == "-"
    assert text.bucket(Bound(600.0, None)) == "> 600.000"
    assert text.bucket(Bound(0.5, 0.525), "ms") == "500.0 to 525.0"
    assert text.interval(Interval(1.0, 2.0)) == "1.000 to 2.000"
    assert text.interval(Interval(1.0, None)) == "from 1.000, no upper limit"
    assert text.interval(Interval(None, None)) == "n too small for an interval"


def test_code_with_backticks_gets_a_longer_fence() -> None:
    def fence(text: str) -> str:
        return markdown.render(Report("r", "T", (Section("S", (Code(text),)),)), charts=False).split("\n\n", 2)[2]

    assert fence("a  b\n  c | *d*") == "```text\na  b\n  c | *d*\n```\n"
    assert fence("one ` two ```` four") == "`````text\none ` two ```` four\n`````\n"


def test_stacked_bars_begin_at_the_end_of_the_previous_segment() -> None:
    chart = Chart(
        name="s",
        kind="stacked",
        title="Stacked",
        x_label="s",
        y_label="",
        labels=("low", "high"),
        series=(Series("queue", (), (0.0, 3.0)), Series("work", (), (1.0, 2.0)), Series("rest", (), (0.5, 0.25))),
        caption="",
    )
    drawn = figures.figure(chart)
    axes = drawn.axes[0]
    pieces = [[(bar.get_x(), bar.get_width()) for bar in container] for container in axes.containers]
    assert pieces == [[(0, 0), (0, 3)], [(0, 1), (3, 2)], [(1, 0.5), (5, 0.25)]]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["low", "high"]
    assert [text.get_text() for text in drawn.legends[0].get_texts()] == ["queue", "work", "rest"]
    assert figures.svg(chart) == figures.svg(chart)


def test_numbers_and_lists_in_a_sentence_are_grammatical() -> None:
    assert [text.counted(n, "job") for n in (0, 1, 2, 1234)] == ["0 jobs", "1 job", "2 jobs", "1,234 jobs"]
    lists: tuple[list[str], ...] = ([], ["closed"], ["closed", "open"], ["closed", "idle", "open"])
    assert [text.listed(words) for words in lists] == ["", "closed", "closed and open", "closed, idle and open"]

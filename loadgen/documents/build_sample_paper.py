"""Builds ``sample_paper.pdf`` from ``sample_paper.md``: ``python -m reelbench.loadgen.documents.build_sample_paper``.

The same text, fonts and matplotlib give the same bytes. Marks at the beginning of a line: ``#`` title and headings,
``@`` note under the title, ``$`` formula, ``*`` reference, ``!figure``, ``!caption``; `` | `` parts table cells.
"""

from __future__ import annotations

import functools
import io
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.textpath import text_to_path

SOURCE = Path(__file__).with_name("sample_paper.md")
TARGET = Path(__file__).with_name("sample_paper.pdf")

# Points; A4.
PAGE_WIDTH, PAGE_HEIGHT = 595.0, 842.0
MARGIN = 84.0
WIDTH = PAGE_WIDTH - 2 * MARGIN
BODY, LEADING, GAP = 11.0, 15.5, 6.0

MEAN = {1: 0.35, 5: 0.37, 10: 0.49, 20: 0.97, 50: 2.41}
"""Table 1 of the paper: mean response time in seconds by jobs in flight."""
SERVICE_SECONDS, KNEE = 0.35, 7.2


@functools.cache
def font(*, bold: bool = False, italic: bool = False) -> FontProperties:
    """Return a cut of the typeface of the paper, which ships with matplotlib."""
    return FontProperties(
        family="STIXGeneral", weight="bold" if bold else "normal", style="italic" if italic else "normal"
    )


def core(cut: FontProperties) -> FontProperties:
    """Return the Times of every PDF reader, which has the widths of STIX, so no font is embedded."""
    return FontProperties(family="Times", weight=cut.get_weight(), style=cut.get_style())


@functools.cache
def width(text: str, size: float, cut: FontProperties) -> float:
    """Return the width of a text in points."""
    sized = cut.copy()
    sized.set_size(size)
    return float(text_to_path.get_text_width_height_descent(text, sized, ismath=False)[0])


def wrap(text: str, size: float, cut: FontProperties, room: float) -> Iterator[list[str]]:
    """Yield lines of words that fit into `room` points."""
    line: list[str] = []
    used = 0.0
    for word in text.split():
        if line and used + width(word, size, cut) > room:
            yield line
            line, used = [], 0.0
        line.append(word)
        used += width(word, size, cut) + width("\N{NO-BREAK SPACE}", size, cut)
    yield line


class Paper:
    """Pages, filled from the top."""

    def __init__(self) -> None:
        self.pages: list[Figure] = []
        self.y = 0.0
        self.turn()

    def turn(self) -> None:
        """Begin a page."""
        page = Figure(figsize=(PAGE_WIDTH / 72, PAGE_HEIGHT / 72))
        self.pages.append(page)
        self.y = PAGE_HEIGHT - MARGIN
        self.put(str(len(self.pages)), PAGE_WIDTH / 2, MARGIN / 2, 9.0, font(), align="center")

    def put(self, text: str, x: float, y: float, size: float, cut: FontProperties, *, align: str = "left") -> None:
        """Write one piece of text at a place in points."""
        self.pages[-1].text(
            x / PAGE_WIDTH,
            y / PAGE_HEIGHT,
            text,
            size=size,
            fontproperties=core(cut),
            ha=align,
            va="baseline",
            parse_math=False,
        ).set_fontsize(size)

    def rule(self, y: float) -> None:
        """Draw a line across the column."""
        ends = [MARGIN / PAGE_WIDTH, 1 - MARGIN / PAGE_WIDTH]
        self.pages[-1].add_artist(Line2D(ends, [y / PAGE_HEIGHT] * 2, color="black", linewidth=0.6))

    def need(self, height: float) -> None:
        """Begin a new page unless `height` points are left."""
        if self.y - height < MARGIN:
            self.turn()

    def paragraph(self, text: str, size: float = BODY, cut: FontProperties | None = None, indent: float = 0.0) -> None:
        """Set a paragraph, ragged right; lines after the first are indented."""
        cut = cut or font()
        lines = list(wrap(text, size, cut, WIDTH - indent))
        for number, words in enumerate(lines):
            self.need(LEADING)
            self.y -= LEADING
            x = MARGIN + (indent if number else 0.0)
            self.put(" ".join(words), x, self.y, size, cut)
        self.y -= GAP

    def heading(self, text: str, size: float) -> None:
        """Set a heading on the same page as the two lines after it."""
        self.need(size + 3 * LEADING + GAP)
        self.y -= size + GAP
        self.put(text, MARGIN, self.y, size, font(bold=True))
        self.y -= GAP / 2

    def centred(self, text: str, size: float, cut: FontProperties) -> None:
        """Set lines in the middle of the column."""
        for words in wrap(text, size, cut, WIDTH):
            self.need(1.4 * size)
            self.y -= 1.4 * size
            self.put(" ".join(words), PAGE_WIDTH / 2, self.y, size, cut, align="center")
        self.y -= GAP

    def table(self, rows: Sequence[Sequence[str]]) -> None:
        """Set a table with a head."""
        self.need((len(rows) + 4) * LEADING)
        self.y -= GAP
        self.rule(self.y)
        for number, row in enumerate(rows):
            self.y -= LEADING
            for column, cell in enumerate(row):
                x = MARGIN + (column + 0.5) * WIDTH / len(row)
                self.put(cell, x, self.y, 10.0, font(bold=number == 0), align="center")
            if number in {0, len(rows) - 1}:
                self.rule(self.y - 5.0)
        self.y -= 2 * GAP

    def figure(self) -> None:
        """Draw response time against the number of jobs in flight."""
        height = 190.0
        self.need(height + 5 * LEADING)
        self.y -= height + 2 * GAP
        axes = self.pages[-1].add_axes(
            (
                (MARGIN + 45) / PAGE_WIDTH,
                (self.y + 30) / PAGE_HEIGHT,
                (WIDTH - 70) / PAGE_WIDTH,
                (height - 35) / PAGE_HEIGHT,
            )
        )
        levels = range(1, 51)
        model = [max(SERVICE_SECONDS, SERVICE_SECONDS * level / KNEE) for level in levels]
        axes.plot(levels, model, color="0.4", linestyle="--", linewidth=1.0)
        axes.plot(list(MEAN), list(MEAN.values()), color="black", marker="o", markersize=4, linestyle="none")
        axes.set_xlabel("jobs in flight, N", fontproperties=font(), size=10)
        axes.set_ylabel("mean response time (s)", fontproperties=font(), size=10)
        for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
            label.set_fontproperties(font())
            label.set_fontsize(9)
        axes.spines[["top", "right"]].set_visible(False)


def build(text: str) -> bytes:
    """Return the marked text as a PDF."""
    # matplotlib logs a search for Times among the font files each time.
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    with mpl.rc_context({"pdf.fonttype": 42, "pdf.compression": 9, "pdf.use14corefonts": True}):
        paper = _set(text)
        buffer = io.BytesIO()
        metadata = {
            "Title": text.splitlines()[0].lstrip("# "),
            "Author": "Reelbench",
            "Creator": None,
            "Producer": None,
            "CreationDate": None,  # the bytes depend only on the text
        }
        with PdfPages(buffer, metadata=metadata) as pdf:
            for page in paper.pages:
                pdf.savefig(page)
    return buffer.getvalue()


def _set(text: str) -> Paper:
    paper = Paper()
    rows: list[list[str]] = []
    for line in text.splitlines():
        if " | " in line:
            rows.append([cell.strip() for cell in line.split("|")])
            continue
        if rows:
            paper.table(rows)
            rows = []
        if line:
            _set_line(paper, line)
    return paper


def _set_line(paper: Paper, line: str) -> None:
    mark, _, rest = line.partition(" ")
    match mark:
        case "#":
            paper.centred(rest, 19.0, font(bold=True))
        case "@":
            paper.centred(rest, 11.0, font(italic=True))
        case "##" | "###":
            paper.heading(rest, 14.0 if mark == "##" else 12.0)
        case "$":
            paper.centred(rest, BODY, font(italic=True))
        case "*":
            paper.paragraph(rest, indent=20.0)
        case "!figure":
            paper.figure()
        case "!caption":
            paper.centred(rest, 9.5, font())
        case _:
            paper.paragraph(line)


if __name__ == "__main__":
    TARGET.write_bytes(build(SOURCE.read_text(encoding="utf-8")))

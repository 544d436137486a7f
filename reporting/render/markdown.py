"""A report as GitHub Markdown."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from reelbench.loadgen.record.foreign_text import harmless
from reelbench.reporting.document.report import Block, Bullets, Chart, Code, Paragraph, Report, Section, Table, Timeline
from reelbench.reporting.render.names import FIGURES, anchors, slug

_ANCHOR = re.compile(r"\]\(#([a-z0-9-]+)\)")


def render(report: Report, *, charts: bool, links: Mapping[str, str] = MappingProxyType({})) -> str:
    """Return the report as text; without charts their blocks are left out, so no link is broken.

    `links` has the file and heading of each anchor that a text links to (`links` of this module).
    """
    parts = [f"# {report.title}"]
    for section in report.sections:
        parts.extend(_section(section, charts=charts))
    text = harmless("\n\n".join(parts)) + "\n"
    return _ANCHOR.sub(lambda found: f"]({links.get(found[1], f'#{found[1]}')})", text)


def links(reports: Sequence[Report]) -> dict[str, str]:
    """Return the file of each report, and file and heading of each section, by the anchor on the page."""
    whole = {slug(report.name, "-"): f"{report.name}.md" for report in reports}
    return whole | {
        anchor: f"{report.name}.md#{_heading(report.sections[number].title)}"
        for report in reports
        for (_, number), anchor in anchors((report,)).items()
    }


def _heading(title: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _section(section: Section, *, charts: bool) -> list[str]:
    blocks = [block for block in section.blocks if charts or not isinstance(block, Chart | Timeline)]
    return [f"{'#' * section.level} {section.title}", *(_block(block) for block in blocks)]


def _block(block: Block) -> str:
    match block:
        case Paragraph(text):
            return text
        case Bullets(items):
            return "\n".join(f"- {item}" for item in items)
        case Table():
            return _table(block)
        case Code(text):
            return _code(text)
        case Chart() | Timeline():
            return f"![{block.title}]({FIGURES}/{block.name}.svg)\n\n*{block.caption}*"


def _code(text: str) -> str:
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)  # a fence ends at the first run of backticks that is as long
    return f"{fence}text\n{text}\n{fence}"


def _table(table: Table) -> str:
    """Return a table with aligned columns.

    tabulate writes the same text, but tests the type of each cell, which took 40 % of the CPU time of a report.
    """
    cells = [[_cell(cell).strip() for cell in row] for row in table.rows]
    columns = zip(*cells, strict=True) if cells else [()] * len(table.columns)
    widths = [max([len(head) + 2, *map(len, column)]) for head, column in zip(table.columns, columns, strict=True)]
    right = [bool(cells) and column in table.numeric for column in table.columns]

    def line(texts: Sequence[str]) -> str:
        padded = (
            text.rjust(width) if to_right else text.ljust(width)
            for text, width, to_right in zip(texts, widths, right, strict=True)
        )
        return f"| {' | '.join(padded)} |"

    rule = "|".join("-" * (width + 2) for width in widths)
    text = "\n".join([line(table.columns), f"|{rule}|", *map(line, cells)])
    return f"{text}\n\n*{table.caption}*" if table.caption else text


def _cell(text: str) -> str:
    return text.replace("|", r"\|").replace("\n", " ")

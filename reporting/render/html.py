"""All reports of a run as one self-contained HTML page, without scripts and external fonts or pictures."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it.token import Token
from markupsafe import Markup, escape

from reelbench.loadgen.record.foreign_text import harmless
from reelbench.reporting.document.report import Bullets, Chart, Code, Paragraph, Report, Table, Timeline
from reelbench.reporting.render.inline import walk
from reelbench.reporting.render.names import APPENDIX, slug

TEMPLATES = Path(__file__).with_name("templates")
_TAGS = {"strong": "strong", "em": "em"}
_WORDS = {
    "PASS": "pass",
    "FAIL": "fail",
    "DIFFERS": "fail",
    "INVALID": "fail",
    "NO DATA": "unsure",
    "INCONCLUSIVE": "unsure",
}
"""Colour class of each verdict; the word itself is always printed."""
_SVG_NAMES = re.compile(r'(?<= id=")|(?<=url\(#)|(?<=href="#)')
_SVG = re.compile(r"<svg\b.*</svg>", re.DOTALL)
_METADATA = re.compile(r"\s*<metadata>.*?</metadata>", re.DOTALL)


def render(title: str, reports: Sequence[Report], statuses: Mapping[str, str], figures: Mapping[str, bytes]) -> str:
    """Return the page as text.

    Args:
        title: Title of the page.
        reports: The reports in order.
        statuses: Verdict of each report, by the report's name.
        figures: SVG files by name; a chart without one is left out.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"rich": rich, "word": _word, "short": _short}
    environment.tests |= {
        "paragraph": lambda block: isinstance(block, Paragraph),
        "bullets": lambda block: isinstance(block, Bullets),
        "code": lambda block: isinstance(block, Code),
        "table": lambda block: isinstance(block, Table),
        "figure": lambda block: isinstance(block, Chart | Timeline) and block.name in figures,
    }
    page = environment.get_template("report.html.j2")
    text = page.render(
        title=title,
        reports=reports,
        statuses=statuses,
        style=Markup((TEMPLATES / "report.css").read_text(encoding="utf-8")),  # noqa: S704 - our own file
        anchor=lambda report: slug(report.name, "-"),
        anchors=anchors(reports),
        folded=lambda section: section.title.startswith(APPENDIX),  # long, for reference
        svg=lambda chart: inline_svg(chart.name, figures[chart.name]),
    )
    return harmless(text)


def anchors(reports: Sequence[Report]) -> dict[tuple[str, int], str]:
    """Return the id of each section by report and position; equal titles get different ids."""
    made: dict[tuple[str, int], str] = {}
    for report in reports:
        for number, section in enumerate(report.sections):
            name = slug(f"{report.name} {section.title}", "-")
            made[report.name, number] = f"{name}-{number}" if name in made.values() else name
    return made


def rich(text: str) -> Markup:
    """Return running text with its emphasis, code and links; all else is escaped."""
    return Markup(walk(text, lambda plain: str(escape(plain)), _marks))  # noqa: S704 - every part is escaped


def inline_svg(name: str, svg: bytes) -> Markup:
    """Return an SVG file as an element; its ids begin with its name, so they are unique in the page."""
    found = _SVG.search(svg.decode())
    assert found is not None, "figures are SVG"
    text = _SVG_NAMES.sub(f"{name}-", _METADATA.sub("", found[0]))
    return Markup(text)  # noqa: S704 - drawn by us; matplotlib escapes the labels


def _marks(token: Token, following: str) -> str:
    kind, _, end = token.type.rpartition("_")
    if token.type == "code_inline":
        return f"<code>{escape(token.content)}</code>"
    if kind == "link":
        href = escape(str(token.attrGet("href")))
        return f'<a href="{href}">' if end == "open" else "</a>"
    tag = _TAGS[kind]
    if end == "close":
        return f"</{tag}>"
    colour = _word(following.removeprefix("Verdict: "))
    return f'<{tag} class="verdict {colour}">' if colour else f"<{tag}>"


def _short(report: Report) -> str:
    """Name of a report in the contents."""
    return report.name.removesuffix("_report").replace("_", " ").capitalize()


def _word(text: str) -> str:
    return _WORDS.get(text, "")

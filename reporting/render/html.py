"""All reports of a run as one HTML page that loads nothing: style, script, pictures and data stand in it.

Without the script, every number of the reports is there as text.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it.token import Token
from markupsafe import Markup, escape

from reelbench.loadgen.record.foreign_text import harmless
from reelbench.reporting.document.report import APPENDIX, Bullets, Chart, Code, Paragraph, Report, Table, Timeline
from reelbench.reporting.render.inline import walk
from reelbench.reporting.render.names import anchors, slug
from reelbench.reporting.render.page_tables import cases, over_time
from reelbench.reporting.render.svg import inline_svg
from reelbench.reporting.results.page_data import PageData

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
ASSETS = Path(__file__).with_name("assets")
SCRIPTS = (
    "uplot/uPlot.iife.min.js",
    "charts.js",
    "theme.js",
    "tables.js",
    "growth.js",
    "waterfall.js",
    "jobs.js",
    "page.js",
)
STYLES = ("uplot/uPlot.min.css", "charts.css", "report.css")
_ROWS = 40
"""Rows of the table over time."""


def render(
    title: str,
    reports: Sequence[Report],
    statuses: Mapping[str, str],
    figures: Mapping[str, bytes],
    data: PageData | None = None,
) -> str:
    """Return the page as text.

    Args:
        title: Title of the page.
        reports: The reports in order.
        statuses: Verdict of each report, by the report's name.
        figures: SVG files by name; a chart without one is left out.
        data: What the script draws; None: only the tables are made interactive.
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
    style, script = _joined(STYLES), _joined(SCRIPTS)
    text = page.render(
        title=title,
        reports=reports,
        statuses=statuses,
        style=style,
        script=script,
        policy=_policy(style, script),
        data=None if data is None else _in_script(data),
        over_time=() if data is None or data.timeline is None else (over_time(data.timeline, _ROWS),),
        cases=() if data is None else (cases(data),),
        jobs=None if data is None else (len(data.jobs), data.total),
        appendix=APPENDIX,
        anchor=lambda report: slug(report.name, "-"),
        anchors=anchors(reports),
        folded=lambda section: section.folded,
        svg=lambda chart: inline_svg(chart.name, figures[chart.name]),
    )
    return harmless(text)


def rich(text: str) -> Markup:
    """Return running text with its emphasis, code and links; all else is escaped."""
    return Markup(walk(text, lambda plain: str(escape(plain)), _marks))  # noqa: S704 - every part is escaped


def _joined(names: Sequence[str]) -> Markup:
    """Return files of ours, or of a library, one after the other; none of them ends the element it stands in."""
    text = "\n".join((ASSETS / name).read_text(encoding="utf-8").strip() for name in names)
    assert "</script" not in text.lower()
    assert "</style" not in text.lower()
    return Markup(f"\n{text}\n")  # noqa: S704 - files of the package


def _policy(style: str, script: str) -> str:
    """Return the content security policy: nothing is loaded or sent, and no other style or script runs."""
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)]
    return (
        f"default-src 'none'; style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _in_script(data: PageData) -> Markup:
    """Return data as JSON in which no text can end the element, begin another, or open a comment."""
    text = msgspec.json.encode(data).decode()
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)  # noqa: S704 - escaped above


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

"""Reports as HTML pages that load nothing: style, script, pictures and data stand in them.

Without the script, every number of the reports is there as text.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it.token import Token
from markupsafe import Markup, escape

from reelbench.loadgen.record.foreign_text import harmless
from reelbench.reporting.document.report import APPENDIX, Bullets, Chart, Code, Paragraph, Report, Table, Timeline
from reelbench.reporting.render.inline import plain, walk
from reelbench.reporting.render.names import anchors, slug
from reelbench.reporting.render.page_tables import cases, compared_cases, over_time
from reelbench.reporting.render.svg import inline_svg
from reelbench.reporting.results.comparison_data import ComparisonData
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
    "worse": "fail",
    "better": "pass",
    "equal within the margin": "pass",
    "differs in these two runs": "unsure",
    "no difference shown": "unsure",
    "cannot tell": "unsure",
}
"""Colour class of each verdict; the word itself is always printed."""
ASSETS = Path(__file__).with_name("assets")
_COMMON = ("uplot/uPlot.iife.min.js", "charts.js", "theme.js", "tables.js", "lines.js")
_OF_RUN = (*_COMMON, "growth.js", "waterfall.js", "jobs.js", "page.js")
_OF_COMPARISON = (*_COMMON, "comparison.js")
STYLES = ("uplot/uPlot.min.css", "palette.css", "charts.css", "report.css")
_ROWS = 40
"""Rows of the table over time."""


def render(
    title: str,
    reports: Sequence[Report],
    statuses: Mapping[str, str],
    figures: Mapping[str, bytes],
    data: PageData | None = None,
) -> str:
    """Return the page of a run as text.

    Args:
        title: Title of the page.
        reports: The reports in order.
        statuses: Verdict of each report, by the report's name.
        figures: SVG files by name; a chart without one is left out.
        data: What the script draws; None: only the tables are made interactive.
    """
    return _page(
        "report.html.j2",
        _OF_RUN,
        reports,
        figures,
        data,
        title=title,
        reports=reports,
        statuses=statuses,
        over_time=() if data is None or data.timeline is None else (over_time(data.timeline, _ROWS),),
        cases=() if data is None else (cases(data),),
        jobs=None if data is None else (len(data.jobs), data.total),
        appendix=APPENDIX,
    )


def render_comparison(
    report: Report, status: str, figures: Mapping[str, bytes], data: ComparisonData | None = None
) -> str:
    """Return the page of a report about several runs: its first section, the charts, and the other sections.

    Args:
        report: The report.
        status: Verdict in a few words; may be empty.
        figures: SVG files by name; a chart without one is left out.
        data: What the script draws; None: only the tables are made interactive.
    """
    names = () if data is None else (data.run.capitalize(), data.baseline.capitalize())
    lines = () if data is None else data.timelines
    return _page(
        "comparison.html.j2",
        _OF_COMPARISON,
        (report,),
        figures,
        data,
        title=plain(report.title),
        report=report,
        status=status,
        cases=None if data is None else compared_cases(data),
        over_time=[(name, over_time(one, _ROWS)) for name, one in zip(names, lines, strict=True) if one is not None],
    )


def with_report(page: str, report: Report) -> str:
    """Return a page of a run with this report in place of the one of the same name; it has no figures."""
    template = "{% import 'blocks.html.j2' as blocks with context %}{{ blocks.article(report) }}"
    article = _environment({}).from_string(template).render(report=report, **_names((report,), {}))
    old = re.compile(rf'<article id="{slug(report.name, "-")}">.*?</article>', re.DOTALL)
    return old.sub(lambda _: harmless(article.strip()), page, count=1)


def _page(
    template: str,
    scripts: Sequence[str],
    named: Sequence[Report],
    figures: Mapping[str, bytes],
    data: PageData | ComparisonData | None,
    **parts: object,
) -> str:
    style, script = _joined(STYLES), _joined(scripts)
    text = (
        _environment(figures)
        .get_template(template)
        .render(
            style=style,
            script=script,
            policy=_policy(style, script),
            data=None if data is None else _in_script(data),
            **_names(named, figures),
            **parts,
        )
    )
    return harmless(text)


def _names(reports: Sequence[Report], figures: Mapping[str, bytes]) -> dict[str, object]:
    """Return what the blocks of a report ask for."""
    return {
        "anchor": lambda report: slug(report.name, "-"),
        "anchors": anchors(reports),
        "folded": lambda section: section.folded,
        "svg": lambda chart: inline_svg(chart.name, figures[chart.name]),
    }


def _environment(figures: Mapping[str, bytes]) -> Environment:
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
    return environment


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


def _in_script(data: PageData | ComparisonData) -> Markup:
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
    colour = _word(following.removeprefix("Verdict: ")) if kind == "strong" else ""
    return f'<{tag} class="verdict {colour}">' if colour else f"<{tag}>"


def _short(report: Report) -> str:
    """Name of a report in the contents."""
    return report.name.removesuffix("_report").replace("_", " ").capitalize()


def _word(text: str) -> str:
    return _WORDS.get(text, "")

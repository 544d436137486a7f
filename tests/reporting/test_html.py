from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser

from msgspec.structs import replace

from reelbench.reporting.document.report import Bullets, Chart, Paragraph, Report, Section, Series, Table
from reelbench.reporting.render import figures, html
from reelbench.reporting.render.svg import inline_svg
from reelbench.reporting.results.page_data import page_data
from tests.reporting.evidence_of import evidence
from tests.reporting.made_run import MadeRun

BAD = '<script>alert("x")</script>![i](http://evil.example/i.png)[l](javascript:x)</td></table>'
KNOWN = (
    "html head meta title style body header h1 h2 h3 p a strong em code div nav details summary ul li main article "
    "section table thead tbody tr th td figure figcaption svg g path defs use text tspan clippath rect script noscript"
)
"""All elements of a page."""


def chart(name: str, title: str = "Title") -> Chart:
    return Chart(name, "line", title, "x", "y", (Series("s", (1, 5), (1.0, 2.0)),), "caption")


def page(*blocks: Paragraph | Bullets | Table | Chart, title: str = "One: <b>") -> str:
    report = Report(
        "speed_report",
        "Speed report of run r<1>",
        (Section(title, blocks), Section("Appendix: queries", (Paragraph("q"),), 3)),
    )
    svgs = {block.name: figures.svg(block) for block in blocks if isinstance(block, Chart)}
    return html.render("Run r<1>", (report,), {"speed_report": "FAIL"}, svgs)


class Tags(HTMLParser):
    """Every element with its attributes; elements are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in {"meta", "br", "hr", "img", "link"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def values(self, name: str) -> Iterator[str]:
        return (value for _, attrs in self.found if (value := attrs.get(name)) is not None)


def test_hostile_text_in_every_block_stays_text() -> None:
    text = page(
        Paragraph(BAD), Bullets((BAD,)), Table((BAD, "n"), ((BAD, "1"),), ("n",), BAD), chart("c", BAD), title=BAD
    )
    tags = Tags(text)
    assert tags.open == []
    assert {tag for tag, _ in tags.found} <= set(KNOWN.split())
    assert [tag for tag, _ in tags.found].count("table") == 1
    assert not [value for value in tags.values("href") if value.startswith("javascript")]
    assert not [name for _, attrs in tags.found for name in attrs if name.startswith("on") or name == "src"]
    assert "&lt;script&gt;alert(" in text


def test_the_page_is_self_contained() -> None:
    text = page(Paragraph("[run](http://grafana:3000/d/x)"), chart("c"))
    (policy,) = [attrs["content"] for tag, attrs in Tags(text).found if attrs.get("http-equiv")]
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digest(text, 'style')}'; "
        f"script-src 'sha256-{digest(text, 'script')}'; base-uri 'none'; form-action 'none'"
    )
    markup = re.sub(r"<(script|style)>.*?</\1>", "", text, flags=re.DOTALL)
    assert not re.findall(r"@import|url\((?!#)|<link|<script|<img|src=|style=", markup)


def digest(text: str, element: str) -> str:
    """The hash by which a browser compares an element with the policy."""
    (content,) = re.findall(f"<{element}>(.*?)</{element}>", text, flags=re.DOTALL)
    return base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


def test_the_data_of_the_page_cannot_end_their_element(made: MadeRun) -> None:
    hostile = [replace(one, error=BAD) if number == 0 else one for number, one in enumerate(made.jobs)]
    data = page_data(evidence(made, jobs=hostile))
    text = html.render("t", (), {}, {}, data)
    tags = Tags(text)
    assert [tag for tag, _ in tags.found].count("script") == 2
    stored = re.findall(r'<script type="application/json" id="page-data">([^<>&]*)</script>', text)
    assert [row[5] for row in json.loads(stored[0])["jobs"]].count(BAD) == 1


def test_styles_of_a_figure_become_attributes() -> None:
    svg = b"""<?xml?><svg width="1"><metadata>x</metadata><defs>
<style type="text/css">*{stroke-linejoin: round; a: b}</style></defs>
<path id="p" style="fill: #fff; stroke-width: 0.8"/><use href="#p" clip-path="url(#c)"/></svg>"""
    assert inline_svg("n", svg) == (
        '<svg stroke-linejoin="round" a="b" width="1"><defs></defs>\n'
        '<path id="n-p" fill="#fff" stroke-width="0.8"/><use href="#n-p" clip-path="url(#n-c)"/></svg>'
    )


def test_ids_of_figures_are_unique_and_consistent() -> None:
    tags = Tags(page(chart("first"), chart("second")))
    ids = list(tags.values("id"))
    assert len(ids) == len(set(ids))
    inner = {value for name in ("xlink:href", "clip-path") for value in tags.values(name)}
    assert inner
    assert {re.sub(r"url\(#(.*)\)|#", r"\1", value) for value in inner} <= set(ids)


def test_links_in_the_contents_work_with_duplicate_titles() -> None:
    tags = Tags(page(Paragraph("x")))
    anchors = [value for value in tags.values("href") if value.startswith("#")]
    assert anchors[:4] == ["#speed-report", "#speed-report", "#speed-report-one-b", "#speed-report-appendix-queries"]
    assert {anchor[1:] for anchor in anchors} <= set(tags.values("id"))
    report = Report("r", "R", (Section("S", ()), Section("S", ()), Section("S!", ())))
    tags = Tags(html.render("t", (report,), {"r": "PASS"}, {}))
    assert [attrs["id"] for tag, attrs in tags.found if tag == "section"] == ["r-s", "r-s-1", "r-s-2"]


def test_tables_scroll_numbers_align_right_and_the_verdict_is_on_top() -> None:
    text = page(Table(("Where", "n"), (("a | b", "20"),), ("n",), "n = 20"))
    table = text[text.index('<div class="table"') : text.index("</table>")]
    assert table.splitlines() == [
        '<div class="table" tabindex="0" role="group" aria-label="Table: One: &lt;b&gt;">',
        "<table>",
        '<thead><tr><th scope="col">Where</th><th scope="col" class="number">n</th></tr></thead>',
        "<tbody>",
        '<tr><td>a | b</td><td class="number">20</td></tr>',
        "</tbody>",
    ]
    assert '<a href="#speed-report">Speed: <strong class="verdict fail">FAIL</strong></a>' in page(Paragraph("x"))


def test_a_figure_that_was_not_drawn_is_left_out() -> None:
    report = Report("r", "R", (Section("S", (chart("c"),)),))
    assert "<figure" not in html.render("t", (report,), {"r": "PASS"}, {})

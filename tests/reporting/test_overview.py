"""The pictures of the dashboards: every query readable in the box of its panel."""

from __future__ import annotations

from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest

from reelbench.monitoring.dashboards import dashboards
from reelbench.monitoring.grafana import Dashboard, Row
from reelbench.monitoring.overview import svg
from reelbench.reporting.catalogue.prices import load_prices
from reelbench.reporting.catalogue.sli_file import load

SVG = "{http://www.w3.org/2000/svg}"
BOARDS = dashboards(load(), load_prices())
MONOSPACE = 0.602
"""Width of a letter of DejaVu Sans Mono, the widest of the fonts, in parts of its size."""


def boxes(board: Dashboard) -> list[tuple[ET.Element, list[ET.Element]]]:
    """Each rectangle of a panel with the texts that follow it."""
    found: list[tuple[ET.Element, list[ET.Element]]] = []
    for element in ET.fromstring(svg(board)):  # noqa: S314 - our own drawing
        if element.tag == f"{SVG}rect" and "stroke" in element.attrib:
            found.append((element, []))
        elif found and element.get("font-size") in {"9", "10", "12"}:
            found[-1][1].append(element)
    return found


def number(element: ET.Element, key: str) -> float:
    return float(element.attrib[key])


@pytest.mark.parametrize("board", BOARDS.values(), ids=lambda board: board.title)
def test_every_panel_shows_its_title_and_its_queries_whole_or_with_a_mark_that_they_go_on(board: Dashboard) -> None:
    panels = [panel for panel in board.panels if not isinstance(panel, Row)]
    drawn = boxes(board)
    assert len(drawn) == len(panels)
    for panel, (_, texts) in zip(panels, drawn, strict=True):
        assert " ".join(text.text or "" for text in texts if text.get("font-size") == "12") == panel.title
        shown: dict[str, str] = {}
        for text in texts:
            if text.get("font-size") != "9":
                continue
            if "font-weight" in text.attrib:
                shown[letter := text.text or ""] = ""
            else:
                shown[letter] += "".join((text.text or "").split())
        assert list(shown) == [target.ref_id for target in panel.targets]
        for target in panel.targets:
            query = next((q for q in (target.expr, target.query) if isinstance(q, str)), "service graph of Tempo")
            whole, part = "".join(query.split()), shown[target.ref_id]
            assert part == whole or (part.endswith("…") and whole.startswith(part[:-1]) and len(part) > 300)


@pytest.mark.parametrize("board", BOARDS.values(), ids=lambda board: board.title)
def test_words_lie_within_their_box_and_boxes_do_not_overlap(board: Dashboard) -> None:
    drawn = boxes(board)
    for box, texts in drawn:
        left, top = number(box, "x"), number(box, "y")
        right, bottom = left + number(box, "width"), top + number(box, "height")
        for text in texts:
            assert left < number(text, "x")
            assert top + number(text, "font-size") <= number(text, "y") < bottom
            if "font-family" in text.attrib:
                assert number(text, "x") + len(text.text or "") * MONOSPACE * number(text, "font-size") < right
        lines = [number(text, "y") for text in texts if "font-family" in text.attrib]
        assert all(later - earlier >= 11 for earlier, later in pairwise(lines))
    frames = [(number(b, "x"), number(b, "y"), number(b, "width"), number(b, "height")) for b, _ in drawn]
    for index, (x, y, width, _) in enumerate(frames):
        for other_x, other_y, other_width, other_height in frames[:index]:
            beside = x >= other_x + other_width or other_x >= x + width
            assert beside or y >= other_y + other_height


def test_two_drawings_have_the_same_bytes() -> None:
    again = dashboards(load(), load_prices())
    assert [svg(board) for board in again.values()] == [svg(board) for board in BOARDS.values()]

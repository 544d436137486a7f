"""Text from a target is harmless in every place where it is printed."""

from __future__ import annotations

import csv
import io
import xml.etree.ElementTree as ET
from collections.abc import Callable

import pytest

from reelbench.loadgen.record.foreign_text import MAX_LINE, harmless, one_line
from reelbench.reporting.document.report import Bullets, Code, Paragraph, Report, Section, Table
from reelbench.reporting.document.text import literal
from reelbench.reporting.render import html, junit, latex, markdown
from reelbench.reporting.render.csv import guarded, tables_csv

ESCAPE, C1 = "\x1b[31m\x1b]0;title\x07", "\x9b2J\x90q\x9c"
BIDI, HIDDEN = "\u202egnp.exe\u202c\u2066\u2069\u200f", "\u200b\ufeff\U000e0041"
HOSTILE = f"a{ESCAPE}b{C1}c{BIDI}d{HIDDEN}e\u2028f\ud800g"
ACTIVE = set("".join(filter(lambda character: not character.isprintable(), HOSTILE)))
FORMULA = "=cmd|' /C calc'!A0"


def report(text: str) -> Report:
    """A report that a part has forgotten to clean."""
    blocks = Paragraph(text), Bullets((text,)), Code(text), Table(("column",), ((text,),))
    return Report("performance_report", "Title", (Section("Section", blocks),))


def as_csv(text: str) -> str:
    return "".join(tables_csv([report(text)]).values())


PLACES: dict[str, Callable[[str], str]] = {
    "terminal and logs": one_line,
    "literal": literal,
    "Markdown": lambda text: markdown.render(report(text), charts=False),
    "HTML": lambda text: html.render("Title", [report(text)], {"performance_report": "PASS"}, {}),
    "LaTeX": latex.escape,
    "CSV": as_csv,
    "CSV of results": guarded,
    "JUnit": junit._clean,
}


@pytest.mark.parametrize("place", PLACES)
def test_no_control_character_reaches_an_output(place: str) -> None:
    printed = PLACES[place](HOSTILE)
    assert len(ACTIVE) >= 15
    assert ACTIVE & set(printed) == set()
    assert "gnp.exe" in printed
    printed.encode()  # without half surrogates


def test_scripts_and_signs_of_reports_stay() -> None:
    for text in ("±1 ≤ 2 ≥ 3", "1\u202f000\u00a0ms", "\u0645\u06cc\u200c\u062e", "👩\u200d🚀", "tab\tline\nend"):
        assert harmless(text) == text


def test_a_line_is_bounded_and_one_line() -> None:
    assert one_line("a\r\nb\tc\x85d") == "a b c d"
    assert one_line("x" * 1000) == "x" * (MAX_LINE - 3) + "..."


def test_formulas_stay_text_behind_control_characters_too() -> None:
    for text in (FORMULA, f"\x00{FORMULA}", f"\u200b{FORMULA}", "\ufeff@SUM(1)", "+1+1", "-2+3", f"\u202e{FORMULA}"):
        (row,) = csv.reader(io.StringIO(guarded(text) + "\n"))
        assert row[0].startswith("'"), text
    for number in ("-1.5", "+3", "1e-9", "-"):
        assert guarded(number) == number


def test_junit_stays_xml() -> None:
    element = ET.Element("case", message=junit._clean(HOSTILE + '<&"]]>'))
    read = ET.fromstring(ET.tostring(element))  # noqa: S314 - made here
    assert read.get("message", "").endswith('<&"]]>')

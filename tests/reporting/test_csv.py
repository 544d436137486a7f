from __future__ import annotations

import csv
import io

from reelbench.loadgen.record.foreign_text import harmless
from reelbench.reporting.document.report import Paragraph, Report, Section, Table
from reelbench.reporting.render.csv import guarded, tables_csv
from reelbench.reporting.render.names import named_tables


def made(title: str, *tables_: Table) -> Section:
    return Section(title, (Paragraph("Text."), *tables_))


ONE = Table(("a",), (("1",),))
SPEED = (made("Response time", ONE, ONE), made("None", Table(("a",), ())))
FOLDED = Section("Speed: Queries", (ONE,), folded=True)
APPENDIX = Report("appendix", "A", (made("Speed: Workload", ONE), FOLDED))
NAMED = Table(("a",), (("2",),), name="speed response_time 2")
REPORTS = (Report("speed_report", "S", SPEED), Report("other_report", "O", (made("X", NAMED),)), APPENDIX)


def test_table_names_are_unique() -> None:
    assert [(t.name, t.folded) for t in named_tables(REPORTS)] == [
        ("speed_response_time", False),
        ("speed_response_time_2", False),
        ("speed_response_time_2_2", False),
        ("speed_workload", False),
        ("speed_queries", True),
    ]


def test_cells_are_never_formulas_and_numbers_stay_numbers() -> None:
    for text in ("=1+1", "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1"):
        assert guarded(text) == f"'{harmless(text)}"
    for text in ("-0.5", "+0.031", "-1e-05", "-", "a=1", ""):
        assert guarded(text) == text


def test_a_table_is_a_plain_text_file() -> None:
    table = Table(("Where", "P95 [s]"), (('a, "b"', "**1.5**"), ("`x|y`", "=2")), ("P95 [s]",), "*caption*")
    text = tables_csv((Report("r_report", "R", (Section("T", (table,)),)),))["r_t"]
    assert list(csv.reader(io.StringIO(text))) == [["Where", "P95 [s]"], ['a, "b"', "1.5"], ["x|y", "'=2"]]

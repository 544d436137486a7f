from __future__ import annotations

import pytest

from reelbench.reporting.render.cells import split


def columns(name: str, *cells: str) -> dict[str, list[str]]:
    """The columns that one column of a table becomes."""
    names, rows = split((name,), [[cell] for cell in cells])
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))


@pytest.mark.parametrize(
    ("name", "cells", "found"),
    [
        ("n", ("1,234", "-"), {"n": ["1234", ""]}),
        ("Change %", ("+0.5", "-4.0", "0.0"), {"Change %": ["0.5", "-4.0", "0.0"]}),
        ("P99 [s]", ("1.021*", "0.9"), {"P99 [s]": ["1.021", "0.9"], "P99 [s]: open above": ["yes", "no"]}),
        ("P95 [s]", ("≥ 3.000", "-"), {"P95 [s]": ["3.000", ""], "P95 [s]: open above": ["yes", ""]}),
        (
            "95 % CI",
            ("0.592 to 0.650", "from 0.413, no upper limit", "n too small for an interval", "-"),
            {"95 % CI: lower": ["0.592", "0.413", "", ""], "95 % CI: upper": ["0.650", "", "", ""]},
        ),
        (
            "Success % (95 % CI)",
            ("100.0 (47.8 to 100.0)", "-"),
            {
                "Success %": ["100.0", ""],
                "Success % (95 % CI): lower": ["47.8", ""],
                "Success % (95 % CI): upper": ["100.0", ""],
            },
        ),
        ("Hit", ("5 of 55", "9 of 9"), {"Hit": ["5", "9"], "Hit: of": ["55", "9"]}),
        ("Where", ("n01", "5 of 55"), {"Where": ["n01", "5 of 55"]}),
        ("Value", ("431 ms", "95 %", "-"), {"Value": ["431", "95", ""], "Value: unit": ["ms", "%", ""]}),
        (
            "Objective",
            ("≤ 2 s", "≥ 10 jobs/s"),
            {"Objective: sign": ["≤", "≥"], "Objective": ["2", "10"], "Objective: unit": ["s", "jobs/s"]},
        ),
        (
            "95 % CI",
            ("83.16 % to 100 %", "from 423 ms", "up to 2 s", "fixed by design"),
            {
                "95 % CI: lower": ["83.16", "423", "", ""],
                "95 % CI: upper": ["100", "", "2", ""],
                "95 % CI: unit": ["%", "ms", "s", ""],
                "95 % CI: remark": ["", "", "", "fixed by design"],
            },
        ),
        ("Range", ("950 ms to 1.2 s",), {"Range": ["950 ms to 1.2 s"]}),  # of two units
        ("Queue [s]", ("0.003 (1 %)", "-"), {"Queue [s]": ["0.003", ""], "Queue [s]: %": ["1", ""]}),
        ("Nothing", ("-", "-"), {"Nothing": ["-", "-"]}),
    ],
)
def test_a_column_of_numbers_holds_nothing_but_numbers(
    name: str, cells: tuple[str, ...], found: dict[str, list[str]]
) -> None:
    assert columns(name, *cells) == found


def test_an_empty_table_keeps_its_columns() -> None:
    names, rows = split(("a", "b"), [])
    assert (list(names), list(rows)) == (["a", "b"], [])

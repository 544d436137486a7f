"""Findings as cells of tables and as sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from reelbench.reporting.compare.records import Finding, Indicator, Unpaired, Verdict
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Table
from reelbench.reporting.statistics.intervals import Interval

T = TypeVar("T")
_CLEAR = frozenset({Verdict.WORSE, Verdict.BETTER, Verdict.DIFFERS})
ONE_SIDE = "data on one side only"
POINTS = "pp"
"""Percentage points: the unit of a difference of two shares."""
PLACE: Mapping[str, Callable[[Indicator], str]] = {"Indicator": lambda i: i.title, "Where": lambda i: i.place}


def table(
    records: Iterable[T], columns: Mapping[str, Callable[[T], str]], numeric: tuple[str, ...] = (), caption: str = ""
) -> Table:
    """Return a table with a row for each record and a column for each function."""
    rows = tuple(tuple(cell(record) for cell in columns.values()) for record in records)
    return Table(tuple(columns), rows, numeric, caption)


def tested(findings: list[Finding], names: tuple[str, str], caption: str) -> Table:
    """Return the findings that were tested, with test, effect and verdict."""
    columns = {
        **_sides(names),
        "n": _n,
        "Difference (95 % CI)": change,
        "Relative % (95 % CI)": relative,
        "Test": lambda f: f.test or text.NONE,
        "Effect": effect,
        "p corrected": lambda f: text.p_value(f.p_corrected),
        "Verdict": _verdict,
    }
    return table(findings, columns, (*names, "n", "Effect", "p corrected"), caption)


def every(findings: Iterable[Finding], alone: Iterable[Unpaired], names: tuple[str, str], caption: str) -> Table:
    """Return all findings with both values and their intervals, and the indicators of which only one side has data."""
    columns: dict[str, Callable[[Finding], str]] = {
        **PLACE,
        "Verdict": lambda f: f"**{f.verdict}**" if f.verdict in _CLEAR else str(f.verdict),
        f"{names[0]} (95 % CI)": lambda f: _value(f.run, f.run_interval, f.unit),
        f"{names[1]} (95 % CI)": lambda f: _value(f.baseline, f.baseline_interval, f.unit),
        "Difference (95 % CI)": change,
        "Relative % (95 % CI)": relative,
        "n": _n,
        "Effect": effect,
        "Test": lambda f: f.test or text.NONE,
        "p corrected": lambda f: text.p_value(f.p_corrected),
        "Why": lambda f: f.reason or text.NONE,
    }
    rows = [tuple(cell(f) for cell in columns.values()) for f in findings]
    for one in alone:
        values = (text.with_unit(value, one.unit) for value in (one.run, one.baseline))
        rows.append((one.title, one.place, ONE_SIDE, *values, *[text.NONE] * (len(columns) - 5)))
    heads = tuple(columns)
    return Table(heads, tuple(rows), (*heads[3:8], "p corrected"), caption, chosen=("Indicator", "Where", "Verdict"))


def untested(findings: list[Finding], names: tuple[str, str], caption: str, *, why: bool) -> Table:
    """Return the findings that could not be tested: both values, and optionally the reason of each."""
    columns = {**_sides(names), "Difference": change, "Relative %": relative}
    return table(findings, columns | ({"Why": lambda f: f.reason} if why else {}), names, caption)


def alike(findings: list[Finding], caption: str) -> Table:
    """Return the findings in which both sides are alike, so nothing was tested."""
    columns = {
        **PLACE,
        "Both": lambda f: text.with_unit(f.run, f.unit),
        "n": _n,
        "95 % CI of the difference": lambda f: limits(f.interval, lambda v: signed(v, f.unit)) or text.NONE,
    }
    return table(findings, columns, ("Both", "n"), caption)


def unpaired(found: Iterable[Unpaired], names: tuple[str, str], caption: str) -> Table:
    """Return the indicators of which only one side has data."""
    return table(found, _sides(names), names, caption)


def sentence(f: Finding) -> str:
    """Return a finding as running text."""
    if f.relative is None:
        by, interval = signed(f.difference, f.unit), limits(f.interval, lambda v: signed(v, f.unit))
    else:
        by, interval = f"{_percent(f.relative)} %", limits(f.relative_interval, _percent)
    certainty = (
        f"(95 % CI {interval or '? to ?'}); {effect(f)}, corrected p {text.p_value(f.p_corrected)}"
        if f.p_corrected is not None
        else "in every run"
    )
    values = f"{text.with_unit(f.run, f.unit)} against {text.with_unit(f.baseline, f.unit)}"
    return f"**{f.verdict}**: {f.title} in {f.place}, {values}, {by} {certainty}"


def change(f: Finding) -> str:
    """Return the difference with its interval, signed."""
    return _with(signed(f.difference, f.unit), limits(f.interval, lambda v: signed(v, f.unit)))


def relative(f: Finding) -> str:
    """Return the difference in per cent of the baseline, with its interval."""
    return text.NONE if f.relative is None else _with(_percent(f.relative), limits(f.relative_interval, _percent))


def effect(f: Finding) -> str:
    """Return the effect size: Cohen's h for shares, A12 for others."""
    if f.cohens_h is not None:
        return f"h {f.cohens_h:+.2f}"
    return f"A12 {f.a12:.2f}" if f.a12 is not None else text.NONE


def signed(value: float, unit: str) -> str:
    """Return a difference with its sign, of shares in percentage points."""
    if unit == "ratio":
        return f"{value * 100:+.1f} {POINTS}"
    shown = text.with_unit(value, unit)
    return shown if value < 0 else f"+{shown}"


def limits(interval: Interval, write: Callable[[float], str]) -> str:
    """Return both limits, with a question mark for one that is unknown; empty when both are."""
    if interval.lower is None and interval.upper is None:
        return ""
    return " to ".join("?" if limit is None else write(limit) for limit in (interval.lower, interval.upper))


def _sides(names: tuple[str, str]) -> dict[str, Callable[[Finding | Unpaired], str]]:
    return {
        **PLACE,
        names[0]: lambda f: text.with_unit(f.run, f.unit),
        names[1]: lambda f: text.with_unit(f.baseline, f.unit),
    }


def _value(value: float, interval: Interval, unit: str) -> str:
    return _with(text.with_unit(value, unit), limits(interval, lambda limit: text.with_unit(limit, unit)))


def _with(shown: str, interval: str) -> str:
    return f"{shown} ({interval})" if interval else shown


def _percent(share: float) -> str:
    return f"{share * 100:+.1f}"


def _n(f: Finding) -> str:
    mine, theirs = text.count(f.n_run), text.count(f.n_baseline)
    return mine if mine == theirs else f"{mine} / {theirs}"


def _verdict(f: Finding) -> str:
    word = f"**{f.verdict}**" if f.verdict in _CLEAR else str(f.verdict)
    return _with(word, f.reason)

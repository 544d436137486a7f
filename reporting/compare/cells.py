"""Findings as cells of a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from reelbench.reporting.compare.finding import Alone, Finding, Word
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Table
from reelbench.reporting.evidence.evidence import place_name
from reelbench.reporting.statistics.difference import NOWHERE
from reelbench.reporting.statistics.intervals import Interval

LEAST_P = 0.001
POINTS = "pp"
"""Percentage points: the unit of a difference of two shares."""


def tested(findings: list[Finding], names: tuple[str, str], caption: str) -> Table:
    """Those that were tested, with test, effect and verdict."""
    rows = tuple(
        (
            f.title,
            place_name(f.scenario, f.case, f.member),
            text.with_unit(f.run, f.unit),
            text.with_unit(f.baseline, f.unit),
            _n(f),
            change(f),
            relative(f),
            f.test or text.NONE,
            effect(f),
            p_value(f.p_corrected),
            _verdict(f),
        )
        for f in findings
    )
    columns = (
        "Indicator", "Where", *names, "n", "Difference (95 % CI)", "Relative % (95 % CI)", "Test", "Effect",
        "p corrected", "Verdict",
    )  # fmt: skip
    return Table(columns, rows, (*names, "n", "Effect", "p corrected"), caption)


def untested(findings: list[Finding], names: tuple[str, str], caption: str, *, why: bool) -> Table:
    """Those that could not be tested: both values, and why where that is not the same for all."""
    rows = tuple(
        (
            f.title,
            place_name(f.scenario, f.case, f.member),
            text.with_unit(f.run, f.unit),
            text.with_unit(f.baseline, f.unit),
            change(f),
            relative(f),
            *((f.reason,) if why else ()),
        )
        for f in findings
    )
    columns = ("Indicator", "Where", *names, "Difference", "Relative %", *(("Why",) if why else ()))
    return Table(columns, rows, names, caption)


def alike(findings: list[Finding], caption: str) -> Table:
    """Those in which both sides are alike, so that nothing was tested."""
    rows = tuple(
        (
            f.title,
            place_name(f.scenario, f.case, f.member),
            text.with_unit(f.run, f.unit),
            _n(f),
            _with_interval("", f.interval, f.unit).strip(" ()") or text.NONE,
        )
        for f in findings
    )
    columns = ("Indicator", "Where", "Both", "n", "95 % CI of the difference")
    return Table(columns, rows, columns[2:4], caption)


def alone(found: Sequence[Alone], names: tuple[str, str], caption: str) -> Table:
    """What one side alone has data of."""
    rows = tuple(
        (
            a.title,
            place_name(a.scenario, a.case, a.member),
            text.with_unit(a.run, a.unit),
            text.with_unit(a.baseline, a.unit),
        )
        for a in found
    )
    return Table(("Indicator", "Where", *names), rows, names, caption)


def sentence(f: Finding) -> str:
    """A finding in running text."""
    if f.relative is None:
        by, limits = (
            signed(f.difference, f.unit),
            [known(limit, lambda v: signed(v, f.unit)) for limit in _limits(f.interval)],
        )
    else:
        by, limits = f"{f.relative * 100:+.1f} %", [known(limit, _percent) for limit in _limits(f.relative_interval)]
    sure = (
        f"(95 % CI {limits[0]} to {limits[1]}); {effect(f)}, corrected p {p_value(f.p_corrected)}"
        if f.p_corrected is not None
        else "in every run"
    )
    return (
        f"**{f.verdict}**: {f.title} in {place_name(f.scenario, f.case, f.member)}, {text.with_unit(f.run, f.unit)} "
        f"against {text.with_unit(f.baseline, f.unit)}, {by} {sure}"
    )


def change(f: Finding) -> str:
    """The difference with its interval, signed."""
    return _with_interval(signed(f.difference, f.unit), f.interval, f.unit)


def relative(f: Finding) -> str:
    """The difference in per cent of the baseline, with its interval."""
    if f.relative is None:
        return text.NONE
    shown = f"{f.relative * 100:+.1f}"
    if f.relative_interval == NOWHERE:
        return shown
    lower, upper = (known(limit, _percent) for limit in _limits(f.relative_interval))
    return f"{shown} ({lower} to {upper})"


def effect(f: Finding) -> str:
    """Effect size: Cohen's h of shares, else A12."""
    if f.cohens_h is not None:
        return f"h {f.cohens_h:+.2f}"
    return f"A12 {f.a12:.2f}" if f.a12 is not None else text.NONE


def p_value(p: float | None) -> str:
    """A p value with three decimals."""
    if p is None:
        return text.NONE
    return f"< {LEAST_P:g}" if p < LEAST_P else f"{p:.3f}"


def signed(value: float, unit: str) -> str:
    """A difference with its sign; of shares in percentage points."""
    if unit == "ratio":
        return f"{value * 100:+.1f} {POINTS}"
    shown = text.with_unit(value, unit)
    return shown if value < 0 else f"+{shown}"


def _with_interval(shown: str, interval: Interval, unit: str) -> str:
    if interval == NOWHERE:
        return shown
    lower, upper = (known(limit, lambda v: signed(v, unit)) for limit in _limits(interval))
    return f"{shown} ({lower} to {upper})"


def known(limit: float | None, write: Callable[[float], str]) -> str:
    """A limit, or a question mark where the sample gives none."""
    return "?" if limit is None else write(limit)


def _percent(share: float) -> str:
    return f"{share * 100:+.1f}"


def _limits(interval: Interval) -> tuple[float | None, float | None]:
    return interval.lower, interval.upper


def _n(f: Finding) -> str:
    mine, theirs = text.count(f.n_run), text.count(f.n_baseline)
    return mine if mine == theirs else f"{mine} / {theirs}"


def _verdict(f: Finding) -> str:
    words = f"**{f.verdict}**" if f.verdict in {Word.WORSE, Word.BETTER} else str(f.verdict)
    return f"{words} ({f.reason})" if f.reason else words

"""Numbers and foreign words as text: sensible digits, units, a dash where there is no value, mark-up escaped."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime

from reelbench.loadgen.record.foreign_text import harmless
from reelbench.reporting.evidence.buckets import Bound
from reelbench.reporting.evidence.measurements import Measurement
from reelbench.reporting.statistics.censoring import Tail
from reelbench.reporting.statistics.intervals import Interval, Percentile, Proportion

NONE = "-"
LEAST_P = 0.001
LEAST = 1e-6
"""The smallest amount of money that is written out."""
_MARKS = re.compile(r"[\\`*\[\]<>&~]|(?<![^\W_])_|_(?![^\W_])")


def literal(foreign: str) -> str:
    """Escape what Markdown would take for mark-up, and put the text on one line."""
    return _MARKS.sub(lambda found: f"\\{found[0]}", " ".join(harmless(foreign).split()))


def seconds(value: float | None) -> str:
    """Seconds with milliseconds, for a column whose head names the unit."""
    return NONE if value is None else f"{value:,.3f}"


def job_rate(per_second: float | None) -> str:
    """Return a rate of jobs per second with its unit, per hour below 0.1 per second."""
    if per_second is None or per_second >= 0.1:  # noqa: PLR2004 - two digits show nothing of less
        return f"{number(per_second)} jobs/s"
    return f"{per_second * 3_600:.3g} jobs/h"


def length(value: float) -> str:
    """Return a length of time in a unit that is easy to read: 0.52 s, 75 s, 20 min, 2.5 h."""
    for size, unit in ((3_600.0, "h"), (60.0, "min")):
        if value >= 2 * size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.3g} s"


def milliseconds(value: float | None) -> str:
    """Seconds as milliseconds with a tenth, for a column whose head names the unit."""
    return NONE if value is None else f"{value * 1000:,.1f}"


def number(value: float | None, digits: int = 2) -> str:
    """A plain number."""
    return NONE if value is None else f"{value:,.{digits}f}"


def percent(value: float | None, digits: int = 1) -> str:
    """A ratio as per cent, without the sign."""
    return NONE if value is None else f"{value * 100:,.{digits}f}"


def count(value: float | None) -> str:
    """A whole number."""
    return NONE if value is None else f"{round(value):,}"


def counted(value: int, noun: str) -> str:
    """A whole number with what it counts, singular where it is one; the plural of the noun takes an s."""
    return f"{value:,} {noun}{'' if value == 1 else 's'}"


def listed(words: Sequence[str]) -> str:
    """Words in running text: commas, and an "and" before the last."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def interval(value: Interval, form: str = "s") -> str:
    """A confidence interval; a limit that the sample cannot give is said to be missing."""
    write = seconds if form == "s" else milliseconds
    if value.upper is None and value.lower is None:
        return "n too small for an interval"
    if value.upper is None:
        return f"from {write(value.lower)}, no upper limit"
    return f"{'-' if value.lower is None else write(value.lower)} to {write(value.upper)}"


def bucket(bound: Bound | None, form: str = "s") -> str:
    """The bucket that a quantile fell in; open above when it was the last one."""
    if bound is None:
        return NONE
    write = seconds if form == "s" else milliseconds
    return f"> {write(bound.lower)}" if bound.upper is None else f"{write(bound.lower)} to {write(bound.upper)}"


def quantile(measured: Measurement | None, form: str = "s") -> str:
    """A percentile of PromQL, never without the bucket that bounds its error."""
    if measured is None or measured.value is None:
        return NONE
    value = (seconds if form == "s" else milliseconds)(measured.value)
    return f"{value} (bucket {bucket(measured.bound, form)})"


def tail(value: Percentile) -> str:
    """A percentile in seconds, starred where the sample is too small for an upper limit."""
    return f"{seconds(value.value)}{'*' if value.interval.upper is None else ''}"


def censored(value: Tail | None) -> str:
    """A percentile in seconds, such as ``0.512``, or ``≥ 1.234`` where it falls among jobs that were cut off."""
    return NONE if value is None else f"{'≥ ' if value.at_least else ''}{seconds(value.value)}"


def censored_limits(value: Tail) -> str:
    """The interval of such a percentile in seconds."""
    lower, upper = value.interval.lower, value.interval.upper
    if upper is None:
        return NONE if lower is None else f"from {seconds(lower)}"
    return f"{seconds(lower)} to {seconds(upper)}"


def rate(value: Proportion | None) -> str:
    """A proportion as per cent with its interval and its counts."""
    if value is None:
        return NONE
    return f"{value.value * 100:.1f} ({value.lower * 100:.1f} to {value.upper * 100:.1f})"


def fraction(value: Proportion | None) -> str:
    """A proportion as its counts."""
    return NONE if value is None else f"{value.k:,} of {value.n:,}"


def quoted(value: Proportion) -> str:
    """A proportion in running text: per cent, interval and counts."""
    limits = f"{value.lower * 100:.1f} to {value.upper * 100:.1f} %"
    return f"**{value.value * 100:.1f} %** (95 % CI {limits}, {fraction(value)})"


def by_design(value: Proportion) -> str:
    """A proportion that a plan fixes, in running text: without an interval, as nothing was left to chance."""
    return f"**{value.value * 100:.1f} %** ({fraction(value)}; fixed by the plan, so without an interval)"


def p_value(p: float | None) -> str:
    """A p value with three decimals."""
    if p is None:
        return NONE
    return f"< {LEAST_P:g}" if p < LEAST_P else f"{p:.3f}"


def with_unit(value: float | None, unit: str) -> str:
    """A number in running text: per cent for ratios, ms below a second, four digits at most."""
    if value is None:
        return NONE
    if unit == "ratio":
        return f"{value * 100:.4g} %"
    if unit == "By":
        return amount(value)
    if unit == "s" and abs(value) < 1:
        return f"{value * 1000:.3g} ms"
    return f"{value:.4g} {unit}"


def amount(value: float | None) -> str:
    """Bytes with a decimal prefix: prices and objectives are in MB and GB."""
    if value is None:
        return NONE
    for prefix, unit in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if abs(value) >= unit:
            return f"{value / unit:.4g} {prefix}"
    return f"{value:.4g} B"


def megabytes(value: float | None, digits: int = 1) -> str:
    """Bytes as MB (10^6), for a column whose head names the unit."""
    return NONE if value is None else f"{round(value / 1e6, digits) + 0.0:,.{digits}f}"  # + 0.0: no -0.0


def money(value: float | None) -> str:
    """An amount of money with four significant digits, two to six decimals, without the currency."""
    if value is None:
        return NONE
    if 0 < abs(value) < LEAST:
        return f"< {LEAST:.6f}"
    digits = 2 if not value else min(max(2, 3 - math.floor(math.log10(abs(value)))), 6)
    return f"{value:,.{digits}f}"


def size(value: int) -> str:
    """Bytes with a binary prefix."""
    amount = float(value)
    for prefix in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:  # noqa: PLR2004 - the base of binary prefixes
            return f"{amount:.4g} {prefix}"
        amount /= 1024
    return f"{amount:.4g} TiB"


def instant(value: float | None) -> str:
    """A Unix time as UTC."""
    return NONE if value is None else datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def relative(value: float | None, reference: float | None) -> str:
    """How far a value is from its reference, in per cent with sign."""
    if value is None or not reference:
        return NONE
    text = f"{(value - reference) / reference * 100:+.1f}"
    return "0.0" if text in {"+0.0", "-0.0"} else text

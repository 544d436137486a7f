"""Quantities as users write them: lengths of time such as 1h30m, and values with a unit such as 120s or 95%."""

from __future__ import annotations

import re
from typing import Final

_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_VALUE = re.compile(r"([-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)\s*([A-Za-z%/]*)")
_UNITS: Final = {
    **_SECONDS,
    "": 1.0,
    "%": 0.01,
    "B": 1.0,
    "kB": 1e3,
    "MB": 1e6,
    "GB": 1e9,
    "KiB": 2.0**10,
    "MiB": 2.0**20,
    "GiB": 2.0**30,
    "/s": 1.0,
    "jobs/s": 1.0,
    "/min": 1 / 60,
    "/h": 1 / 3_600,
}
"""Unit to its size in the base unit: seconds, bytes, per second, or 1."""


_SHOWN: Final = {"s": "seconds", "By": "bytes", "ratio": "percent"}
_RATES: Final = frozenset({"/s", "jobs/s", "/min", "/h"})


class QuantityError(Exception):
    """Text that is no quantity; the message is the cure."""


def seconds(text: str) -> float:
    """Return a length of time such as ``90s``, ``20m`` or ``1h30m`` in seconds.

    Raises:
        QuantityError: the text is something else, or not above 0.
    """
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text.strip():
        raise QuantityError("write a length of time such as 90s, 20m or 1h30m")
    if (length := sum(float(number) * _SECONDS[unit] for number, unit in parts)) <= 0:
        raise QuantityError("write a length of time above 0")
    return length


def objective(text: str) -> tuple[str, float]:
    """Return the name of an indicator and the value of an objective such as ``p95_response_time=120s`` in base units.

    Raises:
        QuantityError: the text is something else.
    """
    name, equals, value = text.partition("=")
    found = _VALUE.fullmatch(value.strip())
    if not equals or not re.fullmatch(r"[a-z][a-z0-9_]*", name.strip()) or found is None:
        raise QuantityError("write an indicator and a value, such as p95_response_time=120s or success_rate=95%")
    number, unit = found.groups()
    if unit not in _UNITS:
        raise QuantityError(f"the unit {unit!r} is unknown; use one of {', '.join(filter(None, _UNITS))}")
    return name.strip(), float(number) * _UNITS[unit]


def must_measure(text: str, base: str) -> None:
    """Check that the unit of an objective such as ``p95_response_time=120s`` measures what a base unit measures.

    A value without a unit is one in the base unit. What is no objective passes: `objective` says what is wrong with it.

    Args:
        text: the objective.
        base: unit of the indicator in the catalogue, such as s, By, ratio or jobs/s.

    Raises:
        QuantityError: the unit measures something else.
    """
    found = _VALUE.fullmatch(text.partition("=")[2].strip())
    number, unit = found.groups() if found is not None else ("0", "")
    if base == "ratio" and not unit and float(number) > 1:
        raise QuantityError(f"is more than all; write {number}%")
    if not unit or unit not in _UNITS:
        return
    if unit == "%":
        fits = base == "ratio"
    elif unit in _SECONDS:
        fits = base == "s"
    elif unit in _RATES:
        fits = base.endswith("/s")
    else:
        fits = base == "By"
    if not fits:
        raise QuantityError(f"the unit {unit!r} does not fit an indicator in {_SHOWN.get(base, base)}")

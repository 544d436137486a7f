"""One row of a prompts file or of a trace of arrivals: what a job asks for, checked value by value."""

from __future__ import annotations

import difflib
import math
import re
import reprlib
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

Scalar = str | int | float | bool

TIMES: Final = frozenset({"at", "time", "timestamp"})
"""Columns with the time of an arrival."""
MAX_PROMPT: Final = 32_000
"""Most characters of a prompt."""
_MAX_TEXT: Final = 10_000
_MAX_EXTRA: Final = 50
_WHOLE: Final = 2**63
_EXTRA_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]{0,63}")
"""Names that need no escapes in a form."""
_SIZE: Final = re.compile(r"[1-9][0-9]{1,4}x[1-9][0-9]{1,4}")


class Ask(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a row of a prompts file or of a trace of arrivals asks for, in addition to prompt, length and size."""

    num_frames: int | None = None
    fps: float | None = None
    num_inference_steps: int | None = None
    seed: int | None = None
    guidance_scale: float | None = None
    negative_prompt: str | None = None
    quality: str | None = None
    extra: dict[str, str | int | float | bool] = {}
    """Further fields of the request, by the server's names."""


class Row(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Wishes of one row; None: as the scenario says, or as the built-in prompts have it."""

    number: int
    """Position in the file, as an editor or a spreadsheet counts."""
    prompt: str | None = None
    seconds: str | None = None
    size: str | None = None
    image: str | None = None
    """Path of an image or video as the file writes it; in a checked workload: the name of the reference."""
    weight: float = 1.0
    at: float | None = None
    """Time of arrival in seconds; Unix time where the file has dates."""
    ask: Ask | None = None

    def over(self, base: Row | None) -> Row:
        """Return this row with the wishes of another one where this row has none."""
        if base is None:
            return self
        return msgspec.structs.replace(
            self,
            prompt=self.prompt if self.prompt is not None else base.prompt,
            seconds=self.seconds or base.seconds,
            size=self.size or base.size,
            image=self.image or base.image,
            ask=merged(self.ask, base.ask),
        )


def read_row(number: int, cells: Mapping[str, Any], *, timed: bool) -> tuple[Row | None, list[str]]:
    """Check the columns and values of one row; return the row, or what is wrong with it.

    Args:
        number: position of the row in its file.
        cells: column to value, text from CSV, any value from JSON; empty values are left out.
        timed: the row is part of a trace, which needs a time and has no weights.
    """
    problems: list[str] = []
    found: dict[str, Any] = {}
    extra: dict[str, Scalar] = {}
    for column, value in cells.items():
        if value is None or value == "":
            continue
        if column == "extra" or column.startswith("extra."):
            problems += _read_extra(column, value, extra)
            continue
        field, parse = _COLUMNS[column]
        if field in found:
            problems.append(f"{column} is given twice, with another name; keep one of {', '.join(_names_of(field))}")
            continue
        try:
            found[field] = parse(value)
        except ValueError as error:
            problems.append(f"{column} is {reprlib.repr(value)}; {error}")
    if timed and "at" not in found and not problems:
        problems.append("has no time; add at, time or timestamp")
    if len(extra) > _MAX_EXTRA:
        problems.append(f"has {len(extra)} extra fields; use {_MAX_EXTRA} at most")
    if problems:
        return None, problems
    asked: dict[str, Any] = {name: found.pop(name) for name in Ask.__struct_fields__ if name in found}
    ask = Ask(extra=extra, **asked) if extra or asked else None
    return Row(number=number, ask=ask, **found), []


def unknown_column(column: str, *, timed: bool) -> str | None:
    """Say what is wrong with the name of a column; None: it is known."""
    if column == "extra" or (column.startswith("extra.") and _EXTRA_NAME.fullmatch(column[6:])):
        return None
    known = [name for name, (field, _) in _COLUMNS.items() if field != ("weight" if timed else "at")]
    if column in known:
        return None
    shown = reprlib.repr(column)
    if column.startswith("extra."):
        return f"column {shown}: the name of an extra field has letters, digits and _ . - only; correct it"
    if column in _COLUMNS:
        return f"column {shown} belongs to {'--prompts' if timed else '--arrivals'}; remove it"
    near = difflib.get_close_matches(column, known, n=1)
    cure = f"did you mean {near[0]}?" if near else f"use {', '.join(known)}, or extra.NAME for a field of the server"
    return f"column {shown} is unknown; {cure}"


def _read_extra(column: str, value: Any, extra: dict[str, Scalar]) -> list[str]:
    """Add the further fields of a column to `extra`; return what is wrong with them."""
    fields: Any = {column[6:]: value} if column != "extra" else value
    if column == "extra" and isinstance(value, str):
        try:
            fields = msgspec.json.decode(value)
        except (msgspec.DecodeError, RecursionError):
            fields = None
    if not isinstance(fields, dict):
        return [f'extra is {reprlib.repr(value)}; write a JSON object such as {{"flow_shift": 3}}']
    problems = []
    for name, one in fields.items():
        if not _EXTRA_NAME.fullmatch(name):
            problems.append(f"extra.{reprlib.repr(name)}: use letters, digits and _ . - in the name")
        elif name in _COLUMNS and name not in TIMES:
            problems.append(f"extra.{name} is a column of its own; write {name}")
        elif not isinstance(one, Scalar) or (isinstance(one, float) and not math.isfinite(one)):
            problems.append(f"extra.{name} is {reprlib.repr(one)}; write text, a number, true or false")
        elif isinstance(one, str) and (len(one) > _MAX_TEXT or "\0" in one):
            problems.append(f"extra.{name} is {reprlib.repr(one)}; use up to {_MAX_TEXT:,} characters")
        else:
            extra[name] = one
    return problems


def _text(most: int) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        if not isinstance(value, str) or not value.strip() or "\0" in value:
            raise ValueError("write text")
        if len(value) > most:
            raise ValueError(f"it has {len(value):,} characters, use {most:,} at most")
        return value

    return parse


def _number(low: float, high: float, *, above: bool = False) -> Callable[[Any], float]:
    wanted = f"write a number {'above' if above else 'from'} {low:g} {'and up ' if above else ''}to {high:,.12g}"

    def parse(value: Any) -> float:
        number = _as_number(value, wanted)
        if not low <= number <= high or (above and number == low):
            raise ValueError(wanted)
        return number

    return parse


def _whole(low: int, high: int) -> Callable[[Any], int]:
    wanted = "write a whole number" + ("" if high >= _WHOLE - 1 else f" from {low:,} to {high:,}")

    def parse(value: Any) -> int:
        if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,20}", value.strip()):
            value = int(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ValueError(wanted)
        return value

    return parse


def _as_number(value: Any, wanted: str = "write a number") -> float:
    try:
        number = math.nan if isinstance(value, bool) or not isinstance(value, str | int | float) else float(value)
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(wanted)
    return number


def _seconds(value: Any) -> str:
    """Return a length as text, as the API has it: 5 and not 5.0."""
    number = _LENGTH(value)
    return str(int(number)) if number.is_integer() else repr(number)


def _size(value: Any) -> str:
    if not isinstance(value, str) or not _SIZE.fullmatch(value.strip()):
        raise ValueError("write width x height in pixels, such as 1280x720")
    return value.strip()


def _time(value: Any) -> float:
    """Return seconds, or the Unix time of a date; a date without a zone is in UTC."""
    try:
        number = _as_number(value)
    except ValueError:
        try:
            date = datetime.fromisoformat(value.strip())
        except (ValueError, AttributeError):
            raise ValueError("write seconds, or a date such as 2026-11-28T09:00:00Z") from None
        return (date if date.tzinfo else datetime.fromisoformat(f"{date.isoformat()}+00:00")).timestamp()
    if number < 0:
        raise ValueError("write 0 or more seconds")
    return number


def merged(ours: Ask | None, base: Ask | None) -> Ask | None:
    """Return the wishes of one source, with those of another one where the first has none."""
    if ours is None or base is None:
        return ours or base
    values = {name: value for one in (base, ours) for name, value in _given(one).items()}
    return Ask(**values | {"extra": base.extra | ours.extra})


def _given(ask: Ask) -> dict[str, Any]:
    values = msgspec.structs.asdict(ask)
    return {name: value for name, value in values.items() if value is not None and name != "extra"}


def _names_of(field: str) -> list[str]:
    return [name for name, (known, _) in _COLUMNS.items() if known == field]


_LENGTH = _number(0, 3_600, above=True)
_COLUMNS: Final[dict[str, tuple[str, Callable[[Any], Any]]]] = {
    "prompt": ("prompt", _text(MAX_PROMPT)),
    "text": ("prompt", _text(MAX_PROMPT)),
    "size": ("size", _size),
    "seconds": ("seconds", _seconds),
    "num_frames": ("num_frames", _whole(1, 100_000)),
    "frames": ("num_frames", _whole(1, 100_000)),
    "fps": ("fps", _number(0, 1_000, above=True)),
    "num_inference_steps": ("num_inference_steps", _whole(1, 10_000)),
    "steps": ("num_inference_steps", _whole(1, 10_000)),
    "seed": ("seed", _whole(-_WHOLE, _WHOLE - 1)),
    "guidance_scale": ("guidance_scale", _number(0, 1_000)),
    "negative_prompt": ("negative_prompt", _text(MAX_PROMPT)),
    "quality": ("quality", _text(100)),
    "image": ("image", _text(1_000)),
    "weight": ("weight", _number(0, 1_000_000)),
    **dict.fromkeys(sorted(TIMES), ("at", _time)),
}
"""Column -> field of the row, and its parser, which raises ValueError with the cure."""

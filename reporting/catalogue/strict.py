"""Frozen records from a parsed file: types and msgspec constraints are checked, and every mistake is reported."""

from __future__ import annotations

import difflib
import functools
import reprlib
from collections.abc import Collection
from datetime import date
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec

T = TypeVar("T", bound=msgspec.Struct)
_WORDS = {
    str: "text (in quotes if it looks like a number)",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    date: "a day such as 2026-11-24",
}
_SHOWN = 4
"""Most values of a choice that a message lists in full."""

Finite = Annotated[float, msgspec.Meta(ge=-1e308, le=1e308, description="a finite number")]
NotNegative = Annotated[float, msgspec.Meta(ge=0, le=1e308, description="a number of 0 or more")]
Text = Annotated[str, msgspec.Meta(pattern=r"\S", description="text that is not empty")]


def build(kind: type[T], raw: Any, place: str, errors: list[str]) -> T | None:
    """Build a record from a mapping; None when there is an error in it.

    Args:
        kind: The record. A constraint (`msgspec.Meta`) has a description, which messages name as the cure.
        raw: What was read.
        place: Where it stands, for messages; empty for a whole file.
        errors: Gets one line for each mistake, with its cure.
    """
    if not isinstance(raw, dict):
        errors.append(f"{place} is {reprlib.repr(raw)}; write keys with values")
        return None
    before = len(errors)
    fields = _fields(kind)
    start = f"{place}: " if place else ""
    errors.extend(f"{start}unknown key {key!r}; {near(key, fields)}" for key in raw if key not in fields)
    missing = [name for name, field in fields.items() if field.required and name not in raw]
    errors.extend(f"{start}the key {name!r} is missing; add it" for name in missing)
    values = {
        name: _value(field.type, raw[name], f"{start}{name}", errors) for name, field in fields.items() if name in raw
    }
    return kind(**values) if len(errors) == before else None


@functools.cache  # msgspec evaluates the annotations anew each time: most of the time of reading a catalogue
def _fields(kind: type[msgspec.Struct]) -> dict[str, msgspec.structs.FieldInfo]:
    return {field.name: field for field in msgspec.structs.fields(kind)}


def near(word: Any, known: Collection[str], otherwise: str = "remove it") -> str:
    """Return the cure of an unknown word: the known word most like it, or `otherwise`."""
    found = difflib.get_close_matches(str(word), known, n=1)
    return f"did you mean {found[0]!r}?" if found else otherwise


def _value(kind: Any, raw: Any, place: str, errors: list[str]) -> Any:
    if isinstance(kind, UnionType) or get_origin(kind) is Union:  # a key may be left out, but its value not be empty
        (kind,) = (one for one in get_args(kind) if one is not NoneType)
    bare = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    if isinstance(bare, type) and issubclass(bare, msgspec.Struct):
        return build(bare, raw, place, errors)
    if get_origin(bare) is tuple and isinstance(raw, list) and raw:
        return tuple(_value(get_args(bare)[0], item, f"{place}: {n}", errors) for n, item in enumerate(raw, 1))
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError:
        errors.append(f"{place} is {reprlib.repr(raw)}; {_cure(kind, bare, raw)}")
        return None


def _cure(kind: Any, bare: Any, raw: Any) -> str:
    if bare is not kind:
        return f"write {next(meta.description for meta in get_args(kind)[1:] if meta.description)}"
    if get_origin(bare) is tuple:
        return "write a list"
    if get_origin(bare) is Literal:
        return _choice(raw, get_args(bare))
    if isinstance(bare, type) and issubclass(bare, Enum):
        return _choice(raw, [member.value for member in bare])
    return f"write {_WORDS[bare]}"


def _choice(raw: Any, values: Collection[str]) -> str:
    if len(values) <= _SHOWN:
        return f"write {' or '.join(values)}"
    return near(raw, values, f"write one of {', '.join(values)}")

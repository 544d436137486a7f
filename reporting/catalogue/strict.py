"""Turns what a file says into a frozen record, and names every mistake instead of the first one alone."""

from __future__ import annotations

import difflib
import functools
import reprlib
from collections.abc import Collection
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec

T = TypeVar("T", bound=msgspec.Struct)
_WORDS = {
    str: "text (in quotes if it looks like a number)",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
}


def build(kind: type[T], raw: Any, place: str, errors: list[str]) -> T | None:
    """Build a record of a mapping; None when there is an error in it.

    Args:
        kind: The record.
        raw: What was read.
        place: Where it stands, for messages.
        errors: Gets one line for each mistake, with its cure.
    """
    if not isinstance(raw, dict):
        errors.append(f"{place} is {reprlib.repr(raw)}; write keys with values")
        return None
    before = len(errors)
    fields = _fields(kind)
    errors.extend(f"{place}: unknown key {key!r}; {near(key, fields)}" for key in raw if key not in fields)
    missing = [name for name, field in fields.items() if field.required and name not in raw]
    errors.extend(f"{place}: the key {name!r} is missing; add it" for name in missing)
    values = {
        name: _value(field.type, raw[name], f"{place}: {name}", errors) for name, field in fields.items() if name in raw
    }
    return kind(**values) if len(errors) == before else None


@functools.cache  # msgspec evaluates the annotations anew each time: most of the time of reading a catalogue
def _fields(kind: type[msgspec.Struct]) -> dict[str, msgspec.structs.FieldInfo]:
    return {field.name: field for field in msgspec.structs.fields(kind)}


def near(word: Any, known: Collection[str], otherwise: str = "remove it") -> str:
    """What to do about a word that is not known, with `otherwise` where no other is like it."""
    found = difflib.get_close_matches(str(word), known, n=1)
    return f"did you mean {found[0]!r}?" if found else otherwise


def _value(kind: Any, raw: Any, place: str, errors: list[str]) -> Any:
    if isinstance(kind, UnionType) or get_origin(kind) is Union:  # what may be left out, but not be empty
        (kind,) = (one for one in get_args(kind) if one is not NoneType)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return build(kind, raw, place, errors)
    if get_origin(kind) is tuple:
        if isinstance(raw, list):
            return tuple(_value(get_args(kind)[0], item, f"{place}: {n}", errors) for n, item in enumerate(raw, 1))
        errors.append(f"{place} is {reprlib.repr(raw)}; write a list")
        return None
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError:
        wanted = " or ".join(get_args(kind)) if get_origin(kind) is Literal else _WORDS[kind]
        errors.append(f"{place} is {reprlib.repr(raw)}; write {wanted}")
        return None

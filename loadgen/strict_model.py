"""Strict models of YAML files: no unknown keys, and every mistake in plain words with its cure."""

from __future__ import annotations

import difflib
import reprlib
from types import NoneType, UnionType
from typing import Annotated, Any, TypeGuard, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from reelbench.loadgen.strict_yaml import dotted

M = TypeVar("M", bound=BaseModel)


class Strict(BaseModel):
    """No unknown keys, no conversion between types, no change after loading."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def keys(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return the fields of a model by their keys in the file."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def inner(annotation: Any) -> tuple[Any, bool]:
    """Return the type within Annotated, optional and tuple, and whether it is a list."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return inner(get_args(annotation)[0])
    if origin is tuple:
        return inner(get_args(annotation)[0])[0], True
    if origin in {Union, UnionType}:
        return inner(next(part for part in get_args(annotation) if part is not NoneType))
    return annotation, False


def is_model(kind: Any) -> TypeGuard[type[BaseModel]]:
    """Return whether a type is a mapping with known keys."""
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def model_at(root: type[BaseModel], location: tuple[int | str, ...]) -> type[BaseModel] | None:
    """Return the model at a location of the file, such as ``("cases", 0, "burst")``; None: no known keys there."""
    model = root
    for key in location:
        if isinstance(key, str):
            field = keys(model).get(key)
            kind = inner(field.annotation)[0] if field is not None else None
            if not is_model(kind):
                return None
            model = kind
    return model


_OWN = frozenset({"rate", "command"})
"""Errors of the models' own checks, whose message is the cure."""
_WANTED = {
    "int_type": "a whole number",
    "bool_type": "true or false",
    "float_type": "a number",
    "string_type": "text (in quotes if it looks like a number)",
    "tuple_type": "a list",
    "dict_type": "keys with values",
    "model_type": "keys with values",
}


def validate(root: type[M], raw: Any, errors: list[str]) -> M | None:
    """Return the model of a mapping; None with one line in `errors` for each mistake, with its place and cure."""
    try:
        return root.model_validate(raw)
    except ValidationError as error:
        details = error.errors(include_url=False)
        errors += [f"{dotted(detail['loc'])}: {_explain(root, detail)}" for detail in details]
        return None


def _explain(root: type[BaseModel], detail: ErrorDetails) -> str:
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    shown = reprlib.repr(value)
    if kind == "missing":
        return "is missing; add it"
    if kind == "extra_forbidden":
        return _unknown_key(root, detail["loc"])
    if kind == "literal_error":
        return f"is {shown}; use {context['expected']}"
    if kind in _OWN:
        return f"is {shown}; {detail['msg']}"
    if kind in _WANTED:
        return f"is {shown}; write {_WANTED[kind]}"
    return f"is {shown}; {detail['msg'].replace('Input should', 'it should')}"


def _unknown_key(root: type[BaseModel], location: tuple[int | str, ...]) -> str:
    model = model_at(root, location[:-1])
    known = list(keys(model)) if model is not None else []
    near = difflib.get_close_matches(str(location[-1]), known, n=1)
    return f"unknown key; did you mean {near[0]}?" if near else f"unknown key; remove it, or use {', '.join(known)}"

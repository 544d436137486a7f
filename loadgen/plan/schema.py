"""Access to the models of a scenario file by the keys of the file."""

from __future__ import annotations

from types import NoneType, UnionType
from typing import Annotated, Any, TypeGuard, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from reelbench.loadgen.plan.scenario import PerProfile


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


def by_profile(kind: Any) -> TypeGuard[type[PerProfile[Any]]]:
    """Return whether a type is a number for each profile."""
    return is_model(kind) and issubclass(kind, PerProfile)


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

"""Fault plans: the targets, kinds and rates of injected faults."""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic_core import ErrorDetails

from reelbench.service.json_keys import repeated_key

Fields = Mapping[str, Any]
"""The fields of a kind with their defaults; an ellipsis marks a required field."""
MAX_BYTES = 64 * 1024
"""Size limit of a plan: the check of a larger plan would delay the calls that are measured."""
LONGEST = 600
"""Maximum seconds of a stall or an added latency."""
LONGEST_LIFE = 3600
"""Maximum seconds of a lifetime."""
KINDS: Mapping[str, Fields] = {
    "outage": {"rate": 1.0},
    "stall": {"rate": 1.0, "seconds": 60.0},
    "error": {"rate": 1.0, "status": 500},
    "corrupt": {"rate": 1.0},
    "latency": {"rate": 1.0, "seconds": ...},
}
"""All kinds, in the order in which rules apply: a rule sees the calls that earlier rules did not hit."""
_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
_FIELDS = {
    "rate": Annotated[float, Field(gt=0, le=1)],
    "status": Annotated[int, Field(ge=400, le=599)],
    "seconds": Annotated[float, Field(ge=0, le=LONGEST)],
}
_INT64 = 1 << 63
_SHOWN = 40
_MESSAGE = 200
"""Characters of a name and of a message that an error repeats."""


class FaultsError(Exception):
    """A refused request to a fault endpoint; `param` names the wrong field, if there is one."""

    def __init__(self, message: str, *, param: str | None = None, code: str, status: int = 400) -> None:
        super().__init__(message)
        self.param = param
        self.code = code
        self.status = status


@dataclass(frozen=True, eq=False)
class Offer:
    """The targets and kinds that one application supports."""

    targets: tuple[str, ...]
    """permitted values of `provider` in a rule"""
    kinds: Mapping[str, Fields]
    """in the order in which rules apply"""


class Rule(msgspec.Struct, frozen=True):
    """One fault of one target."""

    provider: str
    """one of the targets of the offer"""
    kind: str
    """one of the kinds of the offer"""
    rate: float = 1.0
    """share of the calls that the fault hits"""
    status: int | None = None
    """HTTP status of an error"""
    seconds: float | None = None
    """maximum length of a stall, or the added latency"""


class Plan(msgspec.Struct, frozen=True):
    """The faults that are active at one time."""

    seed: int = 0
    rules: tuple[Rule, ...] = ()
    lifetime: float | None = None
    """seconds until the plan ends; without a lifetime it stays until it is replaced"""


def read(body: bytes, offer: Offer) -> Plan:
    """Read a plan from JSON.

    Raises:
        FaultsError: the body is not JSON or not a plan; the message lists all errors.
    """
    if len(body) > MAX_BYTES:
        raise FaultsError(f"A fault plan has at most {MAX_BYTES} bytes.", code="plan_too_large", status=413)
    try:
        checked = _model(offer).model_validate_json(body).model_dump()
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        if problems[0]["type"] == "json_invalid":
            raise FaultsError(
                f"The body is not valid JSON: {problems[0]['ctx']['error']}.", code="invalid_json"
            ) from error
        raise _invalid([(_place(problem), problem["msg"]) for problem in problems]) from error
    if (name := repeated_key(body)) is not None:
        raise _invalid([(name[:_SHOWN], "The name occurs twice")])
    rules = tuple(Rule(**rule) for rule in checked["rules"])
    first: dict[tuple[str, str], int] = {}
    repeated = [
        (f"rules[{number}]", f"Provider and kind are those of rules[{earlier}]")
        for number, rule in enumerate(rules)
        if (earlier := first.setdefault((rule.provider, rule.kind), number)) != number
    ]
    if repeated:
        raise _invalid(repeated)
    return Plan(checked["seed"], rules, checked.get("lifetime"))


@functools.cache
def _model(offer: Offer) -> type[BaseModel]:
    """Return the strict schema of the plans that `offer` permits."""
    kinds = []
    for kind, defaults in offer.kinds.items():
        types = _FIELDS | ({"rate": Annotated[float, Field(ge=1, le=1)]} if kind == "outage" else {})
        fields: dict[str, Any] = {name: (types[name], default) for name, default in defaults.items()}
        fields |= {"provider": (Literal[offer.targets], ...), "kind": (Literal[kind], ...)}
        kinds.append(create_model(kind, __config__=_STRICT, **fields))
    rule: Any = Annotated[functools.reduce(operator.or_, kinds), Field(discriminator="kind")]
    return create_model(
        "Plan",
        __config__=_STRICT,
        seed=(Annotated[int, Field(ge=-_INT64, lt=_INT64)], ...),
        rules=(list[rule], ...),
        lifetime=(Annotated[float, Field(gt=0, le=LONGEST_LIFE)], None),
    )


def _place(problem: ErrorDetails) -> str:
    """Return where a problem is, like ``rules[0].rate``."""
    match problem["loc"]:
        case ("rules", number):
            return f"rules[{number}]{'.kind' if problem['type'].startswith('union_tag') else ''}"
        case ("rules", number, _, field):
            return f"rules[{number}].{str(field)[:_SHOWN]}"
        case place:
            return str(place[0])[:_SHOWN] if place else "the body"


def _invalid(problems: list[tuple[str, str]]) -> FaultsError:
    count = f"{len(problems)} error{'s' if len(problems) > 1 else ''}"
    text = "; ".join(f"{place}: {message[:_MESSAGE]}" for place, message in problems)
    return FaultsError(f"The fault plan has {count}: {text}.", param=problems[0][0], code="invalid_fault_plan")

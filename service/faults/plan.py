"""Fault plans: the targets, kinds and rates of injected faults."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

Fields = Mapping[str, float | int | None]
"""The fields of a kind with their defaults; None marks a required field."""
MAX_BYTES = 64 * 1024
"""Size limit of a plan: the check of a larger plan would delay the calls that are measured."""
LONGEST = 600
"""Maximum seconds of a stall or an added latency."""
LONGEST_LIFE = 3600
"""Maximum seconds of a lifetime."""
_REQUIRED = None
KINDS: Mapping[str, Fields] = {
    "outage": {"rate": 1.0},
    "stall": {"rate": 1.0, "seconds": 60.0},
    "error": {"rate": 1.0, "status": 500},
    "corrupt": {"rate": 1.0},
    "latency": {"rate": 1.0, "seconds": _REQUIRED},
}
"""All kinds, in the order in which rules apply: a rule sees the calls that earlier rules did not hit."""
_STATUSES = range(400, 600)
_SHOWN = 40


class FaultsError(Exception):
    """A refused request to a fault endpoint; `param` names the wrong field, if there is one."""

    def __init__(self, message: str, *, param: str | None = None, code: str, status: int = 400) -> None:
        super().__init__(message)
        self.param = param
        self.code = code
        self.status = status


@dataclass(frozen=True, slots=True)
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
        data = msgspec.json.decode(body)
    except msgspec.ValidationError as error:
        raise FaultsError(f"{str(error).partition(' - at ')[0]}.", code="invalid_value") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise FaultsError(f"The body is not valid JSON: {error}.", code="invalid_json") from error
    except RecursionError as error:
        raise FaultsError("The body is nested too deeply to be a fault plan.", code="invalid_json") from error
    problems = list(_problems(data, offer))
    if problems:
        raise FaultsError(
            f"The fault plan has {len(problems)} error{'s' if len(problems) > 1 else ''}: "
            + "; ".join(f"{problem.place} {problem.text}" for problem in problems)
            + ".",
            param=problems[0].place,
            code="invalid_fault_plan",
        )
    rules = (msgspec.convert({**offer.kinds[rule["kind"]], **rule}, Rule) for rule in data["rules"])
    return Plan(data["seed"], tuple(rules), data.get("lifetime"))


@dataclass(frozen=True, slots=True)
class _Problem:
    place: str
    text: str


@dataclass(frozen=True, slots=True)
class _Field:
    fits: Callable[[Any], bool]
    wanted: str


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_PLAN = {
    "seed": _Field(lambda value: _integer(value) and -(1 << 63) <= value < 1 << 63, "an integer of 64 bits"),
    "rules": _Field(lambda value: isinstance(value, list), "a list of rules"),
    "lifetime": _Field(
        lambda value: _number(value) and 0 < value <= LONGEST_LIFE, f"a number above 0 and at most {LONGEST_LIFE}"
    ),
}
_RULE = {
    "rate": _Field(lambda value: _number(value) and 0 < value <= 1, "a number above 0 and at most 1"),
    "status": _Field(lambda value: _integer(value) and value in _STATUSES, "a status from 400 to 599"),
    "seconds": _Field(lambda value: _number(value) and 0 <= value <= LONGEST, f"a number from 0 to {LONGEST}"),
}


def _among(names: tuple[str, ...]) -> _Field:
    return _Field(lambda value: value in names, f"one of {', '.join(names)}" if len(names) > 1 else names[0])


def _problems(data: object, offer: Offer) -> Iterator[_Problem]:
    if not isinstance(data, dict):
        yield _Problem("the body", 'must be an object like {"seed": 1, "rules": []}')
        return
    yield from _wrong(data, _PLAN, "")
    yield from (_Problem(name, "is missing") for name in ("seed", "rules") if name not in data)
    rules = data.get("rules")
    fields = {"provider": _among(offer.targets), "kind": _among(tuple(offer.kinds)), **_RULE}
    first: dict[tuple[str, str], str] = {}
    for number, rule in enumerate(rules if isinstance(rules, list) else []):
        place = f"rules[{number}]"
        if not isinstance(rule, dict):
            yield _Problem(place, "must be an object")
            continue
        yield from _wrong(rule, fields, f"{place}.")
        yield from _unfit(rule, place, offer)
        if all(name in rule and fields[name].fits(rule[name]) for name in ("provider", "kind")):
            earlier = first.setdefault((rule["provider"], rule["kind"]), place)
            if earlier != place:
                yield _Problem(place, f"has the provider and the kind of {earlier}")


def _wrong(data: dict[str, Any], fields: dict[str, _Field], prefix: str) -> Iterator[_Problem]:
    for name, value in data.items():
        if name not in fields:
            yield _Problem(f"{prefix}{name[:_SHOWN]}", "is not a field")
        elif not fields[name].fits(value):
            yield _Problem(f"{prefix}{name}", f"is {_shown(value)} and must be {fields[name].wanted}")


def _shown(value: object) -> str:
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    return msgspec.json.encode(value).decode()[:_SHOWN]


def _unfit(rule: dict[str, Any], place: str, offer: Offer) -> Iterator[_Problem]:
    """Yield the missing and the unsupported fields of this kind."""
    yield from (_Problem(f"{place}.{name}", "is missing") for name in ("provider", "kind") if name not in rule)
    kind = rule.get("kind")
    if not isinstance(kind, str) or kind not in offer.kinds:
        return
    fields = offer.kinds[kind]
    for name, default in fields.items():
        if default is _REQUIRED and name not in rule:
            yield _Problem(f"{place}.{name}", f"is missing; the kind '{kind}' needs it")
    for name in ("status", "seconds"):
        if name in rule and name not in fields:
            yield _Problem(f"{place}.{name}", f"is not a field of the kind '{kind}'")
    rate = rule.get("rate", 1)
    if kind == "outage" and _RULE["rate"].fits(rate) and rate != 1:
        yield _Problem(f"{place}.rate", "must be left out, or 1: an outage refuses every call")

"""A fault plan: which provider fails how often, and in which way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from service.providers.errors import Refusal, from_decoding

PROVIDERS = ("llm", "tts", "image")
LONGEST = 600
"""Seconds that a stall or an added latency takes at most."""
_REQUIRED = None
_DEFAULTS: dict[str, dict[str, float | int | None]] = {
    "outage": {"rate": 1.0},
    "stall": {"rate": 1.0, "seconds": 60.0},
    "error": {"rate": 1.0, "status": 500},
    "corrupt": {"rate": 1.0},
    "latency": {"rate": 1.0, "seconds": _REQUIRED},
}
"""The fields of each kind, with their defaults."""
KINDS = tuple(_DEFAULTS)
"""In the order in which rules are asked: a rule sees the calls that those before it let pass."""
_STATUSES = frozenset((429, *range(500, 600)))
_SHOWN = 40


class Rule(msgspec.Struct, frozen=True):
    """One fault of one provider."""

    provider: str
    """llm, tts or image"""
    kind: str
    """outage, stall, error, corrupt or latency"""
    rate: float = 1.0
    """share of the calls that is hit"""
    status: int | None = None
    """HTTP status, of an error"""
    seconds: float | None = None
    """length of a stall at most, or what a latency adds"""


class Plan(msgspec.Struct, frozen=True):
    """The faults in force at one time."""

    seed: int = 0
    rules: tuple[Rule, ...] = ()


def read(body: bytes) -> Plan:
    """Read a plan from JSON.

    Raises:
        Refusal: the body is not JSON, or not a plan; it names every error, not just the first.
    """
    try:
        data = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise from_decoding(error) from error
    except RecursionError as error:
        raise Refusal("The body is nested too deeply to be a fault plan.", code="invalid_json") from error
    problems = list(_problems(data))
    if problems:
        raise Refusal(
            f"The fault plan has {len(problems)} error{'s' if len(problems) > 1 else ''}: "
            + "; ".join(f"{problem.place} {problem.text}" for problem in problems)
            + ".",
            param=problems[0].place,
            code="invalid_fault_plan",
        )
    rules = (msgspec.convert(_DEFAULTS[rule["kind"]] | rule, Rule) for rule in data["rules"])
    return Plan(data["seed"], tuple(rules))


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
}
_RULE = {
    "provider": _Field(lambda value: value in PROVIDERS, f"one of {', '.join(PROVIDERS)}"),
    "kind": _Field(lambda value: value in KINDS, f"one of {', '.join(KINDS)}"),
    "rate": _Field(lambda value: _number(value) and 0 < value <= 1, "a number above 0 and at most 1"),
    "status": _Field(lambda value: _integer(value) and value in _STATUSES, "429 or 500 to 599"),
    "seconds": _Field(lambda value: _number(value) and 0 <= value <= LONGEST, f"a number from 0 to {LONGEST}"),
}


def _problems(data: object) -> Iterator[_Problem]:
    if not isinstance(data, dict):
        yield _Problem("the body", 'must be an object like {"seed": 1, "rules": []}')
        return
    yield from _wrong(data, _PLAN, "")
    yield from (_Problem(name, "is missing") for name in _PLAN if name not in data)
    rules = data.get("rules")
    first: dict[tuple[str, str], str] = {}
    for number, rule in enumerate(rules if isinstance(rules, list) else []):
        place = f"rules[{number}]"
        if not isinstance(rule, dict):
            yield _Problem(place, "must be an object")
            continue
        yield from _wrong(rule, _RULE, f"{place}.")
        yield from _unfit(rule, place)
        provider, kind = rule.get("provider"), rule.get("kind")
        if provider in PROVIDERS and kind in KINDS and (earlier := first.setdefault((provider, kind), place)) != place:
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


def _unfit(rule: dict[str, Any], place: str) -> Iterator[_Problem]:
    """Yield the fields that this kind must have and has not, or has and must not have."""
    yield from (_Problem(f"{place}.{name}", "is missing") for name in ("provider", "kind") if name not in rule)
    kind = rule.get("kind")
    if kind not in KINDS:
        return
    fields = _DEFAULTS[kind]
    for name, default in fields.items():
        if default is _REQUIRED and name not in rule:
            yield _Problem(f"{place}.{name}", f"is missing; the kind '{kind}' needs it")
    for name in ("status", "seconds"):
        if name in rule and name not in fields:
            yield _Problem(f"{place}.{name}", f"is not a field of the kind '{kind}'")
    rate = rule.get("rate", 1)
    if kind == "outage" and _RULE["rate"].fits(rate) and rate != 1:
        yield _Problem(f"{place}.rate", "must be left out, or 1: an outage refuses every call")

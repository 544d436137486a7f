"""Entries of the catalogue as they were read: what can be checked of each, however wrong the rest of it is."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Collection
from string import Template
from typing import Any

from reelbench.reporting.catalogue.strict import near

METRIC = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\{")
"""A metric with a selector in a query."""
PLACEHOLDERS = {
    "case": ("run_id", "scenario", "case", "window"),
    "scenario": ("run_id", "scenario", "window"),
    "run": ("run_id", "window"),
}
"""What a query may hold, by its scope."""
_PLURALS = {"sli": "slis", "reading": "readings"}


def named(key: str, raw: Any, errors: list[str]) -> list[tuple[str, dict[Any, Any]]]:
    """The mappings of a list, each with its name for messages."""
    if not isinstance(raw, list):
        errors.append(f"{_PLURALS[key]} is {reprlib.repr(raw)}; write a list")
        return []
    ids: set[str] = set()
    found = []
    for number, entry in enumerate(raw, 1):
        if not isinstance(entry, dict):
            errors.append(f"{key} number {number} is {reprlib.repr(entry)}; write keys with values")
            continue
        name = entry.get("id")
        if not isinstance(name, str):
            found.append((f"{key} number {number}", entry))
            continue
        if name in ids:
            errors.append(f"{key} {name}: duplicate id; give each its own")
        ids.add(name)
        found.append((f"{key} {name}", entry))
    return found


def check_texts(
    place: str, entry: dict[Any, Any], ids: set[str], metrics: Collection[str] | None, errors: list[str]
) -> None:
    """Check what other mistakes of an entry do not hide: its queries, and the indicator that it names."""
    asks = "function" if entry.get("source") == "records" else "query"
    if asks not in entry:
        errors.append(f"{place}: the key {asks!r} is missing; add it")
    for key in ("query", "buckets"):
        if isinstance(text := entry.get(key), str) and asks == "query":
            _check_template(f"{place}: {key}", text, entry.get("scope"), errors)
            check_metrics(f"{place}: {key}", text, metrics, errors)
    if isinstance(n := entry.get("n"), str) and n not in ids:
        errors.append(f"{place}: n names {n!r}, which is no indicator; {near(n, ids, 'name one')}")


def _check_template(place: str, template: str, scope: Any, errors: list[str]) -> None:
    names = PLACEHOLDERS.get(scope, PLACEHOLDERS["case"]) if isinstance(scope, str) else PLACEHOLDERS["case"]
    used = Template(template)
    if not used.is_valid():
        errors.append(f"{place}: has a $ that begins no placeholder; a literal $ is written $$")
    errors += [
        f"{place}: unknown placeholder ${name} for scope {scope}; {near(name, names)}"
        for name in used.get_identifiers()
        if name not in names
    ]


def check_metrics(place: str, text: str, metrics: Collection[str] | None, errors: list[str]) -> None:
    """Check that a query names metrics, and none but those; None = any."""
    if not (names := dict.fromkeys(METRIC.findall(text))):
        errors.append(f"{place}: names no metric with a selector in braces")
    if metrics is not None:
        errors += [f"{place}: {unknown_metric(name, metrics)}" for name in names if name not in metrics]


def unknown_metric(name: str, known: Collection[str]) -> str:
    """The complaint about a metric that nobody has."""
    return f"unknown metric {name!r}; {near(name, known, 'correct it, or declare it first')}"

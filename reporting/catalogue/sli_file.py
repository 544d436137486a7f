"""The file of the catalogue: strictly read, all errors at once."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Collection, Iterator
from functools import lru_cache
from pathlib import Path
from string import Template
from typing import Any

from reelbench.loadgen.strict_yaml import UnreadableError, parse_mapping, read_bytes
from reelbench.reporting.catalogue.sli import METRIC, PLACES, Catalogue, Kind, Reading, Samples, Sli
from reelbench.reporting.catalogue.strict import build, near

CATALOGUE_FILE = Path(__file__).with_name("slis.yaml")
VERSION = 1
PLACEHOLDERS = {scope: (*labels, "window") for scope, labels in PLACES.items()}
"""What a query may hold, by its scope."""
_SELECTOR = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\{[^{}]*\}")
_HEAD = ("version", "readings", "slis")
_SCOPES = {Samples.RESPONSE_TIMES: "case", Samples.REQUEST_DURATIONS: "scenario"}
"""Where samples are kept."""


class CatalogueError(Exception):
    """A catalogue that cannot be used; `errors` holds every error, the message all of them, one a line."""

    def __init__(self, *errors: str) -> None:
        super().__init__("\n".join(errors))
        self.errors = list(errors)


def load(
    path: Path = CATALOGUE_FILE,
    *,
    needed: Collection[str] = (),
    metrics: Collection[str] | None = None,
    placeholders: Collection[str] = (),
) -> Catalogue:
    """Read a catalogue.

    Args:
        path: The file.
        needed: Ids of indicators that must be there.
        metrics: The metrics that queries may name; None = any.
        placeholders: What a query may hold besides the places and the window.

    Raises:
        CatalogueError: with every error of the file, one a line.
    """
    try:
        data = read_bytes(path)
    except UnreadableError as error:
        raise CatalogueError(f"{path}: {error}") from error
    return _parsed(data, path, frozenset(needed), None if metrics is None else frozenset(metrics), tuple(placeholders))


@lru_cache(maxsize=4)  # a comparison of many runs reads its one catalogue once for all
def _parsed(
    data: bytes, path: Path, needed: frozenset[str], metrics: frozenset[str] | None, placeholders: tuple[str, ...]
) -> Catalogue:
    """Build the catalogue from the bytes of a file; `path` is for messages."""
    try:
        document, errors = parse_mapping(data, "catalogue", "version", ours=not placeholders)
    except UnreadableError as error:
        raise CatalogueError(f"{path}: {error}") from error
    errors += [f"unknown key {key!r}; {near(key, _HEAD)}" for key in document if key not in _HEAD]
    errors += [f"the key {key!r} is missing; add it" for key in ("version", "slis") if key not in document]
    if document.get("version", VERSION) != VERSION:
        errors.append(f"version is {document['version']!r}, this Reelbench reads version {VERSION}")
    entries = _named("sli", document.get("slis", []), errors)
    sli_ids = {entry["id"] for _, entry in entries if isinstance(entry.get("id"), str)}
    slis = []
    for place, entry in entries:
        _check_texts(place, entry, sli_ids, metrics, errors, placeholders=placeholders)
        if sli := build(Sli, entry, place, errors):
            slis.append(sli)
            errors += (f"{place}: {problem}" for problem in _problems(sli))
    errors += _contradictions(slis)
    readings = []
    for place, entry in _named("reading", document.get("readings", []), errors):
        if reading := build(Reading, entry, place, errors):
            readings.append(reading)
            if not _SELECTOR.fullmatch(reading.selector):
                errors.append(f"{place}: selector must be a metric with a selector in braces and nothing more")
            _check_metrics(f"{place}: selector", reading.selector, metrics, errors)
    errors += [
        f"the dashboards need the indicator {name!r}, which is missing; put it back"
        for name in sorted(needed - sli_ids)
    ]
    if errors:
        raise CatalogueError(*(f"{path}: {error}" for error in errors))
    return Catalogue(tuple(slis), tuple(readings))


def _named(key: str, raw: Any, errors: list[str]) -> list[tuple[str, dict[Any, Any]]]:
    """Return the mappings of a list, each with its name for messages."""
    if not isinstance(raw, list):
        errors.append(f"{key}s is {reprlib.repr(raw)}; write a list")
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


def _check_texts(
    place: str,
    entry: dict[Any, Any],
    ids: set[str],
    metrics: Collection[str] | None,
    errors: list[str],
    *,
    placeholders: tuple[str, ...],
) -> None:
    """Check the queries of an entry and the indicator that n names, independently of its other keys."""
    asks = "function" if entry.get("source") == "records" else "query"
    if asks not in entry:
        errors.append(f"{place}: the key {asks!r} is missing; add it")
    for key in ("query", "buckets"):
        if isinstance(text := entry.get(key), str) and asks == "query":
            _check_template(f"{place}: {key}", text, entry.get("scope"), errors, placeholders)
            _check_metrics(f"{place}: {key}", text, metrics, errors)
    if isinstance(n := entry.get("n"), str) and n not in ids:
        errors.append(f"{place}: n names {n!r}, which is no indicator; {near(n, ids, 'name one')}")


def _check_template(place: str, template: str, scope: Any, errors: list[str], more: tuple[str, ...]) -> None:
    names = PLACEHOLDERS.get(scope, PLACEHOLDERS["case"]) if isinstance(scope, str) else PLACEHOLDERS["case"]
    names = (*names, *more)
    used = Template(template)
    if not used.is_valid():
        errors.append(f"{place}: has a $ that begins no placeholder; a literal $ is written $$")
    errors += [
        f"{place}: unknown placeholder ${name} for scope {scope}; {near(name, names)}"
        for name in used.get_identifiers()
        if name not in names
    ]


def _check_metrics(place: str, text: str, metrics: Collection[str] | None, errors: list[str]) -> None:
    """Check that a query names at least one metric, and only known ones; None = any."""
    if not (names := dict.fromkeys(METRIC.findall(text))):
        errors.append(f"{place}: names no metric with a selector in braces")
    if metrics is not None:
        errors += [f"{place}: {unknown_metric(name, metrics)}" for name in names if name not in metrics]


def unknown_metric(name: str, known: Collection[str]) -> str:
    """Return the message about a metric that is not declared."""
    return f"unknown metric {name!r}; {near(name, known, 'correct it, or declare it first')}"


def _problems(sli: Sli) -> Iterator[str]:
    """Yield what keys of one indicator say against each other."""
    yield from _problems_of_records(sli) if sli.source == "records" else _problems_of_query(sli)
    if sli.objective and (strangers := set(sli.objective.members) - set(sli.by.members if sli.by else ())):
        yield f"objective: members {', '.join(sorted(strangers))} are not among those of by"
    if sli.objective and sli.direction:
        yield "direction is that of the objective; leave it out"
    if sli.key and sli.objective is None:
        yield "key needs an objective, which alone can fail"
    if sli.samples and sli.kind not in {Kind.MEAN, Kind.QUANTILE}:
        yield f"samples needs kind mean or quantile, it is {sli.kind}"
    if sli.samples and sli.scope != _SCOPES[sli.samples]:
        yield f"samples {sli.samples} needs scope {_SCOPES[sli.samples]}, it is {sli.scope}"


def _problems_of_records(sli: Sli) -> Iterator[str]:
    if sli.scope != "scenario":
        yield f"source records needs scope scenario, it is {sli.scope}"
    given = {
        "query": sli.query,
        "buckets": sli.buckets,
        "quantile": sli.quantile,
        "by": sli.by,
        "n": sli.n,
        "per_second": sli.per_second or None,
        "samples": sli.samples,
    }
    yield from (f"source records has no {key}" for key, value in given.items() if value is not None)


def _problems_of_query(sli: Sli) -> Iterator[str]:
    if sli.function is not None:
        yield "function needs source records"
    if (sli.quantile is None) != (sli.buckets is None):
        yield "quantile and buckets belong together"
    if (sli.quantile is None) == (sli.kind is Kind.QUANTILE):
        yield "kind quantile and the key quantile belong together"
    if sli.kind in {Kind.SHARE, Kind.COUNT} and sli.n is None:
        yield f"kind {sli.kind} needs n, the indicator that counts the events"
    if sli.per_second and sli.kind is not Kind.RATE:
        yield f"per_second needs kind rate, it is {sli.kind}"
    if sli.per_second and sli.scope != "case":
        yield "per_second needs scope case, only a case has a recorded length"
    if sli.min_n and sli.n is None:
        yield "min_n needs n, the indicator that gives the sample size"


def _contradictions(slis: list[Sli]) -> Iterator[str]:
    """Yield what indicators say against each other."""
    known = {sli.id: sli for sli in reversed(slis)}
    roles: dict[str, str] = {}
    for sli in slis:
        if sli.role is not None and (first := roles.setdefault(sli.role, sli.id)) != sli.id:
            yield f"sli {sli.id}: role {sli.role} is that of {first}; give a role once"
        first_of = known.get(sli.follows or "")
        if sli.follows is not None and (first_of is None or first_of.follows is not None):
            yield f"sli {sli.id}: follows names {sli.follows!r}, which is no indicator, or follows another one"
        source = known.get(sli.n or "")
        if source is None:
            continue
        if source.source == "records":
            yield f"sli {sli.id}: n names {sli.n!r}, which is no query"
        elif (source.scope, source.by, source.scenarios, source.subject) != (
            sli.scope,
            sli.by,
            sli.scenarios,
            sli.subject,
        ):
            yield f"sli {sli.id}: n names {sli.n!r}, which differs in scope, by or scenarios"

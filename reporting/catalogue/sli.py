"""The catalogue of service level indicators: strictly loaded, all errors at once."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from pathlib import Path
from string import Template
from typing import Literal

import msgspec

from reelbench.loadgen.strict_yaml import UnreadableError, parse_mapping, read_bytes
from reelbench.reporting.analysis.record_slis import FUNCTIONS
from reelbench.reporting.catalogue.entries import METRIC, check_metrics, check_texts, named
from reelbench.reporting.catalogue.strict import build, near

CATALOGUE_FILE = Path(__file__).with_name("slis.yaml")
VERSION = 1
_SELECTOR = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\{[^{}]*\}")
_HEAD = ("version", "readings", "slis")


class CatalogueError(Exception):
    """A catalogue that cannot be used; `errors` holds every error, the message all of them, one a line."""

    def __init__(self, *errors: str) -> None:
        super().__init__("\n".join(errors))
        self.errors = list(errors)


class Objective(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a value must hold, and where it is judged."""

    value: float
    direction: Literal["at_most", "at_least"]
    scenarios: tuple[str, ...] = ()
    """Scenarios where it is judged; none = wherever the indicator is measured."""
    concurrency: int | None = None
    """Judge only the cases with this many jobs in flight."""
    members: tuple[str, ...] = ()
    """Judge only these members of an indicator that is split; none = all."""


class By(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A label of the answer, and the values of it that are expected."""

    label: str
    members: tuple[str, ...]


class Sli(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One indicator. The fields are explained at the head of the catalogue file."""

    id: str
    title: str
    unit: str
    dimension: Literal["performance", "reliability", "resources", "every"]
    section: str
    scope: Literal["case", "scenario", "run"]
    why: str
    source: Literal["prometheus", "records"] = "prometheus"
    query: str | None = None
    function: str | None = None
    scenarios: tuple[str, ...] = ()
    by: By | None = None
    per_second: bool = False
    quantile: float | None = None
    buckets: str | None = None
    n: str | None = None
    min_n: int = 0
    objective: Objective | None = None
    direction: Literal["at_most", "at_least"] | None = None
    key: bool = False

    @property
    def better(self) -> str | None:
        """Which way is better, at_most or at_least; None when neither is, so that runs are not compared by it."""
        return self.objective.direction if self.objective else self.direction

    def of(self, dimension: str) -> bool:
        """True when it belongs to a dimension."""
        return self.dimension in {dimension, "every"}

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics that the queries read, in order of appearance."""
        return tuple(dict.fromkeys(METRIC.findall(f"{self.query or ''} {self.buckets or ''}")))

    def fill(self, template: str, values: Mapping[str, str]) -> str:
        """Put values for the placeholders into one of the two templates, quoted for a PromQL string."""
        return Template(template).substitute(
            {name: value.replace("\\", r"\\").replace('"', r"\"") for name, value in values.items()}
        )


class Reading(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Raw samples of a metric through a case. The fields are explained at the head of the catalogue file."""

    id: str
    title: str
    unit: str
    dimension: Literal["performance", "reliability", "resources"]
    selector: str
    why: str


class Catalogue(msgspec.Struct, frozen=True):
    """All indicators and readings in the order of the file."""

    slis: tuple[Sli, ...]
    readings: tuple[Reading, ...] = ()

    def get(self, sli: str) -> Sli:
        """The indicator of this id; KeyError when there is none."""
        for entry in self.slis:
            if entry.id == sli:
                return entry
        raise KeyError(sli)


def load(
    path: Path = CATALOGUE_FILE, *, needed: Collection[str] = (), metrics: Collection[str] | None = None
) -> Catalogue:
    """Read a catalogue.

    Args:
        path: The file.
        needed: Indicators that must be there.
        metrics: The metrics that queries may name; None = any.

    Raises:
        CatalogueError: with every error of the file, one a line.
    """
    try:
        data = read_bytes(path)
    except UnreadableError as error:
        raise CatalogueError(f"{path}: {error}") from error
    return _parsed(data, path, frozenset(needed), None if metrics is None else frozenset(metrics))


@lru_cache(maxsize=4)  # a comparison of many runs reads its one catalogue once for all
def _parsed(data: bytes, path: Path, needed: frozenset[str], metrics: frozenset[str] | None) -> Catalogue:
    """The catalogue that these bytes are; `path` is for messages."""
    try:
        document, errors = parse_mapping(data, "catalogue", "version", ours=True)
    except UnreadableError as error:
        raise CatalogueError(f"{path}: {error}") from error
    errors += [f"unknown key {key!r}; {near(key, _HEAD)}" for key in document if key not in _HEAD]
    errors += [f"the key {key!r} is missing; add it" for key in ("version", "slis") if key not in document]
    if document.get("version", VERSION) != VERSION:
        errors.append(f"version is {document['version']!r}, this Reelbench reads version {VERSION}")
    entries = named("sli", document.get("slis", []), errors)
    sli_ids = {entry["id"] for _, entry in entries if isinstance(entry.get("id"), str)}
    slis = []
    for place, entry in entries:
        check_texts(place, entry, sli_ids, metrics, errors)
        if sli := build(Sli, entry, place, errors):
            slis.append(sli)
            _check_alone(sli, place, errors)
    _check_together(slis, errors)
    readings = []
    for place, entry in named("reading", document.get("readings", []), errors):
        if reading := build(Reading, entry, place, errors):
            readings.append(reading)
            if not _SELECTOR.fullmatch(reading.selector):
                errors.append(f"{place}: selector must be a metric with a selector in braces and nothing more")
            check_metrics(f"{place}: selector", reading.selector, metrics, errors)
    errors += [
        f"the dashboards need the indicator {name!r}, which is missing; put it back"
        for name in sorted(needed - sli_ids)
    ]
    if errors:
        raise CatalogueError(*(f"{path}: {error}" for error in errors))
    return Catalogue(tuple(slis), tuple(readings))


def _check_alone(sli: Sli, name: str, errors: list[str]) -> None:
    (_check_records if sli.source == "records" else _check_query)(sli, name, errors)
    if sli.objective and (strangers := set(sli.objective.members) - set(sli.by.members if sli.by else ())):
        errors.append(f"{name}: objective: members {', '.join(sorted(strangers))} are not among those of by")
    if sli.objective and not math.isfinite(sli.objective.value):
        errors.append(f"{name}: objective: value must be a finite number, it is {sli.objective.value}")
    if sli.min_n < 0:
        errors.append(f"{name}: min_n must not be negative, it is {sli.min_n}")
    if sli.by and not sli.by.members:
        errors.append(f"{name}: by: members is empty; name the values that are expected")
    if sli.objective and sli.direction:
        errors.append(f"{name}: direction is that of the objective; leave it out")
    if sli.key and sli.objective is None:
        errors.append(f"{name}: key needs an objective, which alone can fail")


def _check_records(sli: Sli, name: str, errors: list[str]) -> None:
    if sli.function is not None and sli.function not in FUNCTIONS:
        errors.append(f"{name}: function {sli.function!r} is not known, it must be one of {', '.join(FUNCTIONS)}")
    if sli.scope != "scenario":
        errors.append(f"{name}: source records needs scope scenario, it is {sli.scope}")
    given = {"query": sli.query, "buckets": sli.buckets, "quantile": sli.quantile, "by": sli.by, "n": sli.n}
    errors.extend(f"{name}: source records has no {key}" for key, value in given.items() if value is not None)
    if sli.per_second:
        errors.append(f"{name}: source records has no per_second")


def _check_query(sli: Sli, name: str, errors: list[str]) -> None:
    if sli.function is not None:
        errors.append(f"{name}: function needs source records")
    if (sli.quantile is None) != (sli.buckets is None):
        errors.append(f"{name}: quantile and buckets belong together")
    if sli.quantile is not None and not 0 < sli.quantile < 1:
        errors.append(f"{name}: quantile must lie between 0 and 1, it is {sli.quantile}")
    if sli.per_second and sli.scope != "case":
        errors.append(f"{name}: per_second needs scope case, only a case has a recorded length")
    if sli.min_n and sli.n is None:
        errors.append(f"{name}: min_n needs n, the indicator that gives the sample size")


def _check_together(slis: list[Sli], errors: list[str]) -> None:
    known = {sli.id: sli for sli in reversed(slis)}
    for sli in slis:
        source = known.get(sli.n or "")
        if source is None:
            continue
        if source.source == "records":
            errors.append(f"sli {sli.id}: n names {sli.n!r}, which is no query")
        elif (source.scope, source.by, source.scenarios) != (sli.scope, sli.by, sli.scenarios):
            errors.append(f"sli {sli.id}: n names {sli.n!r}, which differs in scope, by or scenarios")

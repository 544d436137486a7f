"""The catalogue of service level indicators: strictly loaded, all errors at once."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any, Literal

import msgspec

from reporting.exact import FUNCTIONS

CATALOGUE_FILE = Path(__file__).with_name("slis.yaml")
VERSION = 1
SAMPLE = {"run_id": "sample", "scenario": "sample", "case": "sample", "window": "60s"}
"""Every placeholder that a query may hold, with a value to try it out."""

_SELECTOR = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\{[^{}]*\}")
_METRIC = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\{")


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
        return tuple(dict.fromkeys(_METRIC.findall(f"{self.query or ''} {self.buckets or ''}")))

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


def load(path: Path = CATALOGUE_FILE) -> Catalogue:
    """Read a catalogue.

    Raises:
        CatalogueError: with every error of the file, one a line.
    """
    try:
        document = msgspec.yaml.decode(path.read_bytes())
    except OSError as error:
        raise CatalogueError(f"cannot read {path} ({error.strerror}); reinstall Reelbench") from error
    except msgspec.DecodeError as error:
        raise CatalogueError(f"{path} is not YAML: {error}") from error
    if not isinstance(document, dict) or not {"version", "slis"} <= set(document) <= {"version", "slis", "readings"}:
        raise CatalogueError(f"{path}: needs the keys version and slis, and may have readings")
    if not all(isinstance(document.get(key, []), list) for key in ("slis", "readings")):
        raise CatalogueError(f"{path}: slis and readings must be lists")
    errors: list[str] = []
    if document["version"] != VERSION:
        errors.append(f"version is {document['version']!r}, this Reelbench reads version {VERSION}")
    slis = [sli for number, entry in enumerate(document["slis"], 1) if (sli := _entry(entry, number, errors))]
    _check_together(slis, errors)
    readings = [r for n, entry in enumerate(document.get("readings", []), 1) if (r := _reading(entry, n, errors))]
    doubles = {r.id for r in readings if sum(other.id == r.id for other in readings) > 1}
    errors.extend(f"reading {name}: duplicate id" for name in sorted(doubles))
    if errors:
        raise CatalogueError(*(f"{path}: {error}" for error in errors))
    return Catalogue(tuple(slis), tuple(readings))


def _reading(entry: Any, number: int, errors: list[str]) -> Reading | None:
    name = f"reading {entry.get('id', f'number {number}') if isinstance(entry, dict) else f'number {number}'}"
    try:
        reading = msgspec.convert(entry, Reading)
    except msgspec.ValidationError as error:
        errors.append(f"{name}: {error}")
        return None
    if not _SELECTOR.fullmatch(reading.selector):
        errors.append(f"{name}: selector must be a metric with a selector in braces and nothing more")
    return reading


def _entry(entry: Any, number: int, errors: list[str]) -> Sli | None:
    """Convert one entry field by field, so that each wrong field is named and not the first one alone."""
    if not isinstance(entry, dict):
        errors.append(f"entry {number} is not a mapping")
        return None
    name = f"sli {entry.get('id', f'number {number}')}"
    before = len(errors)
    fields = {field.name: field for field in msgspec.structs.fields(Sli)}
    errors.extend(f"{name}: unknown key {key!r}" for key in entry if key not in fields)
    asks = "function" if entry.get("source") == "records" else "query"
    if asks not in entry:
        errors.append(f"{name}: the key {asks!r} is missing")
    values: dict[str, Any] = {}
    for key, field in fields.items():
        if key not in entry:
            if field.required:
                errors.append(f"{name}: the key {key!r} is missing")
            continue
        try:
            values[key] = msgspec.convert(entry[key], field.type)
        except msgspec.ValidationError as error:
            errors.append(f"{name}: {key}: {error}")
    if len(errors) > before:
        return None
    sli = Sli(**values)
    _check_alone(sli, name, errors)
    return sli


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
    if sli.function not in FUNCTIONS:
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
    _check_templates(sli, name, errors)
    if (sli.quantile is None) != (sli.buckets is None):
        errors.append(f"{name}: quantile and buckets belong together")
    if sli.quantile is not None and not 0 < sli.quantile < 1:
        errors.append(f"{name}: quantile must lie between 0 and 1, it is {sli.quantile}")
    if sli.per_second and sli.scope != "case":
        errors.append(f"{name}: per_second needs scope case, only a case has a recorded length")
    if sli.min_n and sli.n is None:
        errors.append(f"{name}: min_n needs n, the indicator that gives the sample size")


def _check_templates(sli: Sli, name: str, errors: list[str]) -> None:
    allowed = {"case": {"run_id", "scenario", "case", "window"}, "scenario": {"run_id", "scenario", "window"}}
    sample = {key: SAMPLE[key] for key in allowed.get(sli.scope, {"run_id", "window"})}
    for key, template in (("query", sli.query), ("buckets", sli.buckets)):
        try:
            sli.fill(template or "", sample)
        except KeyError as error:
            errors.append(f"{name}: {key}: unknown placeholder ${error.args[0]} for scope {sli.scope}")
        except ValueError as error:
            errors.append(f"{name}: {key}: {error}; a literal $ is written $$")
    if not sli.metrics:
        errors.append(f"{name}: query: names no metric with a selector in braces")


def _check_together(slis: list[Sli], errors: list[str]) -> None:
    known: dict[str, Sli] = {}
    for sli in slis:
        if sli.id in known:
            errors.append(f"sli {sli.id}: duplicate id")
        known.setdefault(sli.id, sli)
    for sli in slis:
        if sli.n is None:
            continue
        source = known.get(sli.n)
        if source is None:
            errors.append(f"sli {sli.id}: n names {sli.n!r}, which is no indicator")
        elif source.source == "records":
            errors.append(f"sli {sli.id}: n names {sli.n!r}, which is no query")
        elif (source.scope, source.by, source.scenarios) != (sli.scope, sli.by, sli.scenarios):
            errors.append(f"sli {sli.id}: n names {sli.n!r}, which differs in scope, by or scenarios")

"""The price list of the cost estimate: strictly loaded, all errors at once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from reelbench.loadgen.strict_yaml import UnreadableError, read_mapping

PRICES_FILE = Path(__file__).with_name("prices.yaml")
VERSION = 1
PRICE_UNITS = {
    "cpu": "core-hour",
    "memory": "GiB-hour",
    "egress": "GB",
    "llm_input": "1M tokens",
    "llm_output": "1M tokens",
    "tts": "1M characters",
    "image": "image",
}
"""Every price with the unit that it must be given in."""
ASSUMPTION_UNITS = {"cpu_request": "cores", "memory_request": "GiB", "load": "jobs/month"}
_HEAD = {"version", "currency", "prices", "assumptions"}
_FIELDS = ("value", "unit", "source", "date")


class PricesError(Exception):
    """A price list that cannot be used; `errors` holds every error, the message all of them, one a line."""

    def __init__(self, *errors: str) -> None:
        super().__init__("\n".join(errors))
        self.errors = list(errors)


@dataclass(frozen=True, slots=True)
class Price:
    """A number of the list with where it is from."""

    value: float
    unit: str
    source: str
    date: str
    """Day on which it was published or read, as YYYY-MM-DD."""


@dataclass(frozen=True, slots=True)
class Prices:
    """A whole list."""

    currency: str
    prices: dict[str, Price]
    assumptions: dict[str, Price]

    def price(self, name: str) -> float:
        """The list price of one unit."""
        return self.prices[name].value

    def assumed(self, name: str) -> float:
        """The value of an assumption."""
        return self.assumptions[name].value


def load_prices(path: Path = PRICES_FILE) -> Prices:
    """Read a price list.

    Raises:
        PricesError: with every error of the file, one a line.
    """
    try:
        document, errors = read_mapping(path, "price list", "version")
    except UnreadableError as error:
        raise PricesError(f"{path}: {error}") from error
    errors += [f"unknown key {key!r}" for key in document if key not in _HEAD]
    errors += [f"the key {key!r} is missing" for key in sorted(_HEAD - set(document))]
    if document.get("version", VERSION) != VERSION:
        errors.append(f"version is {document['version']!r}, this Reelbench reads version {VERSION}")
    currency = document.get("currency", "")
    if "currency" in document and not (isinstance(currency, str) and currency.strip()):
        errors.append(f"currency must be a name such as USD, it is {currency!r}")
    prices = _entries("prices", document.get("prices", {}), PRICE_UNITS, "prices" in document, errors)
    assumptions = _entries(
        "assumptions", document.get("assumptions", {}), ASSUMPTION_UNITS, "assumptions" in document, errors
    )
    if errors:
        raise PricesError(*(f"{path}: {error}" for error in errors))
    return Prices(currency, prices, assumptions)


def _entries(key: str, entries: Any, known: dict[str, str], given: bool, errors: list[str]) -> dict[str, Price]:  # noqa: FBT001 - an absent section is one error and not ten
    if not isinstance(entries, dict):
        errors.append(f"{key} must be a mapping")
        return {}
    errors += [f"{key}: unknown key {name!r}" for name in entries if name not in known]
    if given:
        errors += [f"{key}: the key {name!r} is missing" for name in known if name not in entries]
    return {
        name: price
        for name, unit in known.items()
        if name in entries and (price := _price(f"{key}: {name}", entries[name], unit, errors))
    }


def _price(name: str, entry: Any, unit: str, errors: list[str]) -> Price | None:
    if not isinstance(entry, dict):
        errors.append(f"{name}: must be a mapping with {', '.join(_FIELDS)}")
        return None
    before = len(errors)
    errors += [f"{name}: unknown key {key!r}" for key in entry if key not in _FIELDS]
    errors += [f"{name}: the key {key!r} is missing" for key in _FIELDS if key not in entry]
    value = entry.get("value", 0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        errors.append(f"{name}: value must be a number, it is {value!r}")
    elif value < 0:
        errors.append(f"{name}: value must not be negative, it is {value:g}")
    if "unit" in entry and entry["unit"] != unit:
        errors.append(f"{name}: unknown unit {entry['unit']!r}, it must be {unit!r}")
    source = entry.get("source", "")
    if "source" in entry and not (isinstance(source, str) and source.strip()):
        errors.append(f"{name}: source must say where the value is from")
    day = str(entry.get("date", ""))
    if "date" in entry and not _is_day(day):
        errors.append(f"{name}: date must be a day such as 2026-11-24, it is {day!r}")
    return Price(float(value), unit, source.strip(), day) if len(errors) == before else None


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False

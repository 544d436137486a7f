"""The price list of the cost estimate: strictly read, all errors at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from reelbench.loadgen.strict_yaml import UnreadableError, read_mapping
from reelbench.reporting.catalogue.strict import NotNegative, Text, build

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
"""Every price with its unit."""
OPTIONAL_UNITS = {"gpu": "GPU-hour"}
"""Prices that a list may have, with their unit: they depend on the machine, so there is no default."""
ASSUMPTION_UNITS = {"cpu_request": "cores", "memory_request": "GiB", "load": "jobs/month"}
"""Every assumption with its unit."""


class PricesError(Exception):
    """A price list that cannot be used; `errors` holds every error, the message all of them, one a line."""

    def __init__(self, *errors: str) -> None:
        super().__init__("\n".join(errors))
        self.errors = list(errors)


class Price(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A number of the list with its source."""

    value: NotNegative
    unit: Text
    source: Text
    date: date
    """Day on which it was published or read."""


_Prices = msgspec.defstruct(
    "_Prices",
    [*((name, Price) for name in PRICE_UNITS), *((name, Price | None, None) for name in OPTIONAL_UNITS)],
    frozen=True,
)
_Assumptions = msgspec.defstruct("_Assumptions", [(name, Price) for name in ASSUMPTION_UNITS], frozen=True)


class _File(msgspec.Struct, frozen=True):
    """The whole file."""

    version: int
    currency: Text
    prices: _Prices  # type: ignore[valid-type] # made from the units
    assumptions: _Assumptions  # type: ignore[valid-type]


class Prices(msgspec.Struct, frozen=True):
    """A whole list."""

    currency: str
    prices: Mapping[str, Price]
    assumptions: Mapping[str, Price]

    def price(self, name: str) -> float:
        """Return the list price of one unit."""
        return self.prices[name].value

    def optional(self, name: str) -> float | None:
        """Return a price that a list may have; None when it has none."""
        found = self.prices.get(name)
        return found.value if found is not None else None

    def assumed(self, name: str) -> float:
        """Return the value of an assumption."""
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
    if document.get("version", VERSION) != VERSION:
        errors.append(f"version is {document['version']!r}, this Reelbench reads version {VERSION}")
    file = build(_File, document, "", errors)
    errors += _foreign_units("prices", document.get("prices"), PRICE_UNITS | OPTIONAL_UNITS)
    errors += _foreign_units("assumptions", document.get("assumptions"), ASSUMPTION_UNITS)
    if file is None or errors:
        raise PricesError(*(f"{path}: {error}" for error in errors))
    prices = {name: price for name, price in msgspec.structs.asdict(file.prices).items() if price is not None}
    return Prices(file.currency, prices, msgspec.structs.asdict(file.assumptions))


def _foreign_units(key: str, entries: Any, units: Mapping[str, str]) -> Iterator[str]:
    """Yield the entries in another unit: a price is never converted by guess."""
    for name, unit in units.items() if isinstance(entries, dict) else ():
        entry = entries.get(name)
        if isinstance(entry, dict) and entry.get("unit", unit) != unit:
            yield f"{key}: {name}: unit is {entry['unit']!r}; write {unit!r}"

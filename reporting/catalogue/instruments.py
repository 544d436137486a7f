"""What the components measure: every instrument as it is declared, and what its attributes may say."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec

from reelbench.loadgen.strict_yaml import read_mapping

METRICS_FILE = Path(__file__).with_name("metrics.yaml")
_UNITS = {"s": "seconds", "By": "bytes"}
PLACES = ("run_id", "scenario", "case")
"""Attributes that every measurement of a job has; a series with them belongs to one case of one run."""


class Instrument(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One instrument of one or more components."""

    name: str
    """As OpenTelemetry has it."""
    components: tuple[str, ...]
    kind: Literal["counter", "gauge", "histogram"]
    unit: str = ""
    """Of UCUM; annotations in braces."""
    description: str = ""
    attributes: tuple[str, ...] = ()
    sometimes: tuple[str, ...] = ()
    """Attributes that only some measurements have, such as the type of an error."""
    bounds: tuple[float, ...] = ()
    """Upper bounds of the classic buckets, without infinity."""

    @property
    def scraped(self) -> str:
        """The base name that the Prometheus exporter of Python gives."""
        return self._suffixed(_UNITS.get(self.unit))

    @property
    def pushed(self) -> str:
        """The base name that Prometheus gives what comes by OTLP."""
        ratio = "ratio" if self.unit == "1" and self.kind == "gauge" else None
        return self._suffixed(_UNITS.get(self.unit, ratio))

    @property
    def series(self) -> frozenset[str]:
        """Every name that Prometheus can have for it: scraped or by OTLP, of a histogram classic or native."""
        parts = ("", "_bucket", "_sum", "_count") if self.kind == "histogram" else ("",)
        return frozenset(f"{name}{part}" for name in (self.scraped, self.pushed) for part in parts)

    def _suffixed(self, unit: str | None) -> str:
        tokens = self.name.replace(".", "_").split("_")
        if unit is not None and unit not in tokens:
            tokens.append(unit)
        return "_".join([*tokens, "total"] if self.kind == "counter" else tokens)


class Attribute(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an attribute says."""

    name: str
    meaning: str
    instruments: tuple[str, ...] = ()
    """Those it is about, where the same attribute means something else elsewhere; none = all the others."""
    values: tuple[str, ...] = ()
    """All values there are; none = they are not ours to choose."""


class Declared(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    instruments: tuple[Instrument, ...]
    attributes: tuple[Attribute, ...]
    stack: tuple[str, ...]
    """Names of series that other programs give."""

    def attribute(self, instrument: str, name: str) -> Attribute:
        """What the attribute of an instrument says.

        Raises:
            KeyError: nobody has written it down.
        """
        entries = [entry for entry in self.attributes if entry.name == name]
        for entry in entries:
            if instrument in entry.instruments:
                return entry
        for entry in entries:
            if not entry.instruments:
                return entry
        raise KeyError(f"{instrument}: {name}")


def load(path: Path = METRICS_FILE) -> Declared:
    """Read the file; it ships with us, so a mistake in it is an exception and no message."""
    document, _ = read_mapping(path, "list of metrics", "instruments", ours=True)
    return msgspec.convert(document, Declared)


def names(instruments: Iterable[Instrument]) -> frozenset[str]:
    """Names of series as Prometheus has them."""
    return frozenset(name for instrument in instruments for name in instrument.series)

"""The spans and span events of the components, as declared in ``spans.yaml``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import msgspec

SPANS_FILE = Path(__file__).with_name("spans.yaml")


class Span(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of span."""

    name: str
    component: str
    kind: Literal["internal", "client", "server"]
    meaning: str
    attributes: tuple[str, ...]
    sometimes: tuple[str, ...] = ()
    events: tuple[str, ...] = ()

    def matches(self, name: str) -> bool:
        """Return True when a span of this name can be of this kind."""
        parts = (part if part.startswith("<") else re.escape(part) for part in re.split(r"(<\w+>)", self.name))
        return re.fullmatch("".join(r"\S*" if part.startswith("<") else part for part in parts), name) is not None


class Event(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of span event."""

    name: str
    meaning: str
    attributes: tuple[str, ...]


class Traces(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    spans: tuple[Span, ...]
    events: tuple[Event, ...]


def load() -> Traces:
    """Return the declared spans and events."""
    return msgspec.yaml.decode(SPANS_FILE.read_bytes(), type=Traces)

"""Names that occur twice in one JSON object: readers disagree about which value holds, so such a body is refused."""

from __future__ import annotations

import json


class _RepeatedError(Exception):
    """A name occurs twice; the argument is the name."""


def repeated_key(text: bytes | bytearray) -> str | None:
    """Return the first name that occurs twice in an object of valid JSON; None when every name is unique."""
    try:
        json.loads(text, object_pairs_hook=_unique)
    except _RepeatedError as found:
        return str(found.args[0])
    except (ValueError, RecursionError):  # no JSON for this reader: the reader of the body judges it
        return None
    return None


def _unique(pairs: list[tuple[str, object]]) -> None:
    names = set()
    for name, _ in pairs:
        if name in names:
            raise _RepeatedError(name)
        names.add(name)

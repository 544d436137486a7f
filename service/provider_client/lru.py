"""A mapping that keeps what was used last, within a number of entries and a number of bytes.

Own code: the ready-made ones bound either the entries or their weight, not both.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

_Value = TypeVar("_Value")


class Lru(Generic[_Value]):
    """At most `entries` values of together at most `size` bytes; what was not used for longest goes first."""

    def __init__(self, entries: int, size: int) -> None:
        self._entries = entries
        self._limit = size
        self._kept: OrderedDict[bytes, tuple[_Value, int]] = OrderedDict()
        self.size = 0
        """Bytes of the values kept, as their owner gave them."""

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: bytes) -> _Value | None:
        """The value, which counts as used now; None when there is none."""
        found = self._kept.get(key)
        if found is None:
            return None
        self._kept.move_to_end(key)
        return found[0]

    def put(self, key: bytes, value: _Value, size: int) -> None:
        """Keep a value of `size` bytes instead of the one at `key`; one above the limit is not kept."""
        self._drop(self._kept.pop(key, None))
        if size > self._limit:
            return
        self._kept[key] = value, size
        self.size += size
        while len(self._kept) > self._entries or self.size > self._limit:
            self._drop(self._kept.popitem(last=False)[1])

    def _drop(self, entry: tuple[_Value, int] | None) -> None:
        if entry is not None:
            self.size -= entry[1]

"""Damage to an answer of status 200 that a careful client notices: truncated at one hit, garbage at the next."""

from __future__ import annotations

_TURNED = bytes(byte ^ 0xA5 for byte in range(256))
"""No ASCII character stays one, so that no signature and no JSON survives."""


def damage(data: bytes, number: int) -> bytes:
    """Return the first half of the data at an odd hit of the rule, garbage of the same length at an even one."""
    return data[: len(data) // 2] if number % 2 else data.translate(_TURNED)

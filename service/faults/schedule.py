"""The schedule of a fault: exactly which calls it hits.

The calls that a rule sees are divided into blocks, and the hits of each block are spread over it by a seeded shuffle.
The block is the smallest one with a whole number of hits, up to 100 calls: 10 calls with 3 hits at 0.3, 20 with 1 at
0.05. A rate that needs a longer block (0.123) carries its remainder over from block to block.

A shuffle, not an even spread (every third call), because the fault must be able to hit a retry again: at an even 30 %
no call would fail twice in a row, and each first retry would succeed.
"""

from __future__ import annotations

import functools
from fractions import Fraction
from hashlib import blake2b

_LONGEST_BLOCK = 100
_ROUNDING = Fraction(1, 10**12)
"""Relative distance within which a rate is read as a simple fraction: 1 - 0.7 is 0.3."""


def hits(seed: int, provider: str, kind: str, rate: float, ordinal: int) -> bool:
    """Return whether the fault hits the call with this ordinal; it depends on the arguments alone.

    After n calls the number of hits is `rate * n`, exactly, at the end of a block (to the nearest whole number when
    the rate needs a longer block than 100), and within the hits of one block everywhere else.

    Args:
        seed: Seed of the plan.
        provider: Target of the rule.
        kind: Kind of the rule.
        rate: Share of the calls that the fault hits, above 0 and at most 1.
        ordinal: Number of the call among those that the rule sees, from 0.
    """
    exact, size = _cut(rate)
    number, place = divmod(ordinal, size)
    return place in _block(f"{seed}/{provider}/{kind}", exact, size, number)


@functools.lru_cache(maxsize=64)
def _cut(rate: float) -> tuple[Fraction, int]:
    """Return the exact rate and the calls of a block."""
    exact = Fraction(str(rate))
    simple = exact.limit_denominator(_LONGEST_BLOCK)
    if abs(simple - exact) <= exact * _ROUNDING:
        return simple, simple.denominator
    return exact, _LONGEST_BLOCK


@functools.lru_cache(maxsize=64)
def _block(key: str, rate: Fraction, size: int, number: int) -> frozenset[int]:
    """Return the places, in block `number`, that are hit."""
    count = round(rate * size * (number + 1)) - round(rate * size * number)

    def lot(place: int) -> bytes:
        return blake2b(f"{key}/{number}/{place}".encode(), digest_size=16).digest()

    return frozenset(sorted(range(size), key=lot)[:count])

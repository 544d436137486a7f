"""Cases without feedback from the code: valid inputs, changed in random places."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import Final

NUMBERS: Final = (
    b"0",
    b"-1",
    b"1e309",
    b"9" * 30,
    b"1.5",
    b"\x00\x00\x00\x00",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
)
MOST_CHANGES: Final = 6


def cases(seeds: Sequence[bytes], words: Sequence[bytes], most: int, random: Random) -> Iterator[bytes]:
    """Yield cases without end: each seed as it is, then changed ones."""
    yield from (seed[:most] for seed in seeds)
    while True:
        made = bytearray(random.choice(seeds))
        for _ in range(random.randint(1, MOST_CHANGES)):
            change(made, seeds, words, random)
        yield bytes(made[:most])


def change(made: bytearray, seeds: Sequence[bytes], words: Sequence[bytes], random: Random) -> None:
    """Change one place."""
    start = random.randint(0, len(made))
    stop = min(len(made), start + random.choice((1, 1, 2, 4, 16, 256)))
    match random.randrange(8):
        case 0:  # another byte
            made[start : start + 1] = bytes((random.randrange(256),))
        case 1:  # a bit
            if start < len(made):
                made[start] ^= 1 << random.randrange(8)
        case 2:
            del made[start:stop]
        case 3:  # the same again
            made[start:start] = made[start:stop] * random.choice((1, 2, 8, 64))
        case 4:
            made[start : random.choice((start, stop))] = random.choice([*words, *NUMBERS])
        case 5:  # the beginning of one, the end of another
            other = random.choice(seeds)
            made[start:] = other[random.randint(0, len(other)) :]
        case 6:
            del made[start:]
        case _:  # two parts change places
            part = made[start:stop]
            del made[start:stop]
            place = random.randint(0, len(made))
            made[place:place] = part

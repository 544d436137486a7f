"""The answer of a provider."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reply:
    """A finished answer with its token counts."""

    body: bytes
    media_type: str
    input_tokens: int
    output_tokens: int


def tokens(text_or_size: str | int) -> int:
    """Return the tokens of a text, or of a number of characters: a quarter of the characters, rounded up."""
    characters = text_or_size if isinstance(text_or_size, int) else len(text_or_size)
    return -(-characters // 4)

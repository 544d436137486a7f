"""What a provider answers, before it is sent."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reply:
    """A finished answer with what is metered about it."""

    body: bytes
    media_type: str
    input_tokens: int
    output_tokens: int


def tokens(text_or_size: str | int) -> int:
    """Tokens of a text (or of so many characters): a quarter of its characters, rounded up."""
    characters = text_or_size if isinstance(text_or_size, int) else len(text_or_size)
    return -(-characters // 4)

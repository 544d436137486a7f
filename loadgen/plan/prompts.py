"""Built-in prompts: around a document, or for text-to-video without one."""

from __future__ import annotations

import functools
import hashlib
import random
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

Builtin = Literal["document", "text_to_video"]

TEXT_TO_VIDEO: Final = Path(__file__).parents[1] / "prompts" / "text_to_video.txt"
"""Prompts for text-to-video, one a line; also an example of a prompts file."""

_METHODS = (
    "a controlled experiment on",
    "a survey of",
    "a formal model of",
    "a field study of",
    "a benchmark for",
    "a replication of",
    "a lower bound for",
    "an open data set about",
)
_TOPICS = (
    "attention in long documents",
    "tail latency in queueing networks",
    "protein folding",
    "coral reef recovery",
    "gravitational lensing",
    "federated learning",
    "soil carbon storage",
    "lattice cryptography",
    "speech synthesis",
    "urban heat islands",
    "glacier dynamics",
    "graph neural networks",
    "vaccine cold chains",
    "type inference",
    "battery ageing",
    "reading comprehension",
)
_AUDIENCES = (
    "first-year students",
    "reviewers of a systems conference",
    "a public lecture",
    "high-school teachers",
    "engineers new to the field",
    "a grant committee",
)
_LOOKS = (
    "hand-drawn diagrams",
    "calm camera moves over charts",
    "animated formulas",
    "a split screen of data and narration",
    "close shots of laboratory work",
)

_STREAM: Final = random.Random()
"""Seeded for each prompt: a new stream would seed itself twice, and a seed is most of the work on a prompt."""
_SEED: Final = super(random.Random, _STREAM).seed
"""Seeds the stream with a number; `random.Random.seed` first finds out what kind of seed it has."""


def prompt(builtin: Builtin, place: str) -> str:
    """Return the built-in prompt of a place in a plan, such as ``1:throughput:n01:0``; each place has its own."""
    digest = hashlib.sha256(place.encode()).digest()
    _SEED(int.from_bytes(digest))
    if builtin == "text_to_video":
        return f"{_drawn(text_to_video())}. Take {digest.hex()[:12]}."
    method, topic, audience, look = _drawn(_METHODS), _drawn(_TOPICS), _drawn(_AUDIENCES), _drawn(_LOOKS)
    # The digest differs between seeds, the place between jobs.
    return f"Explain {method} {topic} for {audience}, with {look}. Reference {digest.hex()[:8]}/{place}."


def _drawn(texts: tuple[str, ...], bits: Callable[[int], int] = _STREAM.getrandbits) -> str:
    """Return one of some texts: that of `random.Random.choice`, in half the time."""
    count = len(texts)
    width = count.bit_length()
    at = bits(width)
    while at >= count:
        at = bits(width)
    return texts[at]


@functools.cache
def text_to_video() -> tuple[str, ...]:
    """Return the built-in prompts for text-to-video."""
    return tuple(TEXT_TO_VIDEO.read_text("utf-8").splitlines())

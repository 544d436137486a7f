"""The mock TTS: a small real WAV file whose length and pitch depend on the text."""

from __future__ import annotations

import math
import struct
import sys
from array import array
from collections.abc import Callable
from hashlib import blake2b
from typing import Annotated

import msgspec

from reelbench.service.providers.reply import Refusal, Reply, tokens

RATE = 8_000
"""Samples per second; 16 bit, mono."""
_SHORTEST, _LONGEST = 0.3, 1.0
_SECONDS_PER_CHARACTER = 0.004
_TOKENS_PER_SECOND = 20
"""Audio tokens per second, similar to hosted speech models."""
_FADE = RATE // 100
_PERIODS = range(16, 48)
"""Samples in one period of the tone: 500 Hz down to 170 Hz, the range of a voice."""


class Speech(msgspec.Struct, frozen=True):
    """The body of ``POST /v1/audio/speech``; other fields are ignored."""

    model: Annotated[str, msgspec.Meta(min_length=1)]
    input: Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
    voice: str | dict[str, str] = "alloy"
    response_format: str | None = None


def content(speech: Speech) -> bytes:
    """Return the content that determines the latency of this request."""
    return msgspec.json.encode([speech.model, speech.input, speech.voice])


def answer(speech: Speech) -> Reply:
    """Speak the text.

    Raises:
        Refusal: the format is not WAV.
    """
    if speech.response_format != "wav":
        raise Refusal(
            "Only WAV is offered; set 'response_format' to 'wav'.", param="response_format", code="unsupported_value"
        )
    body = wave(speech.input, content(speech))
    made = math.ceil(seconds(speech.input) * _TOKENS_PER_SECOND)
    return Reply(body, "audio/wav", tokens(speech.input), made)


def rewritten(body: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """Return the WAV file with changed sound."""
    return change(body)


def seconds(text: str) -> float:
    """Return the length of the audio of a text: 0.3 to 1.0 seconds."""
    return min(_LONGEST, _SHORTEST + _SECONDS_PER_CHARACTER * len(text))


def wave(text: str, key: bytes) -> bytes:
    """Return a WAV file; the bytes of `key` set the pitch and the timbre."""
    samples = round(seconds(text) * RATE)
    pitch, overtone, *mark = blake2b(key, digest_size=4).digest()
    period = _period(_PERIODS[pitch % len(_PERIODS)], overtone / 255)
    tone = (period * (samples // len(period) + 1))[:samples]
    for index in range(_FADE):  # fade in and out, because a sudden start or end would click
        tone[index] = tone[index] * index // _FADE
        tone[-1 - index] = tone[-1 - index] * index // _FADE
    tone[-1] = mark[0] + 256 * (mark[1] % 8)  # an inaudible mark, so that texts of equal pitch and length differ
    if sys.byteorder == "big":
        tone.byteswap()
    data = tone.tobytes()
    return b"".join((_header(len(data)), data))


def _period(length: int, overtone: float) -> array[int]:
    turn = 2 * math.pi / length
    return array(
        "h",
        (int(6_000 * math.sin(turn * n) + 3_000 * overtone * math.sin(2 * turn * n)) for n in range(length)),
    )


def _header(size: int) -> bytes:
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, RATE, 2 * RATE, 2, 16)
    return struct.pack("<4sI4s", b"RIFF", 36 + size, b"WAVE") + form + struct.pack("<4sI", b"data", size)

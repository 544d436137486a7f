"""PNG and WAV files from providers, checked without a decoder before further use."""

from __future__ import annotations

import io
import wave
import zlib
from dataclasses import dataclass

_MAX_PIXELS = 4096 * 4096
_MAX_AUDIO_SECONDS = 600
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


class MediaError(Exception):
    """A PNG or WAV file that cannot be used; the message states the reason."""


@dataclass(frozen=True, slots=True)
class Sound:
    """PCM samples of 16 bits in the byte order of the file; `rate` in Hz."""

    rate: int
    channels: int
    samples: bytes


def check_png(content: bytes) -> None:
    """Reject files that are no PNG or would take much memory, without decoding them; raises MediaError."""
    if not content.startswith(_PNG_SIGNATURE) or content[12:16] != b"IHDR" or len(content) < 33:  # noqa: PLR2004 - PNG header
        raise MediaError("not a PNG image")
    width, height = int.from_bytes(content[16:20]), int.from_bytes(content[20:24])
    if not 0 < width * height <= _MAX_PIXELS:
        raise MediaError(f"a PNG image of {width} x {height} pixels")
    _check_chunks(content)


def _check_chunks(content: bytes) -> None:
    """Reject truncated or damaged PNG files; the request to the provider is then retried."""
    position = len(_PNG_SIGNATURE)
    kind = b""
    while kind != b"IEND":
        length = int.from_bytes(content[position : position + 4])
        kind = content[position + 4 : position + 8]
        end = position + 8 + length
        if len(content) < end + 4:
            raise MediaError("a PNG image that is cut off")
        if zlib.crc32(content[position + 4 : end]) != int.from_bytes(content[end : end + 4]):
            raise MediaError("a damaged PNG image")
        position = end + 4


def pcm(content: bytes) -> Sound:
    """Return the samples of a WAV file; raises MediaError unless it is 16-bit PCM with samples, and not too many."""
    try:
        with wave.open(io.BytesIO(content)) as file:
            rate, channels, width = file.getframerate(), file.getnchannels(), file.getsampwidth()
            # Streamed WAV files state a length of 2**32 - 1, so the samples in the file are counted, up to the limit.
            samples = file.readframes(rate * _MAX_AUDIO_SECONDS)
            declared = file.getnframes()
    except (wave.Error, EOFError, OverflowError, MemoryError, RuntimeError) as error:
        # RuntimeError: a wrong chunk length.
        raise MediaError(f"not a WAV file of PCM samples ({error})") from error
    if width != 2 or channels not in {1, 2} or not 8000 <= rate <= 96_000:  # noqa: PLR2004 - what is supported
        raise MediaError(f"a WAV file of {channels} channels, {8 * width} bits, {rate} Hz")
    samples = samples[: len(samples) // (2 * channels) * 2 * channels]
    if not samples:
        raise MediaError("a WAV file without samples")
    if len(samples) // (2 * channels) < declared <= rate * _MAX_AUDIO_SECONDS:
        raise MediaError("a WAV file that is cut off")
    return Sound(rate, channels, samples)

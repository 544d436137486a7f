from __future__ import annotations

import io
import wave

import pytest

from reelbench.service.providers import tts
from reelbench.service.providers.reply import Refusal


def speak(text: str) -> wave.Wave_read:
    reply = tts.answer(tts.Speech(model="m", input=text, response_format="wav"))
    return wave.open(io.BytesIO(reply.body))


def test_audio_length_depends_on_the_text_within_bounds(subtests: pytest.Subtests) -> None:
    for characters, frames in [(1, 2432), (100, 5600), (175, 8000), (4000, 8000)]:
        with subtests.test(characters=characters), speak("x" * characters) as file:
            assert (file.getframerate(), file.getsampwidth(), file.getnchannels()) == (8000, 2, 1)
            assert file.getnframes() == frames
            assert len(file.readframes(frames)) == 2 * frames


def test_the_sound_is_a_function_of_the_text() -> None:
    bodies = {tts.wave(f"text {number:03}", f"{number}".encode()) for number in range(500)}
    assert len(bodies) == 500
    assert tts.wave("a", b"k") == tts.wave("a", b"k")


def test_tone_is_audible_and_starts_and_ends_softly() -> None:
    with speak("hello" * 20) as file:
        samples = memoryview(file.readframes(file.getnframes())).cast("h")
    assert 5_000 < max(samples) < 10_000
    assert samples[0] == 0
    assert max(abs(sample) for sample in samples[:8]) < 1_000


def test_tokens_of_text_and_of_audio() -> None:
    reply = tts.answer(tts.Speech(model="m", input="x" * 50, response_format="wav"))
    assert (reply.input_tokens, reply.output_tokens, reply.media_type) == (13, 10, "audio/wav")


def test_other_formats_are_refused(subtests: pytest.Subtests) -> None:
    for form in [None, "mp3"]:
        with subtests.test(form=form), pytest.raises(Refusal, match="Only WAV"):
            tts.answer(tts.Speech(model="m", input="x", response_format=form))

"""The composed video: length, size, content, cost, and rejected media."""

from __future__ import annotations

import io
import time
from typing import Any

import av
import numpy as np
import pytest

from reelbench.service.pipeline.video_encoder import Slide, encode, frame_size
from reelbench.service.provider_client.formats import MediaError, check_png, pcm


def test_frame_size_keeps_the_aspect_and_is_even(subtests: pytest.Subtests) -> None:
    for size, expected in [
        ("720x1280", (180, 320)),
        ("1280x720", (320, 180)),
        ("1024x1792", (182, 320)),
        ("1792x1024", (320, 182)),
    ]:
        with subtests.test(size=size):
            assert frame_size(size) == expected


def test_length_is_exact_for_any_number_of_scenes(files: Any, subtests: pytest.Subtests) -> None:
    for seconds in [4, 8, 12]:
        for scenes in [1, 3, 5]:
            with subtests.test(scenes=scenes, seconds=seconds):
                content = encode([Slide(files.png(), files.wav())] * scenes, "720x1280", seconds)
                with av.open(io.BytesIO(content)) as container:
                    lengths = [float((stream.duration or 0) * (stream.time_base or 0)) for stream in container.streams]
                    assert lengths == pytest.approx([seconds, seconds], abs=0.07)
                    assert len(list(container.decode(video=0))) == seconds * 5 // 2


def test_the_same_scenes_give_the_same_bytes(files: Any) -> None:
    slides = [Slide(files.png(colour), files.wav()) for colour in ("red", "blue")]
    assert encode(slides, "720x1280", 4) == encode(slides, "720x1280", 4)


def test_speech_is_placed_in_its_scene(files: Any) -> None:
    slides = [Slide(files.png(), files.wav(1.0)), Slide(files.png(), files.wav(1.0))]
    with av.open(io.BytesIO(encode(slides, "720x1280", 4))) as container:
        rate = container.streams.audio[0].rate
        samples = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
    loud = [float(np.abs(samples[int(second * rate) :][: rate // 2]).max()) for second in (0.25, 1.4, 2.25, 3.4)]
    assert [value > 0.05 for value in loud] == [True, False, True, False]


def test_common_wav_formats_are_accepted(files: Any, subtests: pytest.Subtests) -> None:
    for rate in [8000, 24_000, 48_000]:
        for channels in [1, 2]:
            with subtests.test(rate=rate, channels=channels):
                content = encode([Slide(files.png(), files.wav(1.0, rate, channels))], "720x1280", 4)
                with av.open(io.BytesIO(content)) as container:
                    assert (container.streams.audio[0].rate, container.duration) == (
                        16_000,
                        pytest.approx(4_000_000, abs=70_000),
                    )


def test_streamed_wav_of_unknown_length_is_accepted(files: Any) -> None:
    whole = files.wav()
    streamed = whole[:4] + b"\xff\xff\xff\xff" + whole[8:40] + b"\xff\xff\xff\xff" + whole[44:]
    pcm(streamed)
    assert encode([Slide(files.png(), streamed)], "720x1280", 4) == encode([Slide(files.png(), whole)], "720x1280", 4)


def test_unusable_media_is_rejected_with_the_reason(files: Any) -> None:
    picture = files.png()
    for content, reason in (
        (b"", "not a PNG image"),
        (b"GIF89a", "not a PNG image"),
        (picture[:20], "not a PNG image"),
        (picture[:16] + bytes(8) + picture[24:], "a PNG image of 0 x 0 pixels"),
        (picture[:16] + (50_000).to_bytes(4) * 2 + picture[24:], "a PNG image of 50000 x 50000 pixels"),
        (picture[: len(picture) // 2], "a PNG image that is cut off"),
        (picture[:-1], "a PNG image that is cut off"),
        (picture[:45] + bytes([picture[45] ^ 1]) + picture[46:], "a damaged PNG image"),
    ):
        with pytest.raises(MediaError, match=f"^{reason}$"):
            check_png(content)
    for content, reason in (
        (b"", "not a WAV file"),
        (b"ID3", "not a WAV file"),
        (files.wav(0), "a WAV file without samples"),
        (files.wav(width=1), "1 channels, 8 bits"),
        (files.wav(channels=6), "6 channels, 16 bits"),
        (files.wav()[: len(files.wav()) // 2], "a WAV file that is cut off"),
        (b"RIFF\x88\0\0\0WAVEfmt \x10\0\xfe\0" + bytes(124), "not a WAV file"),
    ):
        with pytest.raises(MediaError, match=reason):
            pcm(content)
    with pytest.raises(MediaError, match="different formats"):
        encode([Slide(picture, files.wav()), Slide(picture, files.wav(rate=16_000))], "720x1280", 4)


def test_cost_is_bounded(files: Any) -> None:
    slides = [Slide(files.png(size=(256, 384)), files.wav()) for _ in range(5)]
    costs = []
    for _ in range(10):
        started = time.thread_time()
        encode(slides, "720x1280", 4)
        costs.append(time.thread_time() - started)
    assert min(costs) < 0.05, "three times what an idle machine of 2020 needs"

"""The composed video: length, size, content, cost, and rejected media."""

from __future__ import annotations

import io
import time
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from reelbench.service.domain.generation import CreateVideo
from reelbench.service.pipeline.shape import frame_size, shape
from reelbench.service.pipeline.tasks import Shape
from reelbench.service.pipeline.video_encoder import Slide, encode
from reelbench.service.provider_client.formats import MediaError, check_png, pcm


def small(seconds: int) -> Shape:
    return Shape(180, 320, seconds * 5 // 2, (5, 2), 30)


SMALL = small(4)


def test_frame_size_keeps_the_aspect_and_is_even(subtests: pytest.Subtests) -> None:
    for size, expected in [
        ("720x1280", (180, 320)),
        ("1280x720", (320, 180)),
        ("1024x1792", (182, 320)),
        ("1792x1024", (320, 182)),
    ]:
        with subtests.test(size=size):
            assert frame_size(*map(int, size.split("x"))) == expected


def test_length_is_exact_for_any_number_of_scenes(files: Any, subtests: pytest.Subtests) -> None:
    for seconds in [4, 8, 12]:
        for scenes in [1, 3, 5]:
            with subtests.test(scenes=scenes, seconds=seconds):
                content = encode([Slide(files.png(), files.wav())] * scenes, small(seconds))
                with av.open(io.BytesIO(content)) as container:
                    lengths = [float((stream.duration or 0) * (stream.time_base or 0)) for stream in container.streams]
                    assert lengths == pytest.approx([seconds, seconds], abs=0.07)
                    assert len(list(container.decode(video=0))) == seconds * 5 // 2


def test_a_request_has_the_shape_that_it_asks_for(subtests: pytest.Subtests) -> None:
    rows: list[tuple[dict[str, Any], bool, Shape]] = [
        ({}, False, Shape(180, 320, 10, (5, 2), 30)),
        ({"seconds": "12"}, False, Shape(180, 320, 30, (5, 2), 30)),
        ({}, True, Shape(720, 1280, 10, (5, 2), 30)),
        ({"size": "512x256"}, False, Shape(512, 256, 10, (5, 2), 30)),
        ({"width": 720, "height": 1280}, False, Shape(720, 1280, 10, (5, 2), 30)),
        ({"size": "1280x720", "width": 64, "height": 32}, False, Shape(64, 32, 10, (5, 2), 30)),
        ({"fps": 24}, False, Shape(180, 320, 96, (24, 1), 30)),
        ({"fps": 29.97}, False, Shape(180, 320, 119, (2997, 100), 30)),
        ({"num_frames": 81}, False, Shape(180, 320, 81, (81, 4), 30)),
        ({"num_frames": 81, "fps": 16, "quality": "high"}, False, Shape(180, 320, 81, (16, 1), 22)),
        ({"num_frames": 1, "fps": 60, "quality": "low"}, False, Shape(180, 320, 1, (60, 1), 36)),
    ]
    for fields, full_size, expected in rows:
        with subtests.test(fields=fields):
            assert shape(CreateVideo(prompt="x", **fields), full_size=full_size) == expected


def test_the_file_has_the_asked_frames_rate_and_size(files: Any, subtests: pytest.Subtests) -> None:
    slides = [Slide(files.png(colour), files.wav()) for colour in ("red", "blue", "lime")]
    for asked in [
        Shape(64, 48, 81, (16, 1), 30),
        Shape(2048, 16, 7, (60, 1), 22),
        Shape(16, 16, 1, (1, 1), 36),
        Shape(32, 32, 30, (30000, 1001), 30),
    ]:
        with subtests.test(shape=asked), av.open(io.BytesIO(encode(slides, asked)), "r") as container:
            picture = container.streams.video[0]
            assert (picture.width, picture.height, picture.average_rate) == (
                asked.width,
                asked.height,
                Fraction(*asked.rate),
            )
            frames = [frame.to_ndarray(format="rgb24")[8, 8].tolist() for frame in container.decode(picture)]
            assert len(frames) == asked.frames
            assert frames[0][0] > 150 > frames[0][2], "the first scene is red"
            length = asked.frames / Fraction(*asked.rate)
            assert float((picture.duration or 0) * (picture.time_base or 0)) == pytest.approx(float(length), abs=0.07)


def test_a_better_quality_takes_more_bytes(files: Any) -> None:
    noise = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (320, 180, 3), dtype=np.uint8)).save(noise, "PNG")
    slides = [Slide(noise.getvalue(), files.wav())]
    low, standard, high = (
        len(encode(slides, shape(CreateVideo(prompt="x", quality=quality), full_size=False)))
        for quality in ("low", "standard", "high")
    )
    assert low < standard < high


def test_the_same_scenes_give_the_same_bytes(files: Any) -> None:
    slides = [Slide(files.png(colour), files.wav()) for colour in ("red", "blue")]
    assert encode(slides, SMALL) == encode(slides, SMALL)


def test_speech_is_placed_in_its_scene(files: Any) -> None:
    slides = [Slide(files.png(), files.wav(1.0)), Slide(files.png(), files.wav(1.0))]
    with av.open(io.BytesIO(encode(slides, SMALL))) as container:
        rate = container.streams.audio[0].rate
        samples = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
    loud = [float(np.abs(samples[int(second * rate) :][: rate // 2]).max()) for second in (0.25, 1.4, 2.25, 3.4)]
    assert [value > 0.05 for value in loud] == [True, False, True, False]


def test_common_wav_formats_are_accepted(files: Any, subtests: pytest.Subtests) -> None:
    for rate in [8000, 24_000, 48_000]:
        for channels in [1, 2]:
            with subtests.test(rate=rate, channels=channels):
                content = encode([Slide(files.png(), files.wav(1.0, rate, channels))], SMALL)
                with av.open(io.BytesIO(content)) as container:
                    assert (container.streams.audio[0].rate, container.duration) == (
                        16_000,
                        pytest.approx(4_000_000, abs=70_000),
                    )


def test_streamed_wav_of_unknown_length_is_accepted(files: Any) -> None:
    whole = files.wav()
    streamed = whole[:4] + b"\xff\xff\xff\xff" + whole[8:40] + b"\xff\xff\xff\xff" + whole[44:]
    pcm(streamed)
    assert encode([Slide(files.png(), streamed)], SMALL) == encode([Slide(files.png(), whole)], SMALL)


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
        encode([Slide(picture, files.wav()), Slide(picture, files.wav(rate=16_000))], SMALL)


def test_cost_is_bounded(files: Any) -> None:
    slides = [Slide(files.png(size=(256, 384)), files.wav()) for _ in range(5)]
    costs = []
    for _ in range(10):
        started = time.thread_time()
        encode(slides, SMALL)
        costs.append(time.thread_time() - started)
    assert min(costs) < 0.05, "three times what an idle machine of 2020 needs"

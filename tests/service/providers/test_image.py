from __future__ import annotations

import base64
import io
from typing import Any

import msgspec
import PIL.Image
import pytest

from reelbench.service.providers import image
from reelbench.service.providers.reply import Refusal


def draw(prompt: str, **fields: Any) -> dict[str, Any]:
    return msgspec.json.decode(image.answer(image.Image(model="m", prompt=prompt, **fields), now=5.0).body)


def picture(answer: dict[str, Any], index: int = 0) -> PIL.Image.Image:
    return PIL.Image.open(io.BytesIO(base64.b64decode(answer["data"][index]["b64_json"])))


def test_a_picture_has_the_requested_aspect(subtests: pytest.Subtests) -> None:
    for size, pixels in [
        (None, (320, 180)),
        ("auto", (320, 180)),
        ("1280x720", (320, 180)),
        ("720x1280", (180, 320)),
        ("1024x1024", (240, 240)),
        ("1792x1024", (318, 182)),
    ]:
        with subtests.test(size=size):
            answer = draw("A chart", size=size)
            assert answer["size"] == f"{pixels[0]}x{pixels[1]}"
            with picture(answer) as drawn:
                assert drawn.format == "PNG"
                assert drawn.size == pixels
                drawn.load()


def test_kinds_prompts_and_numbers_give_different_pictures() -> None:
    bodies = [
        draw(f"{kind} of {topic}")["data"][0]["b64_json"] for kind in image.LATENCY_SCALES for topic in ("a", "b")
    ]
    several = draw("chart of a", n=3)["data"]
    assert len(set(bodies)) == 6
    assert len({datum["b64_json"] for datum in several}) == 3
    assert draw("chart of a")["data"][0]["b64_json"] == several[0]["b64_json"]
    assert all(len(body) < 8_000 for body in bodies)


def test_kinds_look_different_in_the_same_colours() -> None:
    key = bytes(range(16))
    pictures = [PIL.Image.open(io.BytesIO(image.png(kind, "t", 320, 180, key))) for kind in image.LATENCY_SCALES]
    counts = [len(drawn.getcolors() or ()) for drawn in pictures]
    assert counts[0] > 50, "the sky of an illustration is shaded"
    assert set(counts[1:]) == {5}, "diagram and chart are flat"


def test_the_kind_named_first_is_drawn(subtests: pytest.Subtests) -> None:
    for prompt, kind in [
        ("A diagram of a chart", "diagram"),
        ("CHART: sales", "chart"),
        ("A calm illustration", "illustration"),
        ("A lake", "illustration"),
    ]:
        with subtests.test(prompt=prompt):
            assert image.visual_type(prompt) == kind


def test_usage() -> None:
    assert draw("x" * 9, n=2)["usage"] == {
        "input_tokens": 3,
        "output_tokens": 2 * 20 * 12,
        "total_tokens": 3 + 480,
        "input_tokens_details": {"text_tokens": 3, "image_tokens": 0},
    }


def test_what_is_not_offered_is_refused(subtests: pytest.Subtests) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"size": "big"}, "size"),
        ({"size": "0x10"}, "size"),
        ({"size": "1000x100"}, "size"),
        ({"output_format": "webp"}, "output_format"),
        ({"response_format": "url"}, "response_format"),
    ]
    for fields, param in cases:
        with subtests.test(fields=fields):
            with pytest.raises(Refusal) as refused:
                image.check(image.Image(model="m", prompt="p", **fields))
            assert refused.value.param == param

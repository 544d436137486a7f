"""Images and videos as references: the first scene shows them, and files that do not decode are refused."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from reelbench.service.pipeline import preview
from reelbench.service.pipeline.tasks import PreviewKind
from reelbench.service.provider_client.formats import MediaError
from tests.service.references import CYAN, centre, image, looks, mp4, noise, png_of, sound

HTTP = httpx.Client(timeout=15, limits=httpx.Limits(max_keepalive_connections=0))
JPEG_TYPE, MP4_TYPE = "image/jpeg", "video/mp4"


def data_url(content: bytes, media_type: str = "image/png") -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def ended(url: str, answer: Any) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    return dict(HTTP.get(f"{url}/v1/videos/{answer.json()['id']}/wait", params={"timeout": 15}).json())


def download(url: str, video: dict[str, Any]) -> bytes:
    answer = HTTP.get(f"{url}/v1/videos/{video['id']}/content")
    assert answer.status_code == 200, answer.text
    return answer.content


@pytest.mark.extended
@pytest.mark.parametrize(
    ("content", "media_type", "kind"),
    [
        (image("PNG"), "image/png", "image"),
        (image("JPEG"), JPEG_TYPE, "image"),
        (image("WEBP"), "image/webp", "image"),
        (image("PNG"), "application/octet-stream", "image"),
        (mp4(), MP4_TYPE, "video"),
    ],
    ids=["png", "jpeg", "webp", "type-unknown", "mp4"],
)
def test_the_first_scene_shows_the_reference(
    start: Callable[..., Any], providers: Any, content: bytes, media_type: str, kind: str
) -> None:
    running = start()
    files = {"input_reference": ("reference", content, media_type)}
    video = ended(running.url, HTTP.post(f"{running.url}/v1/videos", data={"prompt": "x"}, files=files))
    assert (video["status"], video["error"]) == ("completed", None)
    made = download(running.url, video)
    assert looks(made) == (180, 320, 10, 2.5, pytest.approx(4, abs=0.07))
    assert centre(made) == pytest.approx(CYAN, abs=8)
    assert centre(made, 2)[1] > 150 > centre(made, 2)[2], "the second scene is that of the image provider: lime"
    assert providers.calls == {"llm": 1, "tts": 5, "image": 4}
    manifest = HTTP.get(f"{running.url}/v1/videos/{video['id']}/manifest").json()
    reference = manifest["reference"]
    assert (reference["kind"], reference["bytes"], reference["media_type"]) == (kind, len(content), media_type)
    assert manifest["document"] is None
    assert [stage["name"] for stage in manifest["stages"]].count("parse") == 0


def test_data_urls_in_json_and_in_a_form(start: Callable[..., Any]) -> None:
    running = start()
    url = f"{running.url}/v1/videos"
    for body in ({"input_reference": {"image_url": data_url(image())}}, {"input_reference": data_url(image())}):
        video = ended(running.url, HTTP.post(url, json={"prompt": "x"} | body))
        assert centre(download(running.url, video)) == pytest.approx(CYAN, abs=8)
    large = image("PNG", size=(16, 16)) + bytes(1_500_000)  # more than a body without a reference may have
    video = ended(running.url, HTTP.post(url, json={"prompt": "x", "input_reference": data_url(large)}))
    assert centre(download(running.url, video)) == pytest.approx(CYAN, abs=8)
    form = {"prompt": (None, "x"), "input_reference[image_url]": (None, data_url(image("WEBP")))}
    video = ended(running.url, HTTP.post(url, files=form))
    assert centre(download(running.url, video)) == pytest.approx(CYAN, abs=8)


def test_a_file_that_does_not_decode_is_refused(shared: Any, subtests: pytest.Subtests) -> None:
    whole_jpeg, whole_png, whole_webp, whole_mp4 = noise("JPEG"), noise("PNG"), noise("WEBP"), mp4()
    for name, content, code in [
        ("half a JPEG", whole_jpeg[: len(whole_jpeg) // 2], "invalid_image"),
        ("half a PNG", whole_png[: len(whole_png) // 2], "invalid_image"),
        ("half a WebP", whole_webp[: len(whole_webp) // 2], "invalid_image"),
        ("a PNG with a wrong checksum", whole_png[:60] + bytes([whole_png[60] ^ 1]) + whole_png[61:], "invalid_image"),
        ("the start of a JPEG", whole_jpeg[:4], "invalid_image"),
        ("a PNG of 400 million pixels", png_of(20_000, 20_000), "invalid_image"),
        ("a PNG without pixels", png_of(0, 0), "invalid_image"),
        ("a PNG with too little picture", png_of(64, 64), "invalid_image"),
        ("half an MP4", whole_mp4[: len(whole_mp4) // 2], "invalid_video"),
        ("an MP4 with sound only", sound(), "invalid_video"),
        ("an MP4 of an unknown codec", whole_mp4.replace(b"avc1", b"zzzz"), "invalid_video"),
        ("an MP4 of zeros", b"\0\0\0\x18ftypisom" + bytes(500), "invalid_video"),
        ("a GIF", b"GIF89a" + bytes(100), "unsupported_document"),
        ("an SVG", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "unsupported_document"),
    ]:
        with subtests.test(name):
            files = {"input_reference": (name, content, "image/png")}
            answer = HTTP.post(f"{shared.url}/v1/videos", data={"prompt": "x"}, files=files)
            error = answer.json()["error"]
            assert (answer.status_code, error["code"], error["param"]) == (400, code, "input_reference")
            assert error["type"] == "invalid_request_error"
    assert list(shared.data_dir.iterdir()) == []


@pytest.mark.extended
@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.sampled_from([noise("PNG"), noise("JPEG"), noise("WEBP"), mp4()]), st.data())
def test_no_damaged_file_causes_an_internal_error(shared: Any, whole: bytes, data: st.DataObject) -> None:
    content = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content)))
        removed, added = data.draw(st.integers(0, 8)), data.draw(st.binary(max_size=8))
        content[place : place + removed] = added
    files = {"input_reference": ("a", bytes(content))}
    answer = HTTP.post(f"{shared.url}/v1/videos", data={"prompt": "x"}, files=files)
    if answer.status_code == 200:
        HTTP.delete(f"{shared.url}/v1/videos/{answer.json()['id']}")
        return
    assert answer.status_code == 400
    codes = {"invalid_image", "invalid_video", "unsupported_document", "empty_document"}
    assert answer.json()["error"]["code"] in codes


def test_a_reference_that_is_no_content_is_refused(shared: Any, subtests: pytest.Subtests) -> None:
    for reference, code in [
        ({"image_url": "http://example.com/a.png"}, "unsupported_input_reference"),
        ({"image_url": "file:///etc/passwd"}, "unsupported_input_reference"),
        ({"image_url": None}, None),
        ({"image_url": 5}, "unsupported_input_reference"),
        ({"image_url": data_url(image()), "file_id": "f"}, "unsupported_input_reference"),
        ({}, "unsupported_input_reference"),
        ([data_url(image())], "unsupported_input_reference"),
        ({"image_url": "data:image/png;base64,%%%"}, "invalid_value"),
        ({"image_url": "data:image/png;base64,aGFsbG8"}, "invalid_value"),
        ({"image_url": "data:image/png;base64,"}, "empty_document"),
        ({"image_url": "data:image/png,abc"}, "unsupported_input_reference"),
        ({"image_url": data_url(b"hello")}, "unsupported_document"),
        ({"image_url": data_url(b"x" * 100_001)}, "document_too_large"),
    ]:
        with subtests.test(reference=str(reference)[:60]):
            answer = HTTP.post(f"{shared.url}/v1/videos", json={"prompt": "x", "input_reference": reference})
            if code is None:
                HTTP.delete(f"{shared.url}/v1/videos/{answer.json()['id']}")
                assert answer.status_code == 200
                continue
            assert answer.status_code == (413 if code == "document_too_large" else 400)
            assert (answer.json()["error"]["code"], answer.json()["error"]["param"]) == (code, "input_reference")


def test_a_large_json_body_is_one_long_reference(start: Callable[..., Any]) -> None:
    running = start()
    many = b'{"prompt": "x", "a": [' + b"[]," * 500_000 + b"1]}"
    for content, code in ((many, "request_too_large"), (b'"' + b"x" * (9 << 20) + b'"', "request_too_large")):
        headers = {"content-type": "application/json"}
        answer = HTTP.post(f"{running.url}/v1/videos", headers=headers, content=content)
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, code)


def test_previews(start: Callable[..., Any]) -> None:
    running = start()
    files = {"input_reference": ("a.png", image(), "image/png")}
    video = ended(running.url, HTTP.post(f"{running.url}/v1/videos", data={"prompt": "x"}, files=files))
    content = f"{running.url}/v1/videos/{video['id']}/content"
    for variant, media_type, kind, extension, size in [
        ("thumbnail", "image/webp", "WEBP", "webp", (180, 320)),
        ("spritesheet", JPEG_TYPE, "JPEG", "jpg", (5 * 90, 2 * 160)),
    ]:
        answer = HTTP.get(content, params={"variant": variant})
        assert (answer.status_code, answer.headers["content-type"]) == (200, media_type)
        assert answer.headers["content-disposition"] == f'attachment; filename="{video["id"]}.{extension}"'
        with Image.open(io.BytesIO(answer.content)) as picture:
            assert (picture.format, picture.size) == (kind, size)
            shown = picture.convert("RGB")
            assert shown.getpixel((45, 80)) == pytest.approx(CYAN, abs=12), "the first frame"
            if variant == "spritesheet":
                # Ten tiles, one for each frame: the last is that of the last scene, magenta.
                assert shown.getpixel((405, 240)) == pytest.approx((255, 0, 255), abs=12)
                assert shown.getpixel((225, 80)) == pytest.approx((0, 255, 0), abs=12), "the second scene"
    assert HTTP.get(content, params={"variant": "video"}).content == HTTP.get(content).content
    (running.data_dir / video["id"] / "content.mp4").unlink()
    answer = HTTP.get(content, params={"variant": "thumbnail"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "content_unavailable")


def test_a_video_of_one_frame_has_previews_too(start: Callable[..., Any]) -> None:
    running = start()
    video = ended(running.url, HTTP.post(f"{running.url}/v1/videos", json={"prompt": "x", "num_frames": 1}))
    assert looks(download(running.url, video))[2] == 1
    for variant, size in (("thumbnail", (180, 320)), ("spritesheet", (450, 320))):
        answer = HTTP.get(f"{running.url}/v1/videos/{video['id']}/content", params={"variant": variant})
        assert Image.open(io.BytesIO(answer.content)).size == size


@pytest.mark.parametrize("kind", ["thumbnail", "spritesheet"])
@pytest.mark.parametrize(
    ("damaged", "reason"),
    [
        (b"", r"Invalid argument"),
        (mp4().replace(b"avc1\x00", b"zzzz\x00"), "FFmpeg does not know its codec"),
        (mp4()[:200], ""),
    ],
    ids=["empty", "codec", "truncated"],
)
def test_a_preview_of_a_damaged_video_is_no_defect_of_the_worker(
    kind: PreviewKind, damaged: bytes, reason: str, tmp_path: Path
) -> None:
    (tmp_path / "video").write_bytes(damaged)
    with pytest.raises(MediaError, match=rf"^a video without a {kind} \(.*{reason}"):
        preview.make(tmp_path / "video", kind)

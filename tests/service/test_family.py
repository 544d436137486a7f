"""The service as one of the family of text-to-video servers: the OpenAI client, shared fields, models, access."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import httpx
import pytest
from openai import AuthenticationError, NotFoundError, OpenAI
from PIL import Image

from tests.service.references import CYAN, centre, image, looks

HTTP = httpx.Client(timeout=15, limits=httpx.Limits(max_keepalive_connections=0))
UNKNOWN = "video_" + "0" * 32

pytestmark = pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")


@pytest.fixture
def client(start: Callable[..., Any]) -> Iterator[Any]:
    running = start()
    with OpenAI(api_key="any", base_url=f"{running.url}/v1", max_retries=0) as openai:
        vars(openai)["running"] = running
        yield openai


def made(url: str, **fields: Any) -> dict[str, Any]:
    """A video of these fields, after its end."""
    answer = HTTP.post(f"{url}/v1/videos", json={"prompt": "x"} | fields)
    assert answer.status_code == 200, answer.text
    video = HTTP.get(f"{url}/v1/videos/{answer.json()['id']}/wait", params={"timeout": 15}).json()
    assert video["status"] == "completed", video
    return dict(video)


def content(url: str, video: dict[str, Any]) -> bytes:
    return HTTP.get(f"{url}/v1/videos/{video['id']}/content").content


def test_the_official_client_makes_a_video_of_an_image_and_remixes_it(client: Any, providers: Any) -> None:
    video = client.videos.create(
        prompt="A paper boat", size="1280x720", seconds="8", input_reference=("a.png", image(), "image/png")
    )
    assert (video.status, video.remixed_from_video_id) == ("queued", None)
    video = client.videos.poll(video.id)
    assert (video.status, video.progress, video.size, video.seconds) == ("completed", 100, "1280x720", "8")
    assert client.videos.retrieve(video.id) == video
    file = client.videos.download_content(video.id).read()
    assert looks(file) == (320, 180, 20, 2.5, pytest.approx(8, abs=0.07))
    assert centre(file) == pytest.approx(CYAN, abs=8)
    for variant, kind, size in (("thumbnail", "WEBP", (320, 180)), ("spritesheet", "JPEG", (800, 180))):
        picture = Image.open(io.BytesIO(client.videos.download_content(video.id, variant=variant).read()))
        assert (picture.format, picture.size) == (kind, size)

    remix = client.videos.poll(client.videos.remix(video.id, prompt="At night").id)
    assert (remix.status, remix.remixed_from_video_id, remix.prompt) == ("completed", video.id, "At night")
    assert (remix.size, remix.seconds, remix.model) == ("1280x720", "8", "sora-2")
    assert centre(client.videos.download_content(remix.id).read()) == pytest.approx(CYAN, abs=8)
    assert providers.calls == {"llm": 2, "tts": 10, "image": 8}
    assert [one.id for one in client.videos.list()] == [remix.id, video.id]
    assert client.videos.delete(video.id).deleted
    assert client.videos.retrieve(remix.id).status == "completed", "a remix does not need its source"
    assert [one.id for one in client.videos.list()] == [remix.id]


def test_a_remix_keeps_the_parameters_of_its_source(start: Callable[..., Any]) -> None:
    url = start(max_upload_bytes=100).url  # a source is no upload
    source = made(url, width=64, height=96, num_frames=12, fps=6, seed=5, quality="high")
    answer = HTTP.post(f"{url}/v1/videos/{source['id']}/remix", json={"prompt": "y"})
    remix = HTTP.get(f"{url}/v1/videos/{answer.json()['id']}/wait").json()
    assert (remix["seconds"], remix["size"], remix["quality"], remix["prompt"]) == ("2", "64x96", "high", "y")
    assert looks(content(url, remix)) == (64, 96, 12, 6, pytest.approx(2, abs=0.07))
    parameters = HTTP.get(f"{url}/v1/videos/{remix['id']}/manifest").json()["parameters"]
    assert (parameters["seed"], parameters["num_frames"]) == (5, 12)


def test_a_remix_that_is_not_possible(
    start: Callable[..., Any], providers: Any, create: Callable[..., Any], subtests: pytest.Subtests
) -> None:
    url = (running := start()).url
    done = made(url)["id"]
    providers.gate.clear()
    unfinished = create(running, wait=0)["id"]
    for video_id, body, status, code, param in [
        (UNKNOWN, {"prompt": "x"}, 404, "video_not_found", "video_id"),
        ("x", {"prompt": "x"}, 404, "video_not_found", "video_id"),
        (unfinished, {"prompt": "x"}, 400, "video_not_ready", "video_id"),
        (done, {}, 400, "missing_required_parameter", "prompt"),
        (done, {"prompt": ""}, 400, "invalid_value", "prompt"),
        (done, {"prompt": "x", "size": "720x1280"}, 400, "unknown_parameter", "size"),
        (done, {"prompt": "x", "input_reference": "x"}, 400, "unknown_parameter", "input_reference"),
        (done, [], 400, "invalid_json", None),
    ]:
        with subtests.test(video_id=video_id, body=str(body)):
            answer = HTTP.post(f"{url}/v1/videos/{video_id}/remix", json=body)
            error = answer.json()["error"]
            assert (answer.status_code, error["code"], error["param"]) == (status, code, param)
    (running.data_dir / done / "content.mp4").unlink()
    answer = HTTP.post(f"{url}/v1/videos/{done}/remix", json={"prompt": "x"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "content_unavailable")


def test_what_the_service_lacks_is_not_found(client: Any) -> None:
    calls: list[Callable[[], object]] = [
        lambda: client.videos.edit(video=b"x", prompt="x"),
        lambda: client.videos.extend(video=b"x", prompt="x", seconds="4"),
        lambda: client.videos.create_character(video=b"x", name="x"),
        lambda: client.videos.get_character("x"),
    ]
    for call in calls:
        with pytest.raises(NotFoundError) as error:
            call()
        assert error.value.code == "unknown_url"


def test_allow_names_all_methods_of_the_path(start: Callable[..., Any], subtests: pytest.Subtests) -> None:
    url = start(admin=True, faults=True).url
    for method, path, allowed in [
        ("PUT", "/v1/videos", "GET, HEAD, POST"),
        ("POST", f"/v1/videos/{UNKNOWN}", "DELETE, GET, HEAD"),
        ("GET", f"/v1/videos/{UNKNOWN}/remix", "POST"),
        ("DELETE", f"/v1/videos/{UNKNOWN}/content", "GET, HEAD"),
        ("POST", "/v1/models", "GET, HEAD"),
        ("POST", "/v1/admin/switches", "DELETE, GET, HEAD, PUT"),
        ("POST", "/faults", "DELETE, GET, HEAD, PUT"),
        ("POST", "/health", "GET, HEAD"),
        ("PUT", "/openapi.json", "GET, HEAD"),
    ]:
        with subtests.test(method=method, path=path):
            answer = HTTP.request(method, url + path)
            assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
            # Every other method is really served: it is answered otherwise.
            for named in allowed.split(", "):
                assert HTTP.request(named, url + path).status_code != 405


def test_a_disabled_admin_path_does_not_exist_for_any_method(shared: Any) -> None:
    for method in ("GET", "PUT", "POST"):
        assert HTTP.request(method, f"{shared.url}/v1/admin/switches").status_code == 404


@pytest.mark.extended
def test_the_video_has_the_asked_frames_rate_and_size(start: Callable[..., Any], subtests: pytest.Subtests) -> None:
    url = start().url
    rows: list[tuple[dict[str, Any], str, str, tuple[float, ...]]] = [
        ({"num_frames": 81, "fps": 16, "size": "832x480"}, "5.0625", "832x480", (832, 480, 81, 16, 5.0625)),
        ({"num_frames": 33}, "4", "720x1280", (180, 320, 33, 8.25, 4)),
        ({"fps": 24, "seconds": "8"}, "8", "720x1280", (180, 320, 192, 24, 8)),
        ({"width": 480, "height": 832, "size": "1280x720"}, "4", "480x832", (480, 832, 10, 2.5, 4)),
        ({"width": 1280, "height": 720}, "4", "1280x720", (1280, 720, 10, 2.5, 4)),
        ({"num_frames": 1, "fps": 1}, "1", "720x1280", (180, 320, 1, 1, 1)),
    ]
    for fields, seconds, size, expected in rows:
        with subtests.test(fields=str(fields)):
            video = made(url, **fields)
            assert (video["seconds"], video["size"], video["quality"]) == (seconds, size, "standard")
            assert looks(content(url, video)) == pytest.approx(expected, abs=0.07)
    form = {name: (None, value) for name, value in {"prompt": "x", "num_frames": "8", "fps": "4.0"}.items()}
    answer = HTTP.post(f"{url}/v1/videos", files=form)
    assert (answer.status_code, answer.json()["seconds"]) == (200, "2")


def test_full_size_as_a_setting(start: Callable[..., Any]) -> None:
    url = start(full_size=True).url
    assert looks(content(url, made(url)))[:3] == (720, 1280, 10)


def test_fields_that_are_wrong(shared: Any, subtests: pytest.Subtests) -> None:
    rows: list[tuple[dict[str, Any], str, str]] = [
        ({"num_frames": 0}, "num_frames", "greater than or equal to 1"),
        ({"num_frames": 1001}, "num_frames", "less than or equal to 1000"),
        ({"num_frames": 10**30}, "num_frames", "exceeded maximum size"),
        ({"num_frames": 2.5}, "num_frames", "integer"),
        ({"num_frames": True}, "num_frames", "number"),
        ({"num_frames": "many"}, "num_frames", "integer"),
        ({"num_frames": [1]}, "num_frames", "integer"),
        ({"num_frames": 900, "fps": 1}, "num_frames", r"900 frames at 1 frames per second last 900 s"),
        ({"num_frames": 800, "width": 2048, "height": 2048}, "num_frames", "more than 700,000,000 pixels together"),
        ({"fps": 60, "seconds": "12", "size": "2048x2048"}, "fps", "720 frames of 2048x2048"),
        ({"fps": 0}, "fps", "greater than or equal to 1"),
        ({"fps": 61}, "fps", "less than or equal to 60"),
        ({"fps": "nan"}, "fps", "greater"),
        ({"fps": "inf"}, "fps", "less"),
        ({"num_inference_steps": 0}, "num_inference_steps", "greater"),
        ({"num_inference_steps": 1001}, "num_inference_steps", "less"),
        ({"guidance_scale": -1}, "guidance_scale", "greater"),
        ({"guidance_scale": "-inf"}, "guidance_scale", "greater"),
        ({"seed": -1}, "seed", "greater"),
        ({"seed": 2**63}, "seed", "less"),
        ({"width": 640}, "height", "give both sides or neither"),
        ({"height": 640}, "width", "give both sides or neither"),
        ({"width": 14, "height": 640}, "width", "greater than or equal to 16"),
        ({"width": 2050, "height": 640}, "width", "less than or equal to 2048"),
        ({"width": 641, "height": 640}, "width", "multiple of 2"),
        ({"size": "640x481"}, "size", "even number from 16 to 2048"),
        ({"size": "9999x16"}, "size", "even number from 16 to 2048"),
        ({"size": "0x0"}, "size", "pattern"),
        ({"size": "640x480\n"}, "size", "pattern"),
        ({"quality": "best"}, "quality", "'standard', 'high' or 'hd'"),
        ({"quality": 1}, "quality", "'standard', 'high' or 'hd'"),
        ({"negative_prompt": "x" * 32_001}, "negative_prompt", "32000"),
        ({"steps": 5}, "steps", "Unknown parameter"),
    ]
    for fields, param, words in rows:
        with subtests.test(fields=str(fields)[:60]):
            answer = HTTP.post(f"{shared.url}/v1/videos", json={"prompt": "x", **fields})
            assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
            assert re.search(words, answer.json()["error"]["message"])
    assert list(shared.data_dir.iterdir()) == []


def test_fields_that_guide_a_picture_reach_the_image_provider_only_when_asked(
    start: Callable[..., Any], providers: Any
) -> None:
    url = start().url
    guiding = {"seed": 42, "negative_prompt": "blur", "num_inference_steps": 30, "guidance_scale": 4.5}
    video = made(url, **guiding)
    sent = [payload for name, _, payload in providers.requests if name == "image"]
    assert len(sent) == 5
    assert all(guiding.items() <= payload.items() for payload in sent)
    nothing = {"width": None, "height": None, "num_frames": None, "fps": None}
    manifest = HTTP.get(f"{url}/v1/videos/{video['id']}/manifest").json()
    assert manifest["parameters"] == guiding | nothing
    providers.requests.clear()
    video = made(url)
    sent = [payload for name, _, payload in providers.requests if name == "image"]
    assert [set(payload) for payload in sent] == [{"model", "prompt", "size", "output_format", "n"}] * 5
    assert HTTP.get(f"{url}/v1/videos/{video['id']}/manifest").json()["parameters"] is None


def test_a_seed_decides_the_pictures(start: Callable[..., Any], mock_providers: str) -> None:
    url = start(llm_url=mock_providers, tts_url=mock_providers, image_url=mock_providers).url

    def pictures(**fields: Any) -> list[str]:
        manifest = HTTP.get(f"{url}/v1/videos/{made(url, **fields)['id']}/manifest").json()
        return [scene["visual"]["sha256"] for scene in manifest["scenes"]]

    first = pictures(seed=1)
    assert pictures(seed=1) == first
    assert set(pictures(seed=2)).isdisjoint(first)
    assert set(pictures()).isdisjoint(first)


def test_a_completed_video_says_how_long_the_service_worked(start: Callable[..., Any], providers: Any) -> None:
    url = start(workers=1).url
    providers.gate.clear()
    first, second = (HTTP.post(f"{url}/v1/videos", json={"prompt": "x"}).json()["id"] for _ in range(2))
    waiting = HTTP.get(f"{url}/v1/videos/{second}")
    assert (waiting.json()["inference_time_s"], "server-timing" in waiting.headers) == (None, False)
    providers.gate.set()
    for video_id in (first, second):
        waited = HTTP.get(f"{url}/v1/videos/{video_id}/wait")
        times = HTTP.get(f"{url}/v1/videos/{video_id}/manifest").json()["timings"]
        seconds = waited.json()["inference_time_s"]
        assert seconds == pytest.approx(times["ended"] - times["started"], abs=1e-6)
        assert 0 < seconds < times["ended"] - times["created"]
        assert waited.json()["peak_memory_mb"] is None
        expected = f"generation;dur={1000 * seconds:.3f}"
        assert waited.headers["server-timing"] == expected
        for path in ("", "/content", "/content?variant=thumbnail"):
            assert HTTP.get(f"{url}/v1/videos/{video_id}{path}").headers["server-timing"] == expected
    failed = HTTP.get(f"{url}/v1/videos/{UNKNOWN}")
    assert "server-timing" not in failed.headers


def test_an_accelerator_as_settings(start: Callable[..., Any]) -> None:
    url = start(workers=1, seconds_per_step=0.02, inference_steps=10, peak_memory_mb=21_504.5).url
    ids = [
        HTTP.post(f"{url}/v1/videos", json={"prompt": "x"} | fields).json()["id"]
        for fields in ({}, {"num_inference_steps": 30}, {"num_inference_steps": 1})
    ]
    videos = [HTTP.get(f"{url}/v1/videos/{video_id}/wait").json() for video_id in ids]
    assert [video["status"] for video in videos] == ["completed"] * 3
    assert [video["peak_memory_mb"] for video in videos] == [21_504.5] * 3
    for video, least in zip(videos, (0.2, 0.6, 0.02), strict=True):
        assert least <= video["inference_time_s"] < least + 1
    manifests = [HTTP.get(f"{url}/v1/videos/{video_id}/manifest").json() for video_id in ids]
    times = [manifest["timings"] for manifest in manifests]
    assert all(after["started"] >= before["ended"] for before, after in pairwise(times))
    compose = manifests[1]["stages"][-1]
    assert (compose["name"], compose["ended"] - compose["started"] >= 0.6) == ("compose", True)


def test_steps_beyond_the_time_limit_of_a_job_end_it(start: Callable[..., Any], create: Callable[..., Any]) -> None:
    video = create(start(seconds_per_step=1, inference_steps=1000, job_timeout=0.5))
    assert (video["status"], video["error"]["code"], video["inference_time_s"]) == ("failed", "job_timeout", None)
    assert 90 <= video["progress"] < 100


def test_models(start: Callable[..., Any], client: Any) -> None:
    assert [model.id for model in client.models.list()] == ["sora-2"]
    assert client.models.retrieve("sora-2").object == "model"
    assert made(client.running.url, model="any-name/at-all")["model"] == "any-name/at-all"
    running = start(models=("wan/2.2", "hunyuan"), data_dir=client.running.data_dir.with_name("other"))
    url = running.url
    with OpenAI(api_key="any", base_url=f"{url}/v1", max_retries=0) as other:
        assert [model.id for model in other.models.list()] == ["wan/2.2", "hunyuan"]
        assert other.models.retrieve("wan/2.2").id == "wan/2.2"
        with pytest.raises(NotFoundError) as error:
            other.models.retrieve("sora-2")
        assert error.value.code == "model_not_found"
    assert made(url)["model"] == "wan/2.2"
    assert made(url, model="hunyuan")["model"] == "hunyuan"
    answer = HTTP.post(f"{url}/v1/videos", json={"prompt": "x", "model": "sora-2"})
    assert (answer.status_code, answer.json()["error"]) == (
        400,
        {
            "message": "The model 'sora-2' does not exist; this service offers wan/2.2, hunyuan.",
            "type": "invalid_request_error",
            "param": "model",
            "code": "model_not_found",
        },
    )


def test_models_of_the_environment_are_a_list_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    from reelbench.service.settings import Settings  # noqa: PLC0415 - reads the environment

    monkeypatch.setenv("SERVICE_MODELS", "wan, hunyuan ,")
    assert Settings().models == ("wan", "hunyuan")


def test_with_a_key_only_its_holders_are_answered(start: Callable[..., Any], subtests: pytest.Subtests) -> None:
    url = start(api_key="open sesame", admin=True, faults=True).url
    for headers, code in [
        ({}, "missing_api_key"),
        ({"Authorization": "Bearer"}, "missing_api_key"),
        ({"Authorization": "Bearer wrong"}, "invalid_api_key"),
        ({"Authorization": "Bearer öpen"}, "invalid_api_key"),
        ({"Authorization": "open sesame"}, "invalid_api_key"),
        ({"Authorization": "Basic open sesame"}, "invalid_api_key"),
        ({"X-Api-Key": "open sesame"}, "missing_api_key"),
    ]:
        with subtests.test(headers=str(headers)):
            for path in ("/v1/videos", "/v1/models", "/v1/admin/switches", "/faults", "/openapi.json", "/nothing"):
                given = [(name.encode(), value.encode()) for name, value in headers.items()]
                answer = HTTP.get(url + path, headers=given)
                assert (answer.status_code, answer.json()["error"]["code"]) == (401, code)
                assert answer.headers["www-authenticate"] == "Bearer"
                assert answer.json()["error"]["type"] == "invalid_request_error"
                assert "sesame" not in answer.text
    large = ("a.pdf", b"%PDF-" + bytes(3_000_000))
    assert HTTP.post(f"{url}/v1/videos", files={"input_reference": large}).status_code == 401
    for path in ("/health", "/ready"):
        assert HTTP.get(url + path).status_code == 200
    right = {"Authorization": "bearer open sesame"}
    assert HTTP.get(f"{url}/v1/admin/switches", headers=right).status_code == 200
    with OpenAI(api_key="wrong", base_url=f"{url}/v1", max_retries=0) as client, pytest.raises(AuthenticationError):
        client.videos.create(prompt="x")
    with OpenAI(api_key="open sesame", base_url=f"{url}/v1", max_retries=0) as client:
        assert client.videos.create_and_poll(prompt="x").status == "completed"

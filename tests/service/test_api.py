"""The API through the stock OpenAI client, and the extensions through plain HTTP."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import Callable, Iterator
from typing import Any

import av
import httpx
import pytest
from openai import NotFoundError, OpenAI

HTTP = httpx.Client(timeout=15, limits=httpx.Limits(max_keepalive_connections=0))

pytestmark = pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")


@pytest.fixture
def client(start: Callable[..., Any]) -> Iterator[Any]:
    running = start()
    with OpenAI(api_key="any", base_url=f"{running.url}/v1", max_retries=0) as openai:
        vars(openai)["running"] = running
        yield openai


def test_create_and_poll_with_a_document_gives_a_playable_video(client: Any, files: Any) -> None:
    video = client.videos.create_and_poll(
        prompt="Explain queues",
        model="sora-2-pro",
        seconds="8",
        size="1280x720",
        input_reference=("paper.pdf", files.pdf(), "application/pdf"),
    )
    assert (video.status, video.progress, video.model, video.seconds, video.size) == (
        "completed",
        100,
        "sora-2-pro",
        "8",
        "1280x720",
    )
    assert video.prompt == "Explain queues"
    assert 0 <= video.completed_at - video.created_at <= 5

    content = client.videos.download_content(video.id).read()
    with av.open(io.BytesIO(content)) as container:
        picture, sound = container.streams.video[0], container.streams.audio[0]
        assert container.duration == pytest.approx(8_000_000, abs=70_000)
        assert (picture.codec.name, picture.pix_fmt, picture.width, picture.height) == ("h264", "yuv420p", 320, 180)
        assert (sound.codec.name, sound.rate, sound.layout.name) == ("aac", 16000, "mono")
        frames = [frame.to_ndarray(format="rgb24")[90, 160] for frame in container.decode(picture)]
    assert len(frames) == 20
    reds = [bool(frame[0] > 150) for frame in frames]
    assert reds == [True] * 4 + [False] * 8 + [True] * 8


def test_json_create_without_a_document(client: Any) -> None:
    answer = HTTP.post(f"{client.running.url}/v1/videos", json={"prompt": "x", "seconds": 12})
    assert answer.status_code == 200
    assert answer.json()["status"] == "queued"
    assert answer.json()["seconds"] == "12"
    assert answer.headers["openai-poll-after-ms"] == "200"
    assert client.videos.poll(answer.json()["id"]).status == "completed"


def test_pages_have_no_gap_or_duplicate_in_both_orders(client: Any) -> None:
    made = [client.videos.create(prompt=f"video {n}").id for n in range(7)]
    assert [video.id for video in client.videos.list(limit=3, order="asc")] == made
    assert [video.id for video in client.videos.list(limit=2)] == made[::-1]
    page = client.videos.list(limit=3, order="asc", after=made[3])
    assert ([video.id for video in page.data], page.has_more, page.last_id) == (made[4:], False, made[6])
    empty = client.videos.list(after=made[0])
    assert (empty.data, empty.has_more, empty.last_id) == ([], False, None)


def test_delete_of_a_completed_video_removes_record_and_files(client: Any) -> None:
    video = client.videos.create_and_poll(prompt="x")
    folder = client.running.data_dir / video.id
    assert (folder / "content.mp4").is_file()
    deleted = client.videos.delete(video.id)
    assert (deleted.id, deleted.deleted, deleted.object) == (video.id, True, "video.deleted")
    assert list(client.running.data_dir.iterdir()) == []
    assert list(client.videos.list()) == []
    for gone in (client.videos.retrieve, client.videos.delete, client.videos.download_content):
        with pytest.raises(NotFoundError) as error:
            gone(video.id)
        assert error.value.code == "video_not_found"


def test_manifest_names_every_file_with_its_true_checksum(
    start: Callable[..., Any], create: Callable[..., Any]
) -> None:
    running = start()
    video = create(running)
    manifest = HTTP.get(f"{running.url}/v1/videos/{video['id']}/manifest").json()
    assert (manifest["video_id"], manifest["status"]) == (video["id"], "completed")
    assert manifest["document"]["pages"] == 2
    assert manifest["document"]["characters"] == len("Page 1 about queues\nPage 2 about queues")
    assert [scene["visual_type"] for scene in manifest["scenes"]] == [
        "illustration",
        "diagram",
        "chart",
        "illustration",
        "diagram",
    ]
    assets = [manifest["content"], *(s[k] for s in manifest["scenes"] for k in ("audio", "visual"))]
    assert len(assets) == 11
    folder = running.data_dir / video["id"]
    for asset in assets:
        content = (folder / asset["path"]).read_bytes()
        assert (asset["bytes"], asset["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert sorted(path.name for path in folder.iterdir()) == sorted([*(a["path"] for a in assets), "document"])
    names = [stage["name"] for stage in manifest["stages"]]
    assert (names[:2], names[-1]) == (["parse", "script"], "compose")
    assert (names.count("speech"), names.count("visual")) == (5, 5)
    times = manifest["timings"]
    assert times["created"] <= times["started"] <= manifest["stages"][0]["started"]
    assert manifest["stages"][-1]["ended"] <= times["ended"]


def test_wait_returns_the_final_state_or_the_current_one_after_the_timeout(
    start: Callable[..., Any], providers: Any, create: Callable[..., Any]
) -> None:
    running = start()
    providers.gate.clear()
    video = create(running, wait=0.05)
    assert video["status"] == "in_progress"
    providers.gate.set()
    path = f"{running.url}/v1/videos/{video['id']}/wait"
    assert HTTP.get(path, params={"timeout": 10}).json()["status"] == "completed"
    assert HTTP.get(path).json()["status"] == "completed"


def test_content_of_an_unfinished_job_is_rejected(
    start: Callable[..., Any], providers: Any, create: Callable[..., Any]
) -> None:
    running = start()
    providers.gate.clear()
    video = create(running, wait=0)
    answer = HTTP.get(f"{running.url}/v1/videos/{video['id']}/content")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "video_not_ready")


def test_lost_content_is_reported(start: Callable[..., Any], create: Callable[..., Any]) -> None:
    running = start()
    video = create(running)
    (running.data_dir / video["id"] / "content.mp4").unlink()
    answer = HTTP.get(f"{running.url}/v1/videos/{video['id']}/content")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "content_unavailable")


def test_probes(shared: Any) -> None:
    assert HTTP.get(f"{shared.url}/health").json() == {"status": "ok"}
    assert HTTP.get(f"{shared.url}/ready").json() == {"status": "ok"}


@pytest.mark.extended
async def test_many_jobs_at_once_all_complete(start: Callable[..., Any], providers: Any) -> Any:
    running = start(workers=4)
    async with httpx.AsyncClient(base_url=running.url, timeout=30) as client:

        async def one(number: int) -> str:
            video = (await client.post("/v1/videos", json={"prompt": f"job {number}"})).json()
            return (await client.get(f"/v1/videos/{video['id']}/wait?timeout=30")).json()["status"]

        assert await asyncio.gather(*(one(n) for n in range(24))) == ["completed"] * 24
    assert providers.calls == {"llm": 24, "tts": 120, "image": 120}

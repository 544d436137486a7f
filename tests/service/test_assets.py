"""Downloads of single files."""

from __future__ import annotations

import hashlib
import http.client
import shutil
from collections.abc import Callable
from typing import Any

import httpx
import pytest

HTTP = httpx.Client(timeout=15, limits=httpx.Limits(max_keepalive_connections=0))


def raw(running: Any, path: str) -> tuple[int, bytes]:
    """Send the path unchanged; httpx would normalize it."""
    host, port = running.url.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_every_file_of_the_manifest_is_downloaded_with_its_type(
    start: Callable[..., Any], create: Callable[..., Any]
) -> None:
    running = start()
    video = create(running)
    base = f"{running.url}/v1/videos/{video['id']}"
    manifest = HTTP.get(f"{base}/manifest").json()
    assets = [manifest["content"], *(s[k] for s in manifest["scenes"] for k in ("audio", "visual"))]
    assert len(assets) == 11
    for asset in assets:
        answer = HTTP.get(f"{base}/assets/{asset['path']}")
        assert (answer.status_code, answer.headers["content-type"]) == (200, asset["media_type"])
        assert answer.headers["content-disposition"] == f'attachment; filename="{asset["path"]}"'
        assert (len(answer.content), hashlib.sha256(answer.content).hexdigest()) == (asset["bytes"], asset["sha256"])
    assert {asset["media_type"] for asset in assets} == {"audio/wav", "image/png", "video/mp4"}


def test_files_of_a_running_job_are_available_once_listed(
    start: Callable[..., Any], providers: Any, create: Callable[..., Any]
) -> None:
    running = start()
    providers.gate.clear()
    video = create(running, wait=0)
    base = f"{running.url}/v1/videos/{video['id']}"
    for name in ("content.mp4", "scene-0.wav"):
        answer = HTTP.get(f"{base}/assets/{name}")
        assert answer.json() == {
            "error": {
                "message": f"Video '{video['id']}' has no asset '{name}'; its manifest lists those it has.",
                "type": "invalid_request_error",
                "param": "name",
                "code": "asset_not_found",
            }
        }
        assert answer.status_code == 404
    providers.gate.set()
    assert HTTP.get(f"{base}/wait").json()["status"] == "completed"
    assert HTTP.get(f"{base}/assets/scene-0.wav").content[:4] == b"RIFF"


def test_hostile_names_get_404(start: Callable[..., Any], create: Callable[..., Any]) -> None:
    running = start()
    mine, other = create(running), create(running)
    (running.data_dir / "secret").write_text("classified")
    (running.data_dir / mine["id"] / "unlisted").write_text("classified")
    names = [
        "..",
        "../secret",
        "%2e%2e",
        "%2e%2e%2fsecret",
        "%2e%2e/secret",
        "..%5csecret",
        f"../{other['id']}/content.mp4",
        f"%2e%2e%2f{other['id']}%2fcontent.mp4",
        "//etc/passwd",
        "%2fetc%2fpasswd",
        "unlisted",
        "document",
        ".content.mp4.part",
        "content.mp4%00",
        "content.mp4/",
        "CONTENT.MP4",
        "scene-5.wav",
        "scene-0.wav%0d%0aX-Evil:1",
        "%ff",
        "%ed%a0%80",
        "a" * 5000,
        "",
        ".",
    ]
    for name in names:
        status, body = raw(running, f"/v1/videos/{mine['id']}/assets/{name}")
        assert status == 404, name
        assert b'"code":"' in body, name
        assert b"classified" not in body, name
    for video_id in ("video_" + "0" * 32, "..", "%2e%2e", "x", mine["id"].upper(), mine["id"][:-1]):
        status, body = raw(running, f"/v1/videos/{video_id}/assets/content.mp4")
        assert status == 404, video_id
    assert raw(running, f"/v1/videos/{mine['id']}/assets/content.mp4")[0] == 200


@pytest.mark.parametrize("path", ["assets/content.mp4", "content"])
def test_a_lost_file_is_reported_and_a_deleted_video_is_unknown(
    start: Callable[..., Any], create: Callable[..., Any], path: str
) -> None:
    running = start()
    video = create(running)
    base = f"{running.url}/v1/videos/{video['id']}"
    shutil.rmtree(running.data_dir / video["id"])
    answer = HTTP.get(f"{base}/{path}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "content_unavailable")
    assert HTTP.delete(base).status_code == 200
    assert HTTP.get(f"{base}/{path}").json()["error"]["code"] == "video_not_found"

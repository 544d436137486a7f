"""The service through the official OpenAI client library for Node."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from reelbench.stack.binaries import cache_folder
from tests.service.references import CYAN, centre, image, looks

VERSION = "6.49.0"
SCRIPT = Path(__file__).with_name("openai_client.mjs")

pytestmark = [pytest.mark.extended, pytest.mark.clients]


@pytest.fixture(scope="session")
def library() -> Path:
    """A folder in the cache in which Node finds the library."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("no Node and npm on this machine")
    folder = cache_folder() / f"openai-node-{VERSION}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            part = Path(scratch) / "library"
            command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(part)]
            done = subprocess.run(
                [*command, f"openai@{VERSION}"], capture_output=True, text=True, check=False, timeout=300
            )
            if done.returncode:
                pytest.skip(f"npm cannot install openai {VERSION}: {done.stderr.strip().splitlines()[-1]}")
            part.rename(folder)
    return folder


def test_a_video_of_an_image_from_creation_to_deletion(library: Path, start: Callable[..., Any]) -> None:
    running = start(api_key="node")
    environment = os.environ | {
        "SERVICE_URL": running.url,
        "SERVICE_KEY": "node",
        "IMAGE": base64.b64encode(image()).decode(),
    }
    done = subprocess.run(
        ["node", "--input-type=module"],
        cwd=library,
        env=environment,
        input=SCRIPT.read_text(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)

    assert centre(base64.b64decode(found["inline"]["content"])) == pytest.approx(CYAN, abs=8)
    created, video, remix = found["created"], found["video"], found["remix"]
    assert (created["status"], created["object"], created["id"]) == ("queued", "video", video["id"])
    assert (video["status"], video["progress"], video["error"]) == ("completed", 100, None)
    assert (video["model"], video["seconds"], video["size"]) == ("sora-2", "8", "1280x720")
    files = {variant: base64.b64decode(file["content"]) for variant, file in found["files"].items()}
    types = {variant: file["type"] for variant, file in found["files"].items()}
    assert types == {"video": "video/mp4", "thumbnail": "image/webp", "spritesheet": "image/jpeg"}
    assert looks(files["video"]) == (320, 180, 20, 2.5, pytest.approx(8, abs=0.07))
    assert centre(files["video"]) == pytest.approx(CYAN, abs=8)
    assert Image.open(io.BytesIO(files["thumbnail"])).size == (320, 180)
    assert Image.open(io.BytesIO(files["spritesheet"])).size == (800, 180)
    assert (remix["status"], remix["remixed_from_video_id"], remix["prompt"]) == ("completed", video["id"], "At night")
    assert found["listed"] == [remix["id"], video["id"], found["inlineId"]]
    assert found["models"] == ["sora-2"]
    assert (found["deleted"]["id"], found["deleted"]["deleted"]) == (video["id"], True)
    assert found["errors"] == [
        {"notFound": True, "status": 404, "code": "video_not_found", "param": "video_id"},
        {"notFound": True, "status": 404, "code": "unknown_url", "param": None},
    ]
    assert not (running.data_dir / video["id"]).exists()
    assert (running.data_dir / remix["id"]).is_dir()

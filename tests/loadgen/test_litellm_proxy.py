"""The real LiteLLM proxy, installed apart from this project, in front of a fake of the OpenAI Videos API."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from reelbench.stack.binaries import cache_folder
from tests.fakes.clip import ClipSpec
from tests.fakes.generation import Load
from tests.fakes.manners import manner
from tests.fakes.server import Fake
from tests.fakes.serving import serving
from tests.loadgen.target_runs import JOBS, assert_agreement, run_against

VERSION = "1.108.7"
PACKAGES = (f"litellm[proxy]=={VERSION}", "prisma==0.15.0")
"""Without prisma, this version answers a request without a key with 500."""
MASTER_KEY = "sk-master-0123456789"
BACKEND_KEY = "sk-backend-0123456789"
INSTALL_SECONDS = 900
START_SECONDS = 120

pytestmark = [pytest.mark.extended, pytest.mark.clients]


@pytest.fixture(scope="session")
def litellm() -> Path:
    """The command of the proxy, installed once into the cache."""
    folder = cache_folder().resolve() / f"litellm-{VERSION}"  # scripts name the folder in which they were installed
    program = folder / "bin" / "litellm"
    done = folder / "complete"
    if not done.exists():
        try:
            for command in (
                [sys.executable, "-m", "venv", "--clear", str(folder)],
                [str(folder / "bin" / "python"), "-m", "pip", "install", "-q", *PACKAGES],
            ):
                subprocess.run(command, check=True, capture_output=True, timeout=INSTALL_SECONDS)
        except (OSError, subprocess.SubprocessError) as error:
            said = getattr(error, "stderr", None) or str(error).encode()
            pytest.skip(f"the LiteLLM proxy cannot be installed: {said.decode(errors='replace').strip()[-200:]}")
        done.touch()
    return program


@contextmanager
def proxy(program: Path, folder: Path, backend: str) -> Iterator[str]:
    """Run the proxy in front of a backend and return its URL."""
    config = {
        "model_list": [
            {
                "model_name": "my-video",
                "litellm_params": {"model": "openai/fake-video-1", "api_base": backend, "api_key": BACKEND_KEY},
            }
        ],
        "general_settings": {"master_key": MASTER_KEY},
        "litellm_settings": {"telemetry": False},
    }
    (folder / "litellm.yaml").write_text(yaml.safe_dump(config))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if name != "OPENAI_API_KEY"}
    command = [str(program), "--config", str(folder / "litellm.yaml"), "--host", "127.0.0.1", "--port", str(port)]
    with (
        (folder / "proxy.log").open("wb") as log,
        subprocess.Popen(
            command,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment | {"LITELLM_LOCAL_MODEL_COST_MAP": "True"},
        ) as process,
    ):
        try:
            url = f"http://127.0.0.1:{port}"
            until = time.monotonic() + START_SECONDS
            while not _answers(f"{url}/health/liveliness"):
                assert process.poll() is None, (folder / "proxy.log").read_text()[-2000:]
                assert time.monotonic() < until, "the proxy does not answer"
                time.sleep(0.5)
            yield url
        finally:
            process.kill()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):  # noqa: S310 - loopback
            return True
    except OSError:
        return False


def ask(method: str, url: str, key: str | None = MASTER_KEY, body: dict[str, Any] | None = None) -> tuple[int, Any]:
    """Return status and JSON of an answer."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    request = urllib.request.Request(  # noqa: S310 - loopback
        url, json.dumps(body).encode() if body else None, headers, method=method
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - loopback
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


Step = tuple[str, str, str | None, dict[str, Any] | None]

FIELDS = {"model": "my-video", "prompt": "a cat", "seconds": "4", "size": "720x1280"}
REQUESTS: tuple[Step, ...] = (
    ("POST", "", None, FIELDS),
    ("POST", "", "sk-wrong", FIELDS),
    ("POST", "", MASTER_KEY, FIELDS | {"model": "other"}),
    ("POST", "", MASTER_KEY, {"prompt": "a cat"}),
    ("POST", "", MASTER_KEY, {"model": "my-video"}),
    ("POST", "", MASTER_KEY, FIELDS),
    ("GET", "/{id}", MASTER_KEY, None),
    ("GET", "?limit=2", MASTER_KEY, None),
    ("DELETE", "/{id}", MASTER_KEY, None),
    ("GET", "/{id}/wait", MASTER_KEY, None),
    ("GET", "/video_unknown", MASTER_KEY, None),
    ("GET", "/{id}/content", MASTER_KEY, None),
)
"""Requests to the proxy and to its fake, while the job of the sixth one runs."""


def shape(body: Any) -> Any:
    """Types of the fields that clients read, with the values of codes; an error has only `message` and `code`."""
    if "error" in body and body["error"] is not None:
        return {"message": type(body["error"]["message"]), "code": body["error"]["code"]}
    names = ("id", "object", "status", "progress", "error", "model", "seconds", "size", "detail")
    return {name: type(body[name]) for name in names if name in body}


def conversation(url: str) -> list[tuple[int, Any]]:
    """Make the requests and return status and shape of each answer."""
    answers, identity = [], ""
    for method, path, key, body in REQUESTS:
        status, answer = ask(method, f"{url}/v1/videos{path.replace('{id}', identity)}", key, body)
        identity = answer.get("id", identity)
        answers.append((status, shape(answer)))
    return answers


async def test_the_fake_answers_as_the_real_proxy_does(litellm: Path, tmp_path: Path) -> None:
    backend = Fake(manner("openai"), Load(seconds=60), key=BACKEND_KEY)
    fake = Fake(manner("litellm"), Load(seconds=60), key=MASTER_KEY, model="my-video")
    async with serving(backend), serving(fake):
        with proxy(litellm, tmp_path, backend.base) as url:
            real = await asyncio.to_thread(conversation, url)
        pretended = await asyncio.to_thread(conversation, fake.origin)
    assert [status for status, _ in real] == [401, 400, 400, 400, 400, 200, 200, 400, 405, 404, 500, 400]
    assert pretended == real


def at_backend(identity: str) -> str:
    """The backend's identifier of a job, which the proxy's identifier contains."""
    inner = base64.b64decode(identity.removeprefix("video_")).decode()
    found = re.search("video_id:([^;]+)", inner)
    assert found is not None, inner
    return found[1]


@pytest.mark.parametrize("fail_every", [0, 5])
async def test_the_real_proxy_is_measured(
    litellm: Path, fail_every: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", MASTER_KEY)
    backend = Fake(manner("openai"), Load(seconds=0.5, fail_every=fail_every), key=BACKEND_KEY)
    async with serving(backend):
        with proxy(litellm, tmp_path, backend.base) as url:
            run = await run_against(url, tmp_path, preset="litellm", model="my-video")
    assert_agreement(run, backend, known_as=at_backend)
    assert run.outcomes.get("failed", 0) == (JOBS // fail_every if fail_every else 0)
    assert run.lost() is None
    assert {job.clip for job in backend.truth.jobs} == {ClipSpec(64, 48, 64, 16)}
    assert backend.truth.keys(backend.origin.removeprefix("http://")) == {f"Bearer {BACKEND_KEY}"}
    written = b"".join(path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file())
    assert MASTER_KEY.encode() not in written

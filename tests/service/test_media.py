"""Media work in worker processes: hostile documents, processes that die, and cleanup."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from reelbench.service.pipeline.media import Media
from reelbench.service.pipeline.tasks import DocumentError, Shape
from reelbench.service.provider_client.formats import MediaError
from reelbench.service.settings import MIB, Settings
from tests.service.shared_workers import own_media_processes
from tests.service.waiting import until

OPERATORS = b"0 0 m 9 9 l S\n" * 2_000_000
NESTED = b"q " * 10_000_000
BIT_OF_MEMORY = 128 * MIB
SMALL = Shape(180, 320, 10, (5, 2), 30)
pytestmark = pytest.mark.acceptance


@pytest.fixture(scope="module")
def bombs(files: Any) -> dict[str, bytes]:
    """Small files that need minutes or gigabytes to read."""
    made = {"operators": files.page_of(OPERATORS), "nested": files.page_of(NESTED)}
    assert all(len(bomb) < 70_000 for bomb in made.values())
    return made


@pytest.fixture
def paper(tmp_path: Path, files: Any) -> Path:
    path = tmp_path / "paper.pdf"
    path.write_bytes(files.pdf())
    return path


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "paper.txt"
    path.write_text("About queues")
    return path


def media(**settings: Any) -> Media:
    return Media(Settings(**{"media_processes": 1, **settings}))


async def stopped(pool: Media, path: Path) -> int:
    """The only worker, stopped after its start, so it never answers."""
    await pool.read(path, is_pdf=path.suffix == ".pdf")
    pid = pool.pids[0]
    os.kill(pid, signal.SIGSTOP)
    return pid


@pytest.mark.parametrize("kind", [pytest.param("operators", marks=pytest.mark.extended), "nested"])
async def test_a_decompression_bomb_is_a_document_error(paper: Path, tmp_path: Path, bombs: Any, kind: str) -> None:
    bomb = tmp_path / "bomb.pdf"
    bomb.write_bytes(bombs[kind])
    before = psutil.Process().memory_info().rss
    async with media(media_memory=BIT_OF_MEMORY) as pool:
        assert await pool.inspect(bomb, "application/pdf") == "pdf"
        with pytest.raises(DocumentError) as error:
            await pool.read(bomb, is_pdf=True)
        assert (error.value.code, error.value.message) == (
            "invalid_document",
            "The uploaded document crashes its reader, or takes more than 128 MiB to read.",
        )
        assert (await pool.read(paper, is_pdf=True)).text.startswith("Page 1 about queues")
    assert psutil.Process().memory_info().rss - before < 50 * MIB


@pytest.mark.extended
async def test_a_slow_document_ends_with_its_process(paper: Path, tmp_path: Path, bombs: Any) -> None:
    bomb = tmp_path / "bomb.pdf"
    bomb.write_bytes(bombs["operators"])
    async with media(parse_timeout=0.2) as pool:
        await pool.inspect(paper, "application/pdf")
        pid = pool.pids[0]
        started = time.monotonic()
        with pytest.raises(DocumentError, match=r"could not be read in 0\.2 s") as error:
            await pool.read(bomb, is_pdf=True)
        assert error.value.code == "document_timeout"
        assert time.monotonic() - started < 20, "not the time that the document takes"
        assert not psutil.pid_exists(pid)
        assert (await pool.read(paper, is_pdf=True)).pages == 2


@pytest.mark.extended
async def test_a_check_that_takes_too_long_rejects_the_document(text: Path) -> None:
    async with media(inspect_timeout=0.2) as pool:
        await stopped(pool, text)
        with pytest.raises(DocumentError) as error:
            await pool.inspect(text, "text/plain")
        assert error.value.code == "invalid_document"
        assert await pool.inspect(text, "text/plain") == "text"


@pytest.mark.extended
async def test_a_task_of_a_killed_process_is_repeated_by_another(text: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with media() as pool:
        pid = await stopped(pool, text)
        task = asyncio.create_task(pool.read(text, is_pdf=False))
        await asyncio.sleep(0.05)
        os.kill(pid, signal.SIGKILL)
        assert (await task).text == "About queues"
        assert pool.pids[0] != pid
    assert caplog.messages == ["A worker process died in the middle of a task (exit status -9)."]


@pytest.mark.extended
async def test_an_idle_process_that_died_is_replaced_silently(text: Path) -> None:
    async with media() as pool:
        for _ in range(3):
            await pool.read(text, is_pdf=False)
            os.kill(pool.pids[0], signal.SIGKILL)
        assert (await pool.read(text, is_pdf=False)).text == "About queues"


async def test_composition_errors_and_time_outs(tmp_path: Path, files: Any, text: Path) -> None:
    png, wav = tmp_path / "a.png", tmp_path / "a.wav"
    png.write_bytes(files.png()[:60])
    wav.write_bytes(files.wav())
    async with media(compose_timeout=0.2) as pool:
        with pytest.raises(MediaError, match="a PNG image that is cut off"):
            await pool.encode([(png, wav)], SMALL)
        with pytest.raises(RuntimeError, match="A worker failed: FileNotFoundError"):
            await pool.encode([(tmp_path / "b.png", wav)], SMALL)
        await stopped(pool, text)
        with pytest.raises(MediaError, match=r"^media that cannot be composed in 0\.2 s$"):
            await pool.encode([(png, wav)], SMALL)


@pytest.mark.extended
async def test_cancellation_frees_the_process(text: Path) -> None:
    async with media() as pool:
        pid = await stopped(pool, text)
        task = asyncio.create_task(pool.read(text, is_pdf=False))
        await asyncio.sleep(0.05)
        task.cancel()
        started = time.monotonic()
        assert (await pool.read(text, is_pdf=False)).text == "About queues"
        assert 0.4 < time.monotonic() - started < 20, "half a second of grace, and the start of another process"
        assert pid not in pool.pids


@pytest.mark.extended
async def test_answers_reach_their_own_caller_despite_cancellations(tmp_path: Path) -> None:
    paths = []
    for number in range(60):
        paths.append(tmp_path / f"{number}.txt")
        paths[-1].write_text(f"Document {number}")
    async with media(media_processes=3) as pool:
        await pool.read(paths[0], is_pdf=False)
        pids = pool.pids
        tasks = [asyncio.create_task(pool.read(path, is_pdf=False)) for path in paths]
        for number, task in enumerate(tasks):
            if number % 3 == 0:
                task.cancel()
            await asyncio.sleep(0)
        texts = await asyncio.gather(*tasks, return_exceptions=True)
        kept = [number for number in range(60) if number % 3]
        assert [texts[number].text for number in kept] == [f"Document {number}" for number in kept]
        assert set(pids) <= set(pool.pids), "no process had to be replaced"


async def test_closing_a_pool_ends_its_processes_and_calls(text: Path) -> None:
    async with media(media_processes=2) as pool:
        reads = [asyncio.create_task(pool.read(text, is_pdf=False)) for _ in range(5)]
        await asyncio.sleep(0)
        await reads[0]
        pids = pool.pids
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        tasks = [asyncio.create_task(pool.inspect(text, "text/plain")) for _ in range(5)]
        await asyncio.sleep(0.05)
        started = time.monotonic()
    assert time.monotonic() - started < 20, "stopped processes are not waited for"
    assert pool.pids == ()
    assert not any(psutil.pid_exists(pid) for pid in pids)
    ends = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 60)
    assert {type(end) for end in ends} == {DocumentError}


async def test_processes_that_cannot_start_fail_the_calls(
    text: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    async with media() as pool:
        with pytest.raises(DocumentError, match="crashes its reader"):
            await pool.read(text, is_pdf=False)
    assert {record.levelno for record in caplog.records} == {logging.ERROR}


def ended(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def upload(url: str, content: bytes, http: httpx.Client) -> str:
    answer = http.post(
        f"{url}/v1/videos", data={"prompt": "x"}, files={"input_reference": ("a.pdf", content, "application/pdf")}
    )
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


@pytest.mark.extended
def test_uploads_are_served_while_bombs_are_read_with_bounded_memory(
    process: Any, files: Any, bombs: Any, http: httpx.Client
) -> None:
    service = psutil.Process(process.pid)
    before = {child.pid for child in service.children()}
    hostile = [upload(process.url, bomb, http) for bomb in (bombs["nested"], bombs["nested"])]
    started = time.monotonic()
    good = upload(process.url, files.pdf(), http)
    assert time.monotonic() - started < 8, "an upload does not wait for bombs"
    largest = 0
    ends = {}
    for video_id in (*hostile, good):
        while video_id not in ends:
            video = http.get(f"{process.url}/v1/videos/{video_id}/wait", params={"timeout": 0.1}).json()
            largest = max(largest, service.memory_info().rss)
            if video["status"] in {"completed", "failed"}:
                ends[video_id] = video
            assert time.monotonic() - started < 25
    assert ends[good]["status"] == "completed"
    assert {ends[bomb]["error"]["code"] for bomb in hostile} <= {"invalid_document", "document_timeout"}
    assert largest < 300 * MIB
    assert {child.pid for child in service.children()} != before


@pytest.mark.extended
def test_no_process_outlives_a_service_that_is_killed(process: Any, bombs: Any, http: httpx.Client) -> None:
    upload(process.url, bombs["operators"], http)
    until(lambda: len(psutil.Process(process.pid).children()) == 2, "both processes are there")
    children = psutil.Process(process.pid).children()
    time.sleep(0.3)  # one worker is reading the bomb
    process.kill()
    until(lambda: all(ended(child) for child in children), "all processes have ended")
    _, err = process.communicate(timeout=60)
    assert b"Traceback" not in err


@pytest.mark.extended
@pytest.mark.parametrize("read", [True, False])
def test_a_worker_ends_silently_with_its_service(*, read: bool) -> None:
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-m", "reelbench.service.pipeline.worker", str(BIT_OF_MEMORY)]
    with (
        ours,
        subprocess.Popen(command, stdin=theirs.fileno(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as worker,
    ):
        theirs.close()
        ours.settimeout(15)
        assert ours.recv(4, 0 if read else socket.MSG_PEEK) == bytes(4)
        ours.close()  # unread data make the kernel reset the connection
        try:
            output, _ = worker.communicate(timeout=60)
        finally:
            worker.kill()
    assert (worker.returncode, output) == (0, b"")


@pytest.mark.extended
def test_a_job_is_completed_after_its_worker_was_killed(
    start: Callable[..., Any], providers: Any, create: Callable[..., Any], http: httpx.Client
) -> None:
    running = start(media_processes=1)
    providers.gate.clear()
    job = create(running, wait=0)
    until(lambda: providers.calls["llm"] == 1, "the document is read")
    (worker,) = own_media_processes()
    worker.suspend()
    providers.gate.set()
    until(lambda: len(list(running.data_dir.glob("*/scene-*"))) == 10, "all scenes are made")
    time.sleep(0.1)  # the composition has begun and is suspended
    assert http.get(f"{running.url}/v1/videos/{job['id']}").json()["status"] == "in_progress"
    worker.kill()
    video = http.get(f"{running.url}/v1/videos/{job['id']}/wait").json()
    assert (video["status"], video["error"]) == ("completed", None)
    assert create(running)["status"] == "completed"

"""Consistency of jobs, records and files: ``/v1/admin/state``."""

from __future__ import annotations

import asyncio
import shutil
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from reelbench.service.api.app import create_app
from reelbench.service.jobs.audit import Audit
from reelbench.service.settings import Settings
from reelbench.service.store.assets import Assets

HTTP = httpx.Client(timeout=15, limits=httpx.Limits(max_keepalive_connections=0))
STRAY = "video_" + "a" * 32
SWITCHES = {"retries": True, "breaker": True, "cache": False, "pooling": True, "scene_concurrency": True}
CLEAN = {
    "object": "state",
    "live": 0,
    "unsaved": 0,
    "orphans": 0,
    "missing": 0,
    "store": "up",
    "switches": SWITCHES,
}


def state(running: Any) -> Any:
    answer = HTTP.get(f"{running.url}/v1/admin/state")
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_state_of_a_service_with_queued_running_and_ended_jobs(
    start: Callable[..., Any], providers: Any, create: Callable[..., Any]
) -> None:
    running = start(admin=True, workers=1, retries=False)
    clean = CLEAN | {"switches": SWITCHES | {"retries": False}}
    assert state(running) == clean
    create(running)
    assert state(running) == clean
    providers.gate.clear()
    jobs = [create(running, wait=0) for _ in range(3)]
    assert state(running) == clean | {"live": 3}
    providers.gate.set()
    for job in jobs:
        assert HTTP.get(f"{running.url}/v1/videos/{job['id']}/wait").json()["status"] == "completed"
    assert state(running) == clean


def test_only_a_folder_without_a_record_is_an_orphan(start: Callable[..., Any], create: Callable[..., Any]) -> None:
    running = start(admin=True)
    create(running)
    for name in (STRAY, f".{STRAY}-0a1b2c3d", "video_short", "notes"):
        (running.data_dir / name).mkdir()
    assert state(running) == CLEAN | {"orphans": 1}
    (running.data_dir / STRAY).rmdir()
    assert state(running) == CLEAN


def test_a_completed_record_without_its_video_is_missing(
    start: Callable[..., Any], providers: Any, create: Callable[..., Any]
) -> None:
    running = start(admin=True)
    first, second = create(running), create(running)
    providers.answers["llm"] = lambda _: (400, b"")
    assert create(running)["status"] == "failed"
    (running.data_dir / first["id"] / "content.mp4").unlink()
    assert state(running) == CLEAN | {"missing": 1}
    (running.data_dir / second["id"] / "content.mp4").unlink()
    assert state(running) == CLEAN | {"missing": 2}
    for video in (first, second):
        HTTP.delete(f"{running.url}/v1/videos/{video['id']}")
    assert state(running) == CLEAN


def test_cancelled_deleted_and_rejected_jobs_leave_no_data(
    start: Callable[..., Any], providers: Any, create: Callable[..., Any], files: Any
) -> None:
    running = start(admin=True, max_upload_bytes=100_000, workers=1)
    done = create(running)
    providers.gate.clear()
    jobs = [create(running, wait=0) for _ in range(2)]
    for job in [*jobs, done]:
        answer = HTTP.delete(f"{running.url}/v1/videos/{job['id']}").json()
        assert answer["cancelled"] is (job is not done)
    uploads = [b"", b"%PDF-1.4 broken", b"\x00\xff" * 50, files.encrypted_pdf(), b"x" * 100_001]
    for content in uploads:
        answer = HTTP.post(
            f"{running.url}/v1/videos",
            data={"prompt": "x"},
            files={"input_reference": ("paper.pdf", content, "application/pdf")},
        )
        assert 400 <= answer.status_code < 500, answer.text
    assert state(running) == CLEAN
    assert list(running.data_dir.iterdir()) == []


def test_a_job_whose_end_was_not_stored_is_unsaved_and_not_an_orphan(
    start: Callable[..., Any], providers: Any, create: Callable[..., Any]
) -> None:
    running = start(admin=True, faults=True, workers=1)
    providers.gate.clear()
    job = create(running, wait=0)
    plan = {"seed": 1, "rules": [{"provider": "store", "kind": "outage"}]}
    HTTP.put(f"{running.url}/faults", json=plan)
    away = HTTP.get(f"{running.url}/v1/admin/state")
    assert (away.status_code, away.json()["error"]["code"]) == (503, "store_unavailable")
    assert away.headers["retry-after"] == "1"
    providers.gate.set()
    assert HTTP.get(f"{running.url}/v1/videos/{job['id']}/wait").json()["status"] == "completed"
    HTTP.delete(f"{running.url}/faults")
    deadline = time.monotonic() + 60
    while HTTP.get(f"{running.url}/v1/admin/state").status_code == 503:
        assert time.monotonic() < deadline, "the store is still away"
        time.sleep(0.02)
    assert state(running) == CLEAN


class SlowStore:
    """A store with prepared answers: one list of jobs per query, then the last one again."""

    def __init__(self, looks: list[dict[str, bytes]], on_look: Callable[[int], None] = lambda _: None) -> None:
        self.looks, self.on_look = looks, on_look
        self.listed = self.read = 0

    async def ids(self) -> list[str]:
        self.listed += 1
        return list(await self._look(self.listed))

    async def last_videos(self, video_ids: Any) -> dict[str, bytes]:
        self.read += 1
        known = await self._look(self.read)
        return {name: known[name] for name in video_ids if known.get(name) == DONE}

    async def _look(self, number: int) -> dict[str, bytes]:
        await asyncio.sleep(0)
        self.on_look(number)
        return self.looks[min(number, len(self.looks)) - 1]


class Nothing(frozenset[str]):
    """A backlog without states."""

    def ids(self) -> frozenset[str]:
        return self


class SomeJobs:
    unfinished = 0

    def __init__(self, *looks: set[str]) -> None:
        self.looks = list(looks)

    def ids(self) -> frozenset[str]:
        return frozenset(self.looks.pop(0) if len(self.looks) > 1 else self.looks[0])


QUEUED, DONE = b'{"status":"queued"}', b'{"status":"completed"}'


@pytest.mark.parametrize(
    ("looks", "jobs", "orphans"),
    [
        ([{}, {}], (set(), set()), 1),
        ([{}, {STRAY: QUEUED}], (set(), set()), 0),
        ([{}, {}], ({STRAY}, set()), 0),
        ([{}, {}], (set(), {STRAY}), 0),
        ([{STRAY: QUEUED}], (set(), set()), 0),
    ],
    ids=["stray", "recorded meanwhile", "arriving before", "arriving after", "known"],
)
async def test_a_job_created_during_the_audit_is_not_an_orphan(
    tmp_path: Any, looks: Any, jobs: Any, orphans: int
) -> None:
    (tmp_path / STRAY).mkdir()
    audit = Audit(Settings().toggles(), SomeJobs(*jobs), Nothing(), SlowStore(looks), Assets(tmp_path))  # type: ignore[arg-type]
    assert (await audit.take()).orphans == orphans


@pytest.mark.parametrize("deleted", [1, 2])
async def test_a_job_deleted_during_the_audit_is_neither_orphan_nor_missing(tmp_path: Any, deleted: int) -> None:
    (tmp_path / STRAY).mkdir()
    (tmp_path / STRAY / "content.mp4").touch()

    def remove(look: int) -> None:
        if look == deleted:
            shutil.rmtree(tmp_path / STRAY, ignore_errors=True)

    store = SlowStore([{STRAY: DONE} if deleted == 1 else {}, {}], remove)
    found = await Audit(Settings().toggles(), SomeJobs(set()), Nothing(), store, Assets(tmp_path)).take()  # type: ignore[arg-type]
    assert (found.orphans, found.missing) == (0, 0)


@pytest.mark.extended
def test_audits_under_load_find_no_orphan(start: Callable[..., Any], providers: Any) -> None:
    running = start(admin=True, workers=2, scenes=1)
    stop, found = threading.Event(), []

    def load() -> None:
        while not stop.is_set():
            made = HTTP.post(f"{running.url}/v1/videos", json={"prompt": "x"})
            if made.status_code == 200:
                HTTP.delete(f"{running.url}/v1/videos/{made.json()['id']}")

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        found = [state(running) for _ in range(20)]
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
    assert {(one["orphans"], one["missing"], one["unsaved"]) for one in found} == {(0, 0, 0)}
    assert state(running) == CLEAN


@pytest.mark.extended
async def test_who_may_read_the_state(tmp_path: Any, subtests: pytest.Subtests) -> None:
    for settings, caller, status in [
        ({"admin": True}, "203.0.113.7", 403),
        ({"admin_remote": True}, "127.0.0.1", 404),
        ({}, "127.0.0.1", 404),
    ]:
        with subtests.test(caller=caller, settings=settings):
            app = create_app(Settings.model_validate({"data_dir": tmp_path, **settings}))
            async with app.router.lifespan_context(app):
                transport = httpx.ASGITransport(app, client=(caller, 1))
                async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                    for path in ("state", "breakers"):
                        assert (await client.get(f"/v1/admin/{path}")).status_code == status


def test_remote_callers_may_read_the_state_if_allowed(start: Callable[..., Any]) -> None:
    running = start(admin=True, admin_remote=True)
    assert HTTP.get(f"{running.url}/v1/admin/state").json() == CLEAN

"""Answers to clients during a store outage, and the content of the store afterwards."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fakeredis import FakeAsyncRedis, FakeRedis, FakeServer

from reelbench.service.store.spool import Spool
from tests.service.waiting import until

HTTP = httpx.Client(timeout=15, limits=httpx.Limits(max_keepalive_connections=0))
SHARED = "redis://shared"
RUN = {"run_id": "r1", "scenario": "store_outage", "case": "1"}
BAGGAGE = {"baggage": ",".join(f"{key}={value}" for key, value in RUN.items())}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> FakeServer:
    """The store of every started service; it is unavailable while `connected` is false."""
    server = FakeServer()
    monkeypatch.setattr("reelbench.service.api.app_state.connect", lambda *_: FakeAsyncRedis(server=server))
    return server


def create(running: Any) -> Any:
    return HTTP.post(f"{running.url}/v1/videos", json={"prompt": "x"}, headers=BAGGAGE)


def get(running: Any, video_id: str, path: str = "") -> Any:
    return HTTP.get(f"{running.url}/v1/videos/{video_id}{path}")


def listed(running: Any) -> Any:
    return HTTP.get(f"{running.url}/v1/videos", params={"order": "asc", "limit": 100})


def spooled(running: Any) -> list[str]:
    return sorted(path.stem for path in running.data_dir.glob(".unsaved/*/*.json"))


def is_away(answer: Any) -> bool:
    return (answer.status_code, answer.headers.get("retry-after"), answer.json()["error"]["code"]) == (
        503,
        "1",
        "store_unavailable",
    )


@pytest.mark.extended
def test_jobs_continue_during_a_store_outage_and_are_stored_afterwards(
    start: Callable[..., Any], providers: Any, server: FakeServer
) -> None:
    running = start(redis_url=SHARED, workers=2)
    old = create(running).json()["id"]
    assert get(running, old, "/wait").json()["status"] == "completed"
    providers.gate.clear()
    before = [create(running).json()["id"] for _ in range(3)]
    until(lambda: providers.calls["llm"] == 3, "two further jobs run")

    server.connected = False
    during = [create(running).json()["id"] for _ in range(3)]
    until(lambda: spooled(running) == sorted(during), "the new jobs are on disk")
    assert [get(running, name).json()["status"] for name in before] == ["in_progress", "in_progress", "queued"]
    assert [get(running, name).json()["status"] for name in during] == ["queued"] * 3
    assert is_away(listed(running))
    assert is_away(get(running, old))
    assert is_away(get(running, "video_" + "0" * 32))
    assert is_away(HTTP.delete(f"{running.url}/v1/videos/video_{'0' * 32}"))
    assert HTTP.get(f"{running.url}/ready").status_code == 200

    deleted = [before[2], during[1]]
    for name in deleted:
        assert HTTP.delete(f"{running.url}/v1/videos/{name}").status_code == 200
        assert HTTP.delete(f"{running.url}/v1/videos/{name}").status_code == 404
        assert get(running, name).status_code == 404
    providers.gate.set()
    left = [name for name in before + during if name not in deleted]
    for name in left:
        assert get(running, name, "/wait").json()["status"] == "completed"
        assert get(running, name).json()["status"] == "completed"
        assert get(running, name, "/manifest").json()["status"] == "completed"
        assert get(running, name, "/content").content == (running.data_dir / name / "content.mp4").read_bytes()
    assert HTTP.delete(f"{running.url}/v1/videos/{left[0]}").status_code == 200
    assert get(running, left[0], "/content").status_code == 404
    # The old job is on this disk, so its removal can be kept too.
    assert HTTP.delete(f"{running.url}/v1/videos/{old}").status_code == 200
    assert get(running, old).status_code == 404
    assert spooled(running) == sorted([old, *before, *during])
    assert running.points("video.jobs.unsaved") == [(RUN, 6), ({"run_id": "", "scenario": "", "case": ""}, 1)]
    # Three creations, two ends of jobs that ran before, start and end of two others, three removals; one removal.
    assert [value for _, value in running.points("video.store.deferred")] == [3 + 2 + 4 + 3, 1]

    server.connected = True
    until(lambda: listed(running).status_code == 200, "the store is back")
    page = listed(running).json()["data"]
    assert [(video["id"], video["status"]) for video in page] == [(name, "completed") for name in left[1:]]
    assert spooled(running) == []
    assert [value for _, value in running.points("video.jobs.unsaved")] == [0, 0]
    assert sorted(value for _, value in running.points("video.store.written_back")) == [1, 6]
    assert {labels["outcome"]: value for labels, value in running.points("video.jobs")} == {
        "completed": 5,
        "cancelled": 2,
    }
    keys = {key.decode() for key in FakeRedis(server=server).scan_iter()}
    assert {key for key in keys if "live" in key or "owners" in key} == set()
    assert get(running, left[0]).status_code == 404
    assert sorted(path.name for path in running.data_dir.glob("video_*")) == sorted(left[1:])


@pytest.mark.extended
def test_during_a_known_outage_requests_do_not_wait_for_the_timeout(
    start: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        running = start(redis_url=f"redis://127.0.0.1:{port}/0", redis_timeout=2.0)
        until(lambda: running.points("db.client.operation.duration"), "the first time-out")
        started = time.monotonic()
        answers = [create(running) for _ in range(10)]
        assert [answer.status_code for answer in answers] == [200] * 10
        assert is_away(listed(running))
        assert time.monotonic() - started < 2, "less than one timeout"
        for answer in answers:
            assert get(running, answer.json()["id"], "/wait").json()["status"] == "completed"


@pytest.mark.extended
@pytest.mark.parametrize("backlog", [0, 2])
def test_the_number_of_kept_jobs_is_bounded(
    start: Callable[..., Any], providers: Any, server: FakeServer, backlog: int
) -> None:
    running = start(redis_url=SHARED, store_backlog=backlog)
    providers.gate.clear()
    first = create(running).json()["id"]
    until(lambda: providers.calls["llm"] == 1, "the first job runs")
    server.connected = False
    kept = [create(running) for _ in range(backlog)]
    assert [answer.status_code for answer in kept] == [200] * backlog
    assert is_away(create(running))
    assert is_away(create(running))
    assert is_away(HTTP.get(f"{running.url}/ready"))
    assert running.points("video.jobs.rejected") == [({"reason": "store_unavailable", **RUN}, 2)]
    names = [first, *(answer.json()["id"] for answer in kept)]
    assert sorted(path.name for path in running.data_dir.glob("video_*")) == sorted(names)
    providers.gate.set()
    # The job that was accepted before is kept beyond the limit.
    for name in names:
        assert get(running, name, "/wait").json()["status"] == "completed"
    server.connected = True
    until(lambda: listed(running).status_code == 200, "the store is back")
    assert [video["id"] for video in listed(running).json()["data"]] == names
    assert HTTP.get(f"{running.url}/ready").status_code == 200
    assert create(running).status_code == 200


def test_with_a_full_disk_new_jobs_are_rejected_and_running_ones_kept_in_memory(
    start: Callable[..., Any],
    providers: Any,
    server: FakeServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    running = start(redis_url=SHARED)
    providers.gate.clear()
    job = create(running).json()["id"]
    until(lambda: providers.calls["llm"] == 1, "the job runs")

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    real = Spool._put
    monkeypatch.setattr(Spool, "_put", full)
    server.connected = False
    refused = create(running)
    assert is_away(refused)
    assert refused.json()["error"]["message"] == (
        "The job store is away, and jobs cannot be kept on disk for it (No space left on device)."
    )
    assert is_away(HTTP.get(f"{running.url}/ready"))
    providers.gate.set()
    assert get(running, job, "/wait").json()["status"] == "completed"
    assert get(running, job).json()["status"] == "completed"
    assert (spooled(running), running.points("video.store.deferred")) == ([], [])
    assert running.points("video.jobs.unsaved") == [(RUN, 1)]
    assert caplog.text.count("its state is kept in memory only") == 1
    # When there is space again, the state is written to disk.
    monkeypatch.setattr(Spool, "_put", real)
    until(lambda: spooled(running) == [job], "the state is on disk")
    assert HTTP.get(f"{running.url}/ready").status_code == 200
    server.connected = True
    until(lambda: listed(running).status_code == 200, "the store is back")
    assert [(video["id"], video["status"]) for video in listed(running).json()["data"]] == [(job, "completed")]
    assert sorted(path.name for path in running.data_dir.glob("video_*")) == [job]


def test_jobs_are_rejected_with_503_when_files_cannot_be_written(
    start: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    running = start()

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("reelbench.service.store.assets.Assets.create", full)
    answer = create(running)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["error"]["code"] == "storage_unavailable"
    assert running.points("video.jobs.rejected") == [({"reason": "storage_unavailable", **RUN}, 1)]


@pytest.mark.extended
@pytest.mark.acceptance
def test_kept_states_of_a_killed_process_are_written_back_by_the_next(
    start: Callable[..., Any], launch: Callable[..., Any], providers: Any, server: FakeServer
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        nowhere = f"redis://127.0.0.1:{free.getsockname()[1]}/0"
    killed = launch(SERVICE_REDIS_URL=nowhere, SERVICE_WORKERS="1")
    done = create(killed).json()["id"]
    assert get(killed, done, "/wait").json()["status"] == "completed"
    providers.gate.clear()
    works, waits, deleted = (create(killed).json()["id"] for _ in range(3))
    until(lambda: providers.calls["llm"] == 2, "the second job runs")
    assert HTTP.delete(f"{killed.url}/v1/videos/{deleted}").status_code == 200
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait(5)

    server.connected = False
    running = start(redis_url=SHARED)
    restarted = {
        "code": "service_restarted",
        "message": "The service was restarted before the video was complete; create it again.",
    }
    assert (get(running, done).json()["status"], get(running, works).json()["error"]) == ("completed", restarted)
    assert is_away(listed(running))
    server.connected = True
    until(lambda: listed(running).status_code == 200, "the store is back")
    assert [(video["id"], video["status"], video["error"]) for video in listed(running).json()["data"]] == [
        (done, "completed", None),
        (works, "failed", restarted),
        (waits, "failed", restarted),
    ]
    assert get(running, done, "/content").status_code == 200
    manifest = get(running, works, "/manifest").json()
    assert (manifest["status"], manifest["timings"]["ended"] > manifest["timings"]["created"]) == ("failed", True)
    assert sorted(path.name for path in running.data_dir.iterdir()) == sorted([".unsaved", done])
    assert spooled(running) == []
    assert running.points("video.jobs") == [({"outcome": "failed", **RUN}, 2)]
    assert [value for _, value in running.points("video.store.written_back")] == [4]
    running.server.should_exit = True
    running.thread.join(60)
    assert [path.name for path in running.data_dir.iterdir()] == [done]


def test_services_on_one_disk_do_not_touch_each_others_kept_jobs(
    start: Callable[..., Any], providers: Any, server: FakeServer
) -> None:
    first = start(redis_url=SHARED)
    providers.gate.clear()
    server.connected = False
    job = create(first).json()["id"]
    second = start(redis_url=SHARED)
    assert is_away(get(second, job))
    assert get(first, job).json()["status"] in {"queued", "in_progress"}
    server.connected = True
    until(lambda: listed(second).status_code == 200, "the store is back")
    until(lambda: listed(first).status_code == 200, "the store is back for the first too")
    providers.gate.set()
    assert get(second, job, "/wait").json()["status"] == "completed"
    assert second.points("video.store.written_back") == []


def test_an_unreadable_kept_state_is_left_unchanged_and_reported(
    start: Callable[..., Any], server: FakeServer, tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "data" / ".unsaved" / "0123"
    folder.mkdir(parents=True)
    (folder / "video_x.json").write_text(json.dumps({"id": "video_x"}))
    (folder / ".video_y.json.part").write_text("half of a")
    running = start(redis_url=SHARED)
    assert listed(running).json()["data"] == []
    assert [path.name for path in folder.iterdir()] == ["video_x.json"]
    assert "video_x.json cannot be read and is left in place" in caplog.text
    shutil.rmtree(folder)

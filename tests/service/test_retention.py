"""How long ended jobs are kept."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from reelbench.service.jobs import retention
from reelbench.service.jobs.retention import KeptJobs
from reelbench.service.store.assets import Assets


def kept(*jobs: tuple[str, float, int]) -> KeptJobs:
    found = KeptJobs()
    for job in jobs:
        found.add(*job)
    return found


@pytest.mark.parametrize(
    ("since", "most", "most_bytes", "expected"),
    [
        (0, 10, 1000, []),
        (0, 3, 60, []),
        (0, 2, 1000, ["a"]),
        (0, 10, 59, ["a"]),
        (0, 10, 30, ["a", "b"]),
        (2.5, 10, 1000, ["a", "b"]),
        (0, 1, 1, ["a", "b", "c"]),
    ],
)
def test_the_oldest_jobs_are_removed_first(since: float, most: int, most_bytes: int, expected: list[str]) -> None:
    jobs = kept(("a", 1, 10), ("b", 2, 20), ("c", 3, 30))
    assert jobs.expired(since=since, most=most, most_bytes=most_bytes) == expected


def test_a_job_is_counted_once_and_until_it_is_removed() -> None:
    jobs = kept(("a", 1, 10), ("b", 2, 20), ("a", 3, 15))
    assert (len(jobs), jobs.bytes) == (2, 35)
    jobs.remove("b")
    jobs.remove("b")
    assert (len(jobs), jobs.bytes) == (1, 15)


def test_jobs_that_earlier_processes_left_are_found_with_their_bytes(tmp_path: Path) -> None:
    assets = Assets(tmp_path)
    for number, age in ((1, 200), (2, 300)):
        name = f"video_{number:032x}"
        assets.create(name)
        assets.write(name, "content.mp4", b"x" * number * 100, "video/mp4")
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    (tmp_path / "video_x").mkdir()
    assert assets.sizes() == [(f"video_{2:032x}", 700.0, 200), (f"video_{1:032x}", 800.0, 100)]


def test_ended_jobs_beyond_the_limit_leave_store_and_disk(
    start: Callable[..., Any], create: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_INTERVAL", 0.01)
    running = start(keep_jobs=2, admin=True)
    jobs = [create(running)["id"] for _ in range(4)]
    for _ in range(500):
        listed = [video["id"] for video in httpx.get(f"{running.url}/v1/videos").json()["data"]]
        if len(listed) == 2:
            break
        asyncio.run(asyncio.sleep(0.02))
    assert listed == jobs[:1:-1]
    assert httpx.get(f"{running.url}/v1/videos/{jobs[0]}").status_code == 404
    assert httpx.get(f"{running.url}/v1/videos/{jobs[3]}/content").status_code == 200
    state = httpx.get(f"{running.url}/v1/admin/state").json()
    assert (state["orphans"], state["missing"]) == (0, 0)
    assert sorted(path.name for path in running.data_dir.glob("video_*")) == sorted(jobs[2:])

"""``python -m tests.fuzz.soak``: many jobs through one service, with bounds on what the service may hold afterwards.

Jobs have changing cases, some are deleted, some cancelled, and some callers go away. The exit code is 1 when a bound
does not hold.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

import aiohttp
import httpx

from reelbench.service.domain.correlation import PLACES
from tests.fuzz.stand import Stand, stand

TABLE = Path(__file__).parents[1] / "reports" / "soak.md"
AT_ONCE = 8
KEPT = 500
"""Ended jobs that the service may keep: `SERVICE_KEEP_JOBS`."""
CASES = 3 * PLACES
"""Cases that the callers name: more than have places."""
READINGS = 10
SWEEP_SECONDS = 12.0
"""After the last job, until what is beyond the limits has been removed."""
MIB = 1024**2

MOST_GROWTH = 24 * MIB
"""Growth of the memory of the service from a fifth of the jobs to their end."""
MOST_WORKERS_GROWTH = 48 * MIB
"""The same of the workers, whose FFmpeg keeps what it once took."""
MOST_DESCRIPTORS = 32
"""More descriptors at the end than before the first job: idle connections to providers."""
MOST_SERIES = 40_000
"""Lines of the page of metrics: up to 400 for each of the places for cases, with those without a case."""
MOST_BYTES_OF_JOB = 200_000
"""Bytes on the disk for each job that is kept."""
SHAPES = {"deleted": 0.1, "cancelled": 0.05, "left": 0.05}
"""Share of the jobs that are deleted after their end, are cancelled, and whose caller goes away while it waits."""


@dataclass(frozen=True)
class Reading:
    """What the service holds after a number of jobs."""

    jobs: int
    memory: int
    workers: int
    descriptors: int
    folders: int
    disk: int
    series: int

    def cells(self) -> str:
        """The reading as a row of a table."""
        return (
            f"| {self.jobs:,} | {self.memory / MIB:.0f} | {self.workers / MIB:.0f} | {self.descriptors} "
            f"| {self.folders} | {self.disk / MIB:.1f} | {self.series:,} |"
        )


def read(parts: Stand, jobs: int) -> Reading:
    """Read what the service holds now."""
    service = parts.service
    own = service.process.memory_info().rss
    folders = [path for path in parts.data.iterdir() if path.is_dir() and path.name.startswith("video_")]
    page = httpx.get(service.metrics, timeout=30).text
    return Reading(
        jobs,
        own,
        service.memory() - own,
        service.descriptors(),
        len(folders),
        _size(parts.data),
        sum(1 for line in page.splitlines() if line and not line.startswith("#")),
    )


def _size(folder: Path) -> int:
    """Return the bytes of all files; the service may remove some meanwhile."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                total += (Path(place) / name).stat().st_size
    return total


async def drive(parts: Stand, jobs: int, seconds: float, seed: int) -> tuple[list[Reading], Counter[str]]:
    """Send the jobs; return readings in between, and how the jobs ended."""
    readings = [read(parts, 0)]
    ended: Counter[str] = Counter()
    random, until = Random(seed), time.monotonic() + seconds
    step = max(1, jobs // READINGS)
    begun = 0
    async with aiohttp.ClientSession(parts.service.url, timeout=aiohttp.ClientTimeout(total=60)) as client:

        async def caller() -> None:
            nonlocal begun
            while begun < jobs and time.monotonic() < until:
                begun += 1
                number, draw = begun, random.random()
                ended[await one_job(client, number, draw)] += 1
                if number % step == 0:
                    readings.append(await asyncio.to_thread(read, parts, number))

        await asyncio.gather(*(caller() for _ in range(AT_ONCE)))
    await asyncio.sleep(SWEEP_SECONDS)
    readings.append(await asyncio.to_thread(read, parts, begun))
    return readings, ended


async def one_job(client: aiohttp.ClientSession, number: int, draw: float) -> str:
    """Run one job; return how it ended."""
    case = {"baggage": f"run_id=soak,scenario=soak,case=c{number % CASES}"}
    async with client.post("/v1/videos", json={"prompt": f"soak {number}", "seconds": "4"}, headers=case) as answer:
        if answer.status != httpx.codes.OK:
            return f"refused with {answer.status}"
        place = f"/v1/videos/{(await answer.json())['id']}"
    deleted, cancelled = SHAPES["deleted"], SHAPES["deleted"] + SHAPES["cancelled"]
    if deleted <= draw < cancelled:
        async with client.delete(place) as answer:
            return "cancelled" if answer.status == httpx.codes.OK else f"not cancelled: {answer.status}"
    if cancelled <= draw < cancelled + SHAPES["left"]:
        try:
            async with asyncio.timeout(0.01), client.get(f"{place}/wait", params={"timeout": "30"}):
                pass
        except TimeoutError:
            pass
    async with client.get(f"{place}/wait", params={"timeout": "30"}) as answer:
        state = str((await answer.json()).get("status", answer.status))
    async with client.get(f"{place}/content") as answer:
        size = len(await answer.read())
        if state == "completed" and (answer.status != httpx.codes.OK or not size):
            return f"completed without a file: {answer.status}"
    if draw < deleted:
        async with client.delete(place) as answer:
            return "deleted" if answer.status == httpx.codes.OK else f"not deleted: {answer.status}"
    return state


def broken(readings: list[Reading], ended: Counter[str], jobs: int, said: str) -> list[str]:
    """Return the bounds that do not hold."""
    first, last = readings[0], readings[-1]
    early = next(one for one in readings if one.jobs * 5 >= jobs)
    found = [
        f"{count} jobs ended as: {how}"
        for how, count in ended.items()
        if how not in {"completed", "deleted", "cancelled"}
    ]
    bounds = {
        "jobs that ended": (jobs - sum(ended.values()), 0),
        "bytes of memory more than after a fifth of the jobs": (last.memory - early.memory, MOST_GROWTH),
        "bytes of memory of the workers more than after a fifth": (last.workers - early.workers, MOST_WORKERS_GROWTH),
        "descriptors more than before the jobs": (last.descriptors - first.descriptors, MOST_DESCRIPTORS),
        "folders of jobs": (last.folders, KEPT),
        "bytes on the disk": (last.disk, KEPT * MOST_BYTES_OF_JOB),
        "series": (max(one.series for one in readings), MOST_SERIES),
    }
    found += [f"{value:,} {what}, at most {most:,}" for what, (value, most) in bounds.items() if value > most]
    if "Traceback" in said:
        found.append(f"a traceback: {said[said.index('Traceback') :][:2000]}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.soak", description=__doc__)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=900.0, help="the soak ends after them, and counts as broken")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**31), help="default: a new one")
    asked = parser.parse_args()
    began = time.monotonic()
    with stand(SERVICE_KEEP_JOBS=str(KEPT)) as parts:
        readings, ended = asyncio.run(drive(parts, asked.jobs, asked.seconds, asked.seed))
        said = parts.service.said
    problems = broken(readings, ended, asked.jobs, said)
    lines = [
        f"Seed {asked.seed}, {asked.jobs:,} jobs in {time.monotonic() - began:.0f} s: "
        + ", ".join(f"{count:,} {how}" for how, count in sorted(ended.items()))
        + ".\n",
        "| jobs | memory, MiB | workers, MiB | descriptors | jobs on disk | disk, MiB | series |",
        "|" + " --- |" * 7,
        *(reading.cells() for reading in readings),
        "",
        *(f"- {line}" for line in problems),
    ]
    text = "\n".join(lines)
    TABLE.parent.mkdir(exist_ok=True)
    TABLE.write_text(text + "\n", encoding="utf-8")
    print(text)  # noqa: T201 - for the user
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())

"""Figures of a fake's own telemetry, derived from the truth at one instant and from constants that tests know."""

from __future__ import annotations

from typing import Final

import msgspec

from tests.fakes.generation import Load
from tests.fakes.truth import Truth

STAGES: Final = {"text_encode": 0.1, "denoise": 0.8, "vae_decode": 0.1}
"""Shares of the generation of a job."""
IDLE_WATTS: Final = 80.0
FULL_WATTS: Final = 480.0
IDLE_MIB: Final = 2048.0
MIB_PER_JOB: Final = 1024.0
IDLE_CELSIUS: Final = 40.0
CELSIUS_AT_FULL: Final = 80.0
CPU_PER_BUSY_SECOND: Final = 0.5
IDLE_BYTES: Final = 512 * 1024**2
BYTES_PER_JOB: Final = 64 * 1024**2
OPEN_FDS: Final = 32
SUBMIT_SECONDS: Final = 0.01
WARMUP_REQUESTS: Final = 2
"""Requests of the warm-up before the first request of a client; SGLang shows them apart."""
WARMUP_SECONDS: Final = 3.0
"""Generation of each of them."""


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """State and sums of a fake at one instant."""

    at: float
    process_started: float
    running: int
    waiting: int
    completed: int
    failed: int
    cancelled: int
    ends: tuple[str, ...]
    """completed or failed, for each value of the next tuples."""
    latencies: tuple[float, ...]
    """Creation to end, of completed and failed jobs in the order of creation."""
    queue_times: tuple[float, ...]
    generation_times: tuple[float, ...]
    steps: tuple[int, ...]
    busy_seconds: float
    utilisation: float
    """Share of the slots that generate, 0 to 1."""
    watts: float
    joules: float
    """Energy since the start of the fake."""
    gpu_mib: float
    cpu_seconds: float
    resident_bytes: float
    requests: int
    refused: int
    """Creates that were answered with 4xx or 5xx."""

    def latencies_of(self, end: str) -> tuple[float, ...]:
        """Return the latencies of the jobs with that end."""
        return tuple(seconds for seconds, ended in zip(self.latencies, self.ends, strict=True) if ended == end)


def figures(truth: Truth, load: Load) -> Figures:
    """Return the figures of now."""
    now = truth.clock.now()
    over = [job for job in truth.jobs if job.end in {"completed", "failed"}]
    running = sum(job.running for job in truth.jobs)
    busy = truth.busy_seconds(now)
    creates = [seen for seen in truth.requests if seen.method == "POST"]
    share = running / load.slots
    return Figures(
        at=now,
        process_started=truth.started,
        running=running,
        waiting=sum(job.waiting for job in truth.jobs),
        completed=sum(job.end == "completed" for job in over),
        failed=sum(job.end == "failed" for job in over),
        cancelled=truth.cancelled,
        ends=tuple(job.end or "" for job in over),
        latencies=tuple((job.ended or 0.0) - job.created for job in over),
        queue_times=tuple((job.started or 0.0) - job.created for job in over),
        generation_times=tuple((job.ended or 0.0) - (job.started or 0.0) for job in over),
        steps=tuple(job.steps for job in over),
        busy_seconds=busy,
        utilisation=share,
        watts=IDLE_WATTS + (FULL_WATTS - IDLE_WATTS) * share,
        joules=IDLE_WATTS * (now - truth.started) + (FULL_WATTS - IDLE_WATTS) * busy / load.slots,
        gpu_mib=IDLE_MIB + MIB_PER_JOB * running,
        cpu_seconds=CPU_PER_BUSY_SECOND * busy,
        resident_bytes=IDLE_BYTES + BYTES_PER_JOB * running,
        requests=len(creates),
        refused=sum(seen.status >= 400 for seen in creates),
    )

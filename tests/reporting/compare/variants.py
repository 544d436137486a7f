"""Copies of a finished run, changed in a known way or unchanged."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec

from reelbench.loadgen.record.jobs import JobRecord, read_jobs
from reelbench.loadgen.record.run import RunRecord, read_run, write_run
from reelbench.loadgen.record.run_files import to_line
from reelbench.reporting.evidence import measurements as measured

Change = Callable[[JobRecord], JobRecord]


def copy(source: Path, folder: Path, change: Change = lambda job: job, scale: float = 1.0) -> Path:
    """Copy a run and name it after its new folder; change every job, multiply rates by `scale` and divide times by it.

    Jobs and cases are stretched together, so the steady part of a case has the same jobs.
    """
    shutil.copytree(source, folder)
    begun = read_run(source).started

    def stretched(instant: float | None) -> float | None:
        return None if instant is None else begun + (instant - begun) / scale

    def renamed(run: RunRecord) -> RunRecord:
        scenarios = [
            msgspec.structs.replace(
                scenario,
                cases=[
                    msgspec.structs.replace(case, started=stretched(case.started), ended=stretched(case.ended))
                    for case in scenario.cases
                ],
            )
            for scenario in run.scenarios
        ]
        return msgspec.structs.replace(run, run_id=folder.name, scenarios=scenarios)

    alter(folder, renamed)
    jobs = [
        msgspec.structs.replace(job, due=stretched(job.due), sent=stretched(job.sent), done=stretched(job.done))
        for job in map(change, read_jobs(source))
    ]
    (folder / "jobs.jsonl").write_bytes(b"".join(map(to_line, jobs)))
    kept = measured.read(folder)
    assert kept is not None
    values = tuple(
        msgspec.structs.replace(m, value=m.value * scale) if m.value and m.sli == "throughput" else m
        for m in kept.measurements
    )
    measured.write(folder, msgspec.structs.replace(kept, run_id=folder.name, measurements=values))
    return folder


def alter(folder: Path, change: Callable[[RunRecord], RunRecord]) -> None:
    """Replace fields of ``run.json``."""
    write_run(folder, change(read_run(folder)))


def slower(factor: float) -> Change:
    """Multiply response times."""
    return lambda job: msgspec.structs.replace(job, done=job.due + factor * (job.done - job.due))


def noisy(seed: int, sigma: float = 0.05) -> Change:
    """Multiply response times by log-normal noise with a median of 1."""
    rng = random.Random(seed)

    def change(job: JobRecord) -> JobRecord:
        return slower(rng.lognormvariate(0.0, sigma))(job)

    return change

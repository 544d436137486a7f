"""Whether the files of a run are those that the load generator and the components wrote."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from reelbench.loadgen.record.jobs import JobRecord
from reelbench.loadgen.record.run import RunRecord, RunState
from reelbench.loadgen.record.run_files import JOBS_FILE, PLAN_FILE, REQUESTS_FILE, TRACES_DIR
from reelbench.loadgen.record.stack import StackRecord
from reelbench.reporting.evidence.requests import Requests
from reelbench.reporting.evidence.traces import TraceEvidence

CREATE = "create"
"""Operation of the request that makes a job."""
_AROUND = 60.0
"""Seconds by which the clocks of several load generators may differ at most."""


def doubts(
    run_dir: Path, run: RunRecord, jobs: Sequence[JobRecord], requests: Requests, traces: TraceEvidence
) -> tuple[str, ...]:
    """Return what is altered or damaged, one sentence each: the numbers cannot be trusted.

    Args:
        run_dir: The run directory.
        run: Its head.
        jobs: Records of jobs, warm-up included.
        requests: Those of the measured jobs.
        traces: What was found of the traces.
    """
    found = [*_of_jobs(run, jobs), *_of_requests(run, jobs, requests)]
    plan = run_dir / PLAN_FILE
    if plan.is_file() and (now := hashlib.sha256(plan.read_bytes()).hexdigest()) != run.plan_hash:
        found.append(
            f"{PLAN_FILE} was altered after the run: its hash is {now[:8]}, that of the run is {run.plan_hash[:8]}"
        )
    if traces.damaged:
        spans = (
            f"{traces.damaged:,} lines or spans of the traces are"
            if traces.damaged > 1
            else "1 line or span of the traces is"
        )
        found.append(f"{spans} damaged, and left out")
    return tuple(found)


def _of_jobs(run: RunRecord, jobs: Sequence[JobRecord]) -> Iterator[str]:
    cases = [case for scenario in run.scenarios for case in scenario.cases if case.started is not None]
    planned = sum(case.planned + case.warmup for case in cases)
    altered = f"{JOBS_FILE} was cut off or altered after the run"
    completed = run.state is RunState.COMPLETED
    if completed and len(jobs) != planned:  # a completed run has a record of each job, sent or not
        yield f"{altered}: it holds {len(jobs):,} of {planned:,} jobs"
    elif (twice := len(jobs) - len({(job.scenario, job.case, job.index, job.warmup) for job in jobs})) > 0:
        yield f"{altered}: it holds {twice:,} of its jobs more than once"
    if run.ended is not None:
        first, last = run.started - _AROUND, run.ended + _AROUND
        outside = sum(1 for job in jobs if not first <= job.due <= job.done <= last)
        if outside:
            yield f"{altered}: the times of {outside:,} of its jobs are not within the run"


def _of_requests(run: RunRecord, jobs: Sequence[JobRecord], requests: Requests) -> Iterator[str]:
    if run.state is not RunState.COMPLETED or not requests:  # without any, what rests on requests has no data
        return
    accepted = sum(1 for job in jobs if job.accepted is not None and not job.warmup)
    created = requests.succeeded(CREATE)
    if created < accepted:
        yield (
            f"{REQUESTS_FILE} was cut off or altered after the run: it holds {created:,} successful requests that "
            f"created a video, and {accepted:,} jobs were accepted"
        )


def notes(run_dir: Path, stack: StackRecord | None, traces: TraceEvidence) -> tuple[str, ...]:
    """Return what is missing, one sentence each: the report shows less, and no verdict rests on it."""
    found = []
    if traces.absent:
        found.append(f"There are no traces: {traces.absent}")
    elif stack is not None and stack.kind == "embedded" and not stack.traces_url:
        gone = [one.name for one in stack.components if one.version is not None and not _kept(run_dir, one.name)]
        found += [f"The traces of {', '.join(gone)} are missing"] if gone else []
    if traces.cut_off:
        found.append(f"The last line of {traces.cut_off} of the files of traces is cut off, as the process was killed")
    return tuple(found)


def _kept(run_dir: Path, component: str) -> bool:
    return (run_dir / TRACES_DIR / f"{component}.jsonl").exists()

"""Whether the files of a run are those that the load generator and the components wrote."""

from __future__ import annotations

import hashlib
from pathlib import Path

from reelbench.loadgen.record.run import RunRecord, RunState
from reelbench.loadgen.record.run_files import JOBS_FILE, PLAN_FILE, TRACES_DIR
from reelbench.loadgen.record.stack import StackRecord
from reelbench.reporting.evidence.traces import TraceEvidence


def doubts(run_dir: Path, run: RunRecord, jobs: int, traces: TraceEvidence) -> tuple[str, ...]:
    """Return what is altered or damaged, one sentence each: the numbers cannot be trusted.

    Args:
        run_dir: The run directory.
        run: Its head.
        jobs: Records of jobs, warm-up included.
        traces: What was found of the traces.
    """
    found = []
    cases = [case for scenario in run.scenarios for case in scenario.cases if case.started is not None]
    planned = sum(case.planned + case.warmup for case in cases)
    if run.state is RunState.COMPLETED and jobs != planned:  # a completed run has a record of each job, sent or not
        found.append(f"{JOBS_FILE} was cut off or altered after the run: it holds {jobs:,} of {planned:,} jobs")
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

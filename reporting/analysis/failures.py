"""Failed jobs in groups: error, operation, stage, active fault and count, the largest group first."""

from __future__ import annotations

import re

import msgspec

from reelbench.loadgen.record.jobs import JobRecord, Outcome
from reelbench.reporting.analysis.breakdown import STAGE_SPAN, STAGES
from reelbench.reporting.evidence.evidence import STOPPED, Evidence, once
from reelbench.reporting.evidence.trace_sampling import failed

_IDS = re.compile(r"\b(?:[0-9A-Za-z]+_)?[0-9a-f]{8}[0-9a-f-]*\b")
"""Ids of jobs and traces: they differ in each job of a group."""
_GOOD = range(200, 300)


class FailureGroup(msgspec.Struct, frozen=True):
    """Failed measured jobs of one case with the same end."""

    scenario: str
    case: str
    outcome: Outcome
    error: str
    """Ids are replaced by an ellipsis."""
    operation: str
    """Request of the client in which the failure was seen; empty where it is not known."""
    stage: str
    """Stage of the service that failed, by the trace of the example; empty where it is not known."""
    fault: str
    """Injected fault that was active while the example ran; empty without one."""
    jobs: int
    of: int
    """Measured jobs of the case that ended by themselves."""
    example: JobRecord


@once
def groups(evidence: Evidence, dimension: str) -> tuple[FailureGroup, ...]:
    """Return the failed jobs of a dimension by case, outcome and error."""
    found: dict[tuple[str, str, Outcome, str], list[JobRecord]] = {}
    for job in failed(evidence, dimension):
        found.setdefault((job.scenario, job.case, job.outcome, _kind(job)), []).append(job)
    made = [
        _group(evidence, error, jobs)
        for (_, _, _, error), jobs in sorted(found.items(), key=lambda item: -len(item[1]))
    ]
    return tuple(made)


def _kind(job: JobRecord) -> str:
    return _IDS.sub("…", job.error or job.outcome.value)


def _group(evidence: Evidence, error: str, jobs: list[JobRecord]) -> FailureGroup:
    traced = (job for job in jobs if job.trace_id in evidence.traces.spans)
    example = next(traced, jobs[0])
    ended = [job for job in evidence.case_jobs(example.scenario, example.case) if job.outcome not in STOPPED]
    return FailureGroup(
        scenario=example.scenario,
        case=example.case,
        outcome=example.outcome,
        error=error,
        operation=_operation(evidence, example),
        stage=_stage(evidence, example),
        fault=_fault(evidence, example),
        jobs=len(jobs),
        of=len(ended),
        example=example,
    )


def _operation(evidence: Evidence, job: JobRecord) -> str:
    """Return the operation that failed; of a job that the server ended, the one in which the client learnt of it."""
    if job.accepted is None:
        return "create" if job.sent < job.done else ""
    if job.outcome in {Outcome.FAILED, Outcome.TIMEOUT}:
        return "wait"
    ends = [
        (abs(request.sent + request.duration - job.done), request.operation)
        for request in evidence.requests.of_case(job.scenario, job.case)
        if request.status not in _GOOD and job.sent <= request.sent <= job.done
    ]
    return min(ends, default=(0.0, ""))[1]


def _stage(evidence: Evidence, job: JobRecord) -> str:
    spans = evidence.traces.spans.get(job.trace_id, ())
    stages = [span.name.removeprefix(STAGE_SPAN) for span in spans if span.error and span.name.startswith(STAGE_SPAN)]
    return ", ".join(dict.fromkeys(STAGES.get(stage, stage) for stage in stages))


def _fault(evidence: Evidence, job: JobRecord) -> str:
    active = [
        f"{fault.target} {fault.kind}"
        for fault in evidence.faults(job.scenario)
        if fault.case == job.case
        and fault.error is None
        and fault.started <= job.done
        and (fault.ended is None or job.due <= fault.ended)
    ]
    return ", ".join(dict.fromkeys(active))

"""``jobs.jsonl``, ``requests.jsonl`` and ``calls.jsonl``: what the load generator and the providers saw of each job.

Records that are made for every job cannot be part of a cycle, so the collection of garbage does not follow them.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Literal

import msgspec

from reelbench.loadgen.record.run_files import CALLS_FILE, JOBS_FILE, REQUESTS_FILE, read_lines


class Outcome(StrEnum):
    """End of a job, as the client saw it."""

    COMPLETED = "completed"
    """The video was completed and, where the steps ask for it, downloaded."""
    FAILED = "failed"
    """The service accepted the job and reported it failed."""
    REJECTED = "rejected"
    """The service refused the job (4xx or 503 on create)."""
    ERROR = "error"
    """No valid answer: connection lost, 5xx, or an answer that is not of the API."""
    TIMEOUT = "timeout"
    """Not terminal within the scenario's time limit for a job, or when an open case was cut off; right-censored at
    `JobRecord.done`, as is ABORTED."""
    CANCELLED = "cancelled"
    """Cancelled by the plan."""
    ABORTED = "aborted"
    """Cut off because the user stopped the run; right-censored at `JobRecord.done`."""


class JobRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One job, from its due time to its end; `JobRunner` fills it by position, so new fields come last."""

    scenario: str
    case: str
    index: int
    """Position in the case's plan, from 0; warm-up jobs come first."""
    warmup: bool
    """True for a declared warm-up job: recorded, but left out of the statistics."""
    due: float
    """When the plan wanted the job sent. In a closed loop: when its slot became free."""
    sent: float
    """When it was sent; equal to `done` for a job that was never sent."""
    accepted: float | None
    """When the create request was answered with a video object."""
    done: float
    """When the client knew the end; response time is ``done - due``."""
    outcome: Outcome
    job_id: str | None
    trace_id: str
    """32 hexadecimal digits; the root span of the job has this trace id."""
    bytes: int
    """Bytes of video content downloaded."""
    deleted: bool
    """True when a step of the plan removed the video from the store."""
    integrity: Literal["ok", "corrupt", "missing"] | None
    """Result of checking every downloaded file and the metadata against the manifest; None when not checked."""
    error: str | None
    """One line, at most 200 characters, when the outcome is not `completed`; what is wrong, when it is not intact."""
    files: int | None = None
    """Files downloaded and compared with the manifest's sha256 and size; None when not checked."""
    scenes: int | None = None
    """Scenes that the manifest names; None when it was not read."""
    scenes_completed: int | None = None
    """Those of them with sound and picture; fewer than `scenes`: the video is partial."""
    cancel_sent: float | None = None
    """When the plan's cancellation was sent; `done` is when it was answered."""
    leftover: bool | None = None
    """True when the service still showed the video after its cancellation was answered; None when not checked."""
    released: float | None = None
    """When the limit of jobs in flight of an open case released it; None when it did not have to wait."""
    reported: str | None = None
    """The server's own word for the state of the job at its end; None when no answer had one."""
    ended: float | None = None
    """When an answer first reported the end of the job, before its content was read; None when no answer did."""
    poll_gap: float | None = None
    """Seconds between the poll that reported the end and the poll before it: the bound of the error of `ended`."""
    throttled: int = 0
    """Answers 429 to requests of this job, each of them sent again."""
    given_up: Literal["cancelled", "not_cancelled", "not_offered"] | None = None
    """Of a job that reached its time limit: whether it was then cancelled at the server; None for other jobs."""
    server: ServerTimes | None = None
    """What the server's answers say of its own work; None when they say nothing."""
    reference: str | None = None
    """Name of the uploaded file, where jobs upload different ones or none."""
    slow_client: bool = False
    """True when the plan let the client send or read slowly."""


class ServerTimes(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """The server's own account of a job, from the fields and headers of its answers."""

    created: float | None = None
    """``created_at`` as Unix time, by the server's clock."""
    started: float | None = None
    """When the work began (``started_at``), by the server's clock."""
    completed: float | None = None
    """``completed_at`` as Unix time, by the server's clock."""
    inference: float | None = None
    """``inference_time_s``: seconds of work."""
    peak_memory: float | None = None
    """``peak_memory_mb`` in bytes."""
    stages: dict[str, float] = {}
    """``Server-Timing``: name of the stage to seconds."""


class RequestRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One HTTP request of a job."""

    scenario: str
    case: str
    index: int
    warmup: bool
    operation: str
    """create, retrieve, wait, list, manifest, content or delete."""
    sent: float
    duration: float
    status: int | None
    """HTTP status code; None when no answer came."""
    bytes: int
    """Bytes of the answer's body."""


class CallRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One call that reached a provider, as the provider counted it."""

    scenario: str
    case: str
    provider: str
    sent: float | None
    """When the caller sent it, by its ``X-Request-Start`` header."""
    arrived: float
    outcome: str
    """Result at the provider: ok, or the kind of fault that hit it."""
    connection: str | None = None
    """The caller's address and port; distinct ones of a case are its connections. None when not known."""


def read_jobs(folder: Path) -> list[JobRecord]:
    """Read ``jobs.jsonl``; an unfinished last line (the writer was killed) is left out.

    Raises:
        RecordError: the file is missing or a line other than an unfinished last one is damaged.
    """
    return list(read_lines(folder / JOBS_FILE, JobRecord))


def read_requests(folder: Path) -> Iterator[RequestRecord]:
    """Yield the records of ``requests.jsonl``, with the rules of `read_jobs`."""
    return read_lines(folder / REQUESTS_FILE, RequestRecord)


def read_calls(folder: Path) -> list[CallRecord]:
    """Read ``calls.jsonl``, with the rules of `read_jobs`; empty when the run has none."""
    return list(read_lines(folder / CALLS_FILE, CallRecord)) if (folder / CALLS_FILE).exists() else []

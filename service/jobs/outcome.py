"""How a job ended."""

from __future__ import annotations

import logging

from reelbench.service.domain.errors import JobError
from reelbench.service.domain.job import Job, Outcome, StopReason
from reelbench.service.domain.video import Status, VideoError
from reelbench.service.store.state import LOST, Written

_log = logging.getLogger(__name__)


def judge(job: Job) -> tuple[Outcome, VideoError | None]:
    """Return the outcome of a job whose pipeline has ended or was never started."""
    task = job.task
    if task is None or task.cancelled() or job.stop_reason == "service_lost":
        return stopped(job.stop_reason)
    error = task.exception()
    if error is not None and job.stop_reason is not None:
        return stopped(job.stop_reason)
    if error is None:
        return ("completed" if all(scene.complete for scene in job.scenes) else "partial"), None
    if isinstance(error, JobError):
        return "failed", error.record()
    _log.error("%s failed by a defect of the service", job.id, exc_info=error)
    return "failed", VideoError(code="internal_error", message="The service failed to make this video.")


def stopped(reason: StopReason | None) -> tuple[Outcome, VideoError | None]:
    """Return the outcome of a job that was stopped."""
    if reason == "service_lost":
        return "failed", LOST
    if reason == "service_shutdown":
        message = "The service was shut down before the video was complete."
        return "failed", VideoError(code="service_shutdown", message=message)
    return "cancelled", None


def status(outcome: Outcome) -> Status:
    """Return the status of a video with this outcome."""
    return "completed" if outcome in {"completed", "partial"} else "failed"


def stop_reason(written: Written) -> StopReason:
    """Return why a job stops whose state the store did not take."""
    return "deleted" if written == "deleted" else "service_lost"

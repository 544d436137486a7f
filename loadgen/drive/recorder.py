"""Sink of the records of jobs and requests."""

from __future__ import annotations

from opentelemetry.context import Context

from reelbench.loadgen.drive.progress import ProgressView
from reelbench.loadgen.metrics import Metrics
from reelbench.loadgen.record.jobs import JobRecord, RequestRecord
from reelbench.loadgen.record.journal import Journal


class Recorder:
    """Distributes the records of jobs and requests to the journal, the metrics and the progress view."""

    def __init__(self, *, run_id: str, journal: Journal, metrics: Metrics, view: ProgressView) -> None:
        self._run_id = run_id
        self._journal = journal
        self._metrics = metrics
        self._view = view
        self._stored: set[str] = set()

    @property
    def stored(self) -> frozenset[str]:
        """Ids of the jobs accepted and not deleted in this scenario: the service's list must contain them."""
        return frozenset(self._stored)

    def begin_scenario(self) -> None:
        """Forget the jobs of the scenario before."""
        self._stored.clear()

    def job_started(self) -> None:
        """Count a job that was sent."""
        self._metrics.job_started()
        self._view.job_started()

    def job_ended(self, job: JobRecord, context: Context) -> None:
        """Store the record of a job."""
        if job.job_id is not None and not job.deleted:
            self._stored.add(job.job_id)
        self._journal.job(job)
        self._metrics.job_ended(self._run_id, job, context)
        self._view.job_ended(job)

    def request_ended(self, request: RequestRecord, context: Context) -> None:
        """Store the record of a request."""
        self._journal.request(request)
        self._metrics.request_ended(self._run_id, request, context)

"""Bytes that the jobs of a case move, by dependency and direction."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from reelbench.loadgen.record.jobs import JobRecord
from reelbench.loadgen.record.run import CaseRecord, RunRecord
from reelbench.reporting.catalogue.sli import Role
from reelbench.reporting.evidence.evidence import Evidence

DEPENDENCIES = ("llm", "tts", "image", "store")


class Traffic(msgspec.Struct, frozen=True):
    """Bytes of the measured jobs of a case."""

    jobs: int
    sent: dict[str, float]
    received: dict[str, float]
    uploaded: float
    """Documents, images and videos that clients sent."""
    downloaded: float
    """Videos that clients fetched."""

    @property
    def egress(self) -> float:
        """Bytes that leave for the internet: requests to the providers, and the videos."""
        return sum(self.sent.get(name, 0.0) for name in ("llm", "tts", "image")) + self.downloaded

    @property
    def total(self) -> float:
        """Bytes in both directions, of all peers."""
        return sum(self.sent.values()) + sum(self.received.values()) + self.uploaded + self.downloaded


def traffic(evidence: Evidence, scenario: str, case: CaseRecord) -> Traffic | None:
    """Return the bytes of a case; None when the service did not count them."""
    sent, received = (
        {name: value for name in DEPENDENCIES if (value := evidence.value(sli, scenario, case.name, name)) is not None}
        for sli in (Role.IO_SENT, Role.IO_RECEIVED)
    )
    jobs = evidence.case_jobs(scenario, case.name)
    if not sent or not received or not jobs:
        return None
    return Traffic(
        jobs=len(jobs),
        sent=sent,
        received=received,
        uploaded=float(_uploaded(evidence.run, [job for job in jobs if job.accepted is not None])),
        downloaded=float(sum(job.bytes for job in jobs)),
    )


def _uploaded(run: RunRecord, accepted: Iterable[JobRecord]) -> int:
    """Return the bytes of the files that these jobs sent."""
    sizes = {file.name: file.bytes for file in run.workload.references} if run.workload is not None else {}
    document = run.document.bytes if run.document is not None else 0
    return sum(document if job.reference is None else sizes.get(job.reference, 0) for job in accepted)

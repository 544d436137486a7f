"""Bytes that the jobs of a case move, by dependency and direction."""

from __future__ import annotations

from dataclasses import dataclass

from reelbench.loadgen.record.run import CaseRecord
from reelbench.reporting.catalogue.sli import Role
from reelbench.reporting.evidence.evidence import Evidence

DEPENDENCIES = ("llm", "tts", "image", "store")


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes of the measured jobs of a case."""

    jobs: int
    sent: dict[str, float]
    received: dict[str, float]
    uploaded: float
    """Documents that clients sent."""
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
    created = sum(1 for job in jobs if job.accepted is not None)
    return Traffic(
        jobs=len(jobs),
        sent=sent,
        received=received,
        uploaded=float(created * evidence.run.document.bytes),
        downloaded=float(sum(job.bytes for job in jobs)),
    )

"""What happened to jobs while the service's store was away."""

from __future__ import annotations

from reelbench.loadgen.record.jobs import Outcome
from reelbench.loadgen.record.run import FaultRecord
from reelbench.reporting.analysis.job_integrity import losses
from reelbench.reporting.analysis.outages import STORE
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Bullets, Paragraph, Section, Table
from reelbench.reporting.evidence.evidence import Evidence
from reelbench.reporting.sections.common import not_run
from reelbench.reporting.statistics.intervals import exact_proportion

SCENARIO = "store_outage"
REASONS = ("store_unavailable", "storage_unavailable", "queue_full", "service_shutdown")


def section(evidence: Evidence) -> Section:
    """Accepted or refused, kept back and written back, lost."""
    title = "Store outage"
    if evidence.scenario(SCENARIO) is None:
        return Section(title, not_run(SCENARIO))
    faults = [fault for fault in evidence.faults(SCENARIO) if fault.target == STORE]
    blocks: list[Block] = [Bullets((_lost(evidence), _written(evidence), _held(evidence, faults)))]
    if not faults:
        blocks.append(Paragraph("The run recorded no fault of the store."))
        return Section(title, tuple(blocks))
    rows = tuple(_row(evidence, fault) for fault in faults)
    columns = (
        "Case", "Fault", "Length [s]", "Sent in it", "Accepted", "Rejected", "Error", "Lifting to first acceptance [s]",
    )  # fmt: skip
    caption = (
        "Jobs by the time at which they were sent, from the client's records. A rejected job (503 with Retry-After) is "
        "no loss: its client knows."
    )
    blocks.append(Table(columns, rows, columns[2:], caption))
    return Section(title, tuple(blocks))


def _row(evidence: Evidence, fault: FaultRecord) -> tuple[str, ...]:
    until = fault.ended if fault.ended is not None else float("inf")
    jobs = evidence.case_jobs(SCENARIO, fault.case)
    sent = [job for job in jobs if fault.started <= job.sent <= until]
    after = [job.accepted for job in jobs if job.accepted is not None and job.sent > until]
    return (
        fault.case,
        fault.kind,
        text.seconds(until - fault.started if fault.ended is not None else None),
        text.count(len(sent)),
        text.count(sum(1 for job in sent if job.accepted is not None)),
        text.count(sum(1 for job in sent if job.outcome is Outcome.REJECTED)),
        text.count(sum(1 for job in sent if job.accepted is None and job.outcome is not Outcome.REJECTED)),
        text.seconds(min(after) - until if after else None),
    )


def _lost(evidence: Evidence) -> str:
    found = losses(evidence, SCENARIO)
    share = None if found.lost is None else exact_proportion(found.lost, found.expected)
    if share is None:
        return f"Jobs lost: not known, as the list of videos was not read ({', '.join(found.unread) or 'no job'})."
    return (
        f"Jobs lost: **{text.fraction(share)}** accepted ones (95 % CI {share.lower * 100:.1f} to "
        f"{share.upper * 100:.1f} %, exact)."
    )


def _written(evidence: Evidence) -> str:
    kept = evidence.value("jobs_deferred", SCENARIO)
    written = evidence.value("jobs_written_back", SCENARIO)
    reasons = {reason: evidence.value("jobs_rejected", SCENARIO, member=reason) for reason in REASONS}
    refused = ", ".join(f"{round(number):,} {reason}" for reason, number in reasons.items() if number is not None)
    return (
        f"Writes kept on disk while the store was away: {text.count(kept)}; of each job the latest state alone is "
        f"written back: {text.count(written)} (PromQL). Refused at creation: {refused or 'none'}."
    )


def _held(evidence: Evidence, faults: list[FaultRecord]) -> str:
    scenario = evidence.scenario(SCENARIO)
    assert scenario is not None
    audit = scenario.audit
    if audit is not None and audit.error is None and audit.unsaved:
        return f"At the end of the scenario **{audit.unsaved} job states still waited for the store**."
    lifted = max((fault.ended for fault in faults if fault.ended is not None), default=None)
    seen = evidence.value("store_unsaved_until", SCENARIO)
    if seen is not None and lifted is not None:
        return (
            f"The last scrape that saw a job state waiting for the store was {abs(seen - lifted):.1f} s "
            f"{'after' if seen > lifted else 'before'} the last lifting (PromQL, to one scrape interval)."
        )
    if audit is None or audit.error is not None:
        return "Whether every state reached the store is not known: the service's own state was not read."
    if lifted is None or scenario.ended is None:
        return "At the end of the scenario no job state waited for the store any more."
    return (
        "The store held everything when it was first looked at, at the end of the scenario: at most "
        f"{scenario.ended - lifted:.1f} s after the last lifting (an upper limit, as nothing looked earlier)."
    )

"""Store outage: what happened to jobs while the service's store was away."""

from __future__ import annotations

from reelbench.loadgen.record.jobs import Outcome
from reelbench.loadgen.record.run import FaultRecord, ScenarioRecord
from reelbench.reporting.analysis import subjects
from reelbench.reporting.analysis.job_integrity import losses
from reelbench.reporting.analysis.outages import STORE
from reelbench.reporting.catalogue.sli import Role
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Bullets, Paragraph, Section, Table
from reelbench.reporting.evidence.evidence import Evidence, place_name
from reelbench.reporting.statistics.intervals import exact_proportion

REASONS = ("store_unavailable", "storage_unavailable", "queue_full", "service_shutdown")


def section(evidence: Evidence) -> Section:
    """Return what was accepted, refused, kept back, written back and lost."""
    title = "Store outage"
    found = subjects.store_outages(evidence)
    if not found:
        return Section(title, (Paragraph("The store was not away in a case of this run."),))
    faults = [fault for fault in evidence.faults(*subjects.names(found)) if fault.target == STORE]
    items = [
        sentence
        for scenario in found
        for sentence in (
            _lost(evidence, scenario.name),
            _written(evidence, scenario.name),
            _held(evidence, scenario, [fault for fault in faults if fault.scenario == scenario.name]),
        )
    ]
    columns = (
        "Scenario / case", "Fault", "Length [s]", "Sent in it", "Accepted", "Rejected", "Error",
        "Lifting to first acceptance [s]",
    )  # fmt: skip
    caption = (
        "Jobs by the time at which they were sent, from the client's records. A rejected job (503 with Retry-After) is "
        "not lost, as its client knows."
    )
    rows = tuple(_row(evidence, fault) for fault in faults)
    return Section(title, (Bullets(tuple(items)), Table(columns, rows, columns[2:], caption)))


def _row(evidence: Evidence, fault: FaultRecord) -> tuple[str, ...]:
    until = fault.ended if fault.ended is not None else float("inf")
    jobs = evidence.case_jobs(fault.scenario, fault.case)
    sent = [job for job in jobs if fault.started <= job.sent <= until]
    after = [job.accepted for job in jobs if job.accepted is not None and job.sent > until]
    return (
        place_name(fault.scenario, fault.case),
        fault.kind,
        text.seconds(until - fault.started if fault.ended is not None else None),
        text.count(len(sent)),
        text.count(sum(1 for job in sent if job.accepted is not None)),
        text.count(sum(1 for job in sent if job.outcome is Outcome.REJECTED)),
        text.count(sum(1 for job in sent if job.accepted is None and job.outcome is not Outcome.REJECTED)),
        text.seconds(min(after) - until if after else None),
    )


def _lost(evidence: Evidence, scenario: str) -> str:
    found = losses(evidence, scenario)
    share = None if found.lost is None else exact_proportion(found.lost, found.expected)
    if share is None:
        reason = f"the list of videos was not read ({', '.join(found.unread) or 'no job'})"
        return f"Jobs lost in `{scenario}`: not known, as {reason}."
    return (
        f"Jobs lost in `{scenario}`: **{text.fraction(share)}** accepted ones (95 % CI {share.lower * 100:.1f} to "
        f"{share.upper * 100:.1f} %, exact)."
    )


def _written(evidence: Evidence, scenario: str) -> str:
    kept = evidence.value(Role.JOBS_DEFERRED, scenario)
    written = evidence.value(Role.JOBS_WRITTEN_BACK, scenario)
    reasons = {reason: evidence.value(Role.JOBS_REJECTED, scenario, member=reason) for reason in REASONS}
    refused = ", ".join(f"{round(number):,} {reason}" for reason, number in reasons.items() if number is not None)
    return (
        f"Writes kept on disk during the outage: {text.count(kept)}; written back, the latest state of each job: "
        f"{text.count(written)} (PromQL). Rejected at creation: {refused or 'none'}."
    )


def _held(evidence: Evidence, scenario: ScenarioRecord, faults: list[FaultRecord]) -> str:
    audit = scenario.audit
    if audit is not None and audit.error is None and audit.unsaved:
        return f"Job states that still waited for the store at the end of the scenario: **{audit.unsaved}**."
    lifted = max((fault.ended for fault in faults if fault.ended is not None), default=None)
    seen = evidence.value(Role.STORE_UNSAVED_UNTIL, scenario.name)
    if seen is not None and lifted is not None:
        return (
            f"Last scrape with a job state waiting for the store: {abs(seen - lifted):.1f} s "
            f"{'after' if seen > lifted else 'before'} the last lifting (PromQL, ± one scrape interval)."
        )
    if audit is None or audit.error is not None:
        return "The service's own state was not read: not known whether every job state reached the store."
    if lifted is None or scenario.ended is None:
        return "At the end of the scenario no job state waited for the store."
    return (
        f"All job states were in the store ≤ {scenario.ended - lifted:.1f} s after the last lifting (an upper limit: "
        "the store was first looked at when the scenario ended)."
    )

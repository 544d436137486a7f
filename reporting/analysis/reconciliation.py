"""Reconciliation: the client's log, the store, Prometheus and the traces must count the same jobs."""

from __future__ import annotations

import msgspec

from reelbench.loadgen.record.jobs import JobRecord, Outcome
from reelbench.loadgen.record.run import ScenarioRecord
from reelbench.reporting.analysis.job_integrity import NO_LIST, excused
from reelbench.reporting.analysis.server_counts import tallies
from reelbench.reporting.catalogue.sli import Role
from reelbench.reporting.evidence.evidence import Evidence

CONFIRMATION = 0.1
"""Seconds within which the start or end of a fault is confirmed; the fault is active slightly earlier."""
UNRESOLVED = frozenset({Outcome.ERROR, Outcome.TIMEOUT, Outcome.ABORTED})
"""Outcomes after which the client does not know how the job ended, or whether it was accepted."""


class Count(msgspec.Struct, frozen=True):
    """One comparison with the client's log."""

    source: str
    what: str
    low: int
    """Lowest count that agrees with the log."""
    high: int
    """Highest count that agrees; exceeds `low` by the jobs whose end the client does not know."""
    found: int | None
    """None when the source is not available."""
    note: str = ""
    others: bool = False
    """True when the source also counts jobs of other clients, so that a higher count is no difference."""

    @property
    def agrees(self) -> bool:
        """True when the count agrees, or the source is missing."""
        return self.found is None or (self.low <= self.found and (self.others or self.found <= self.high))

    @property
    def expected(self) -> str:
        """The count or range of counts that agrees."""
        return f"{self.low:,}" if self.low == self.high else f"{self.low:,} to {self.high:,}"


class Reconciliation(msgspec.Struct, frozen=True):
    """All counts of one scenario."""

    scenario: str
    logged: int
    """Measured jobs in the client's log."""
    counts: tuple[Count, ...]

    @property
    def differences(self) -> tuple[str, ...]:
        """One sentence for each count that does not agree."""
        return tuple(
            f"{self.scenario}: {count.source} has {count.found:,} {count.what}, the client's log {count.expected}"
            for count in self.counts
            if not count.agrees and count.found is not None
        )


def reconcile(evidence: Evidence, dimension: str) -> tuple[Reconciliation, ...]:
    """Reconcile every scenario of a dimension that began."""
    return tuple(_scenario(evidence, scenario) for scenario in evidence.scenarios(dimension))


def _scenario(evidence: Evidence, scenario: ScenarioRecord) -> Reconciliation:
    jobs = evidence.scenario_jobs(scenario.name)
    counts = [
        _store(evidence, scenario),
        *_client_counters(evidence, scenario.name, jobs),
        *([] if evidence.foreign else _service_counters(evidence, scenario.name, jobs)),
        *_server_counters(evidence, scenario),
        *_root_spans(evidence, scenario.name, jobs),
        *_faulted_calls(evidence, scenario.name),
    ]
    return Reconciliation(scenario.name, len(jobs), tuple(counts))


def _store(evidence: Evidence, scenario: ScenarioRecord) -> Count:
    what = "accepted jobs not deleted (with warm-up)"
    kept = [
        job for job in evidence.jobs if job.scenario == scenario.name and job.accepted is not None and not job.deleted
    ]
    if scenario.store is None:
        return Count("store", what, len(kept), len(kept), None, "not available: the list of videos was not read")
    if not scenario.store.offered:
        return Count("store", what, len(kept), len(kept), None, f"not available: {scenario.store.error or NO_LIST}")
    if scenario.store.error is not None:
        return Count("store", what, len(kept), len(kept), None, f"not available: {scenario.store.error}")
    least = len(kept) - excused(evidence, scenario.name)
    return Count("store", what, least, len(kept), scenario.store.found)


def _client_counters(evidence: Evidence, scenario: str, jobs: list[JobRecord]) -> list[Count]:
    source = "Prometheus, loadgen_jobs_total"
    total = evidence.value
    if all(total(Role.CLIENT_JOBS, scenario, member=outcome) is None for outcome in Outcome):
        reason = _silence(evidence)
        if reason or not jobs:
            return [Count(source, "jobs", len(jobs), len(jobs), None if reason else 0, reason)]
    counts = []
    for outcome in Outcome:
        logged = sum(1 for job in jobs if job.outcome is outcome)
        found = round(total(Role.CLIENT_JOBS, scenario, member=outcome) or 0)
        if logged or found:
            counts.append(Count(source, f"jobs {outcome}", logged, logged, found))
    return counts


def _service_counters(evidence: Evidence, scenario: str, jobs: list[JobRecord]) -> list[Count]:
    source = "Prometheus, video_jobs_total"
    words = ("completed", "partial", "failed", "cancelled")
    values = {word: evidence.value(Role.SERVICE_JOBS, scenario, member=word) for word in words}
    accepted = sum(1 for job in jobs if job.accepted is not None)
    if all(value is None for value in values.values()):
        reason = _silence(evidence) or (
            ""
            if evidence.stack and evidence.stack.has_service
            else "not available: the server has no count by scenario"
        )
        if reason or not accepted:
            return [Count(source, "jobs", accepted, accepted, None if reason else 0, reason)]
    found = {word: round(value or 0) for word, value in values.items()}
    groups = (
        ("jobs completed or partial", Outcome.COMPLETED, found["completed"] + found["partial"]),
        ("jobs failed", Outcome.FAILED, found["failed"]),
        ("jobs cancelled", Outcome.CANCELLED, found["cancelled"]),
    )
    unresolved = sum(1 for job in jobs if job.outcome in UNRESOLVED)
    counts = []
    for what, outcome, number in groups:
        logged = sum(1 for job in jobs if job.outcome is outcome)
        if logged or number:
            counts.append(Count(source, what, logged, logged + unresolved, number))
    settled = sum(1 for job in jobs if job.accepted is not None and job.outcome not in UNRESOLVED)
    counts.append(Count(source, "jobs in all", settled, settled + unresolved, sum(found.values())))
    return counts


def _server_counters(evidence: Evidence, scenario: ScenarioRecord) -> list[Count]:
    """Compare the counters of a server that is not ours with the log; between two samples, warm-up included."""
    return [
        Count(
            source=f"server, {one.source}",
            what=f"jobs {one.result} around {one.case} (with warm-up)",
            low=one.low,
            high=one.high,
            found=one.found,
            note=one.note,
            others=True,
        )
        for case in scenario.cases
        if case.started is not None and case.ended is not None
        for one in tallies(evidence, scenario.name, case)
    ]


def _silence(evidence: Evidence) -> str:
    return "" if evidence.measurements.prometheus else "not available: there was no Prometheus to ask"


def _faulted_calls(evidence: Evidence, scenario: str) -> list[Count]:
    """Compare the providers' call log with the calls that their faults saw: an incomplete log cannot prove absence."""
    counts = []
    for fault in evidence.faults(scenario):
        if fault.target == "store" or fault.seen is None or fault.ended is None:
            continue
        logged = sum(
            1
            for call in evidence.calls
            if (call.scenario, call.provider) == (scenario, fault.target)
            and fault.started - CONFIRMATION <= call.arrived <= fault.ended + CONFIRMATION
        )
        # Further calls arrive while the fault is switched on and off, so a higher count is no difference.
        most = max(logged, fault.seen)
        what = f"calls of {fault.target} during the {fault.kind} (the fault saw {fault.seen:,})"
        note = "" if evidence.calls_read(scenario) else "not available: the providers' log of calls was not read"
        counts.append(Count("providers, calls.jsonl", what, fault.seen, most, None if note else logged, note))
    return counts


def _root_spans(evidence: Evidence, scenario: str, jobs: list[JobRecord]) -> list[Count]:
    source = "traces, root spans"
    spans = evidence.traces.roots
    if spans is None:
        note = f"not available: {evidence.traces.absent or 'the run kept no traces'}"
        return [Count(source, "jobs", len(jobs), len(jobs), None, note)]
    found = {
        outcome: sum(
            number
            for key, number in spans.items()
            if (key.run_id, key.scenario, key.outcome) == (evidence.run.run_id, scenario, outcome) and not key.warmup
        )
        for outcome in Outcome
    }
    counts = []
    for outcome in Outcome:
        logged = sum(1 for job in jobs if job.outcome is outcome)
        if logged or found[outcome]:
            counts.append(Count(source, f"jobs {outcome}", logged, logged, found[outcome]))
    return counts

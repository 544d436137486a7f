"""Cancellation: how long it takes, and what is left of the cancelled jobs."""

from __future__ import annotations

from reelbench.loadgen.record.jobs import JobRecord, Outcome
from reelbench.loadgen.record.run import ScenarioRecord
from reelbench.reporting.analysis import subjects
from reelbench.reporting.catalogue.sli import Role
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Bullets, Paragraph, Section, Table
from reelbench.reporting.evidence.evidence import Evidence
from reelbench.reporting.statistics.intervals import Proportion, Summary, exact_proportion, summarize


def _asked(evidence: Evidence) -> list[JobRecord]:
    found = (job for s in subjects.cancellations(evidence) for job in evidence.scenario_jobs(s.name))
    return [job for job in found if job.cancel_sent is not None]


def leftovers(evidence: Evidence) -> Proportion | None:
    """Return the cancelled jobs that the service still showed, of those looked for; exact interval."""
    looked = [job for job in _asked(evidence) if job.outcome is Outcome.CANCELLED and job.leftover is not None]
    return exact_proportion(sum(1 for job in looked if job.leftover), len(looked))


def latency(evidence: Evidence) -> Summary | None:
    """Return the seconds from sending a cancellation to its answer, also of jobs that had ended before."""
    return summarize([job.done - job.cancel_sent for job in _asked(evidence) if job.cancel_sent is not None])


def section(evidence: Evidence) -> Section:
    """Return the latency at both sides, leftovers, and the service's own state afterwards."""
    title = "Cancellation"
    found = subjects.cancellations(evidence)
    if not found:
        return Section(title, (Paragraph("No scenario of this run cancels jobs."),))
    asked = _asked(evidence)
    stopped = sum(1 for job in asked if job.outcome is Outcome.CANCELLED)
    jobs = sum(len(evidence.scenario_jobs(scenario.name)) for scenario in found)
    items = [f"{stopped:,} of {jobs:,} jobs were cancelled in progress; {len(asked) - stopped:,} had already ended."]
    if left := leftovers(evidence):
        items.append(
            f"Still shown after the cancellation was answered: **{text.fraction(left)}** "
            f"(95 % CI {left.lower * 100:.1f} to {left.upper * 100:.1f} %, exact)."
        )
    items += [
        f"State of the service after `{scenario.name}`: {text.counted(audit.live, 'live job')}, "
        f"{text.counted(audit.orphans, 'folder')} without a record."
        for scenario in found
        if (audit := scenario.audit) is not None and audit.error is None
    ]
    columns = ("Latency [ms]", "n", "Avg", "P50", "P95", "95 % CI or bucket of P95", "Max")
    rows = tuple(row for scenario in found for row in _rows(evidence, scenario))
    return Section(title, (Bullets(tuple(items)), Table(columns, rows, columns[1:5] + columns[6:])))


def _rows(evidence: Evidence, scenario: ScenarioRecord) -> tuple[tuple[str, ...], tuple[str, ...]]:
    name = scenario.name
    jobs = [job for job in evidence.scenario_jobs(name) if job.outcome is Outcome.CANCELLED]
    times = summarize([job.done - job.cancel_sent for job in jobs if job.cancel_sent is not None])
    service = evidence.measured(Role.CANCEL_P95, name)
    return (
        (
            f"{name}: client, sent to answered",
            text.count(times.n if times else 0),
            text.milliseconds(times.average if times else None),
            text.milliseconds(times.p50.value if times else None),
            text.milliseconds(times.p95.value if times else None),
            text.interval(times.p95.interval, "ms") if times else text.NONE,
            text.milliseconds(times.maximum if times else None),
        ),
        (
            f"{name}: service, work stopped and files removed (PromQL)",
            text.count(evidence.value(Role.CANCEL_N, name)),
            text.milliseconds(evidence.value(Role.CANCEL_AVG, name)),
            text.NONE,
            text.milliseconds(service.value if service else None),
            f"bucket {text.bucket(service.bound, 'ms')}" if service and service.bound else text.NONE,
            text.NONE,
        ),
    )

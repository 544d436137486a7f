"""Cancellation: how soon a deleted job is gone, and whether anything of it stays."""

from __future__ import annotations

from reelbench.loadgen.record.jobs import JobRecord, Outcome
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Bullets, Section, Table
from reelbench.reporting.evidence.evidence import Evidence
from reelbench.reporting.sections.common import not_run
from reelbench.reporting.statistics.intervals import Proportion, exact_proportion, summarize

SCENARIO = "job_cancellation"


def cancelled(records: Evidence) -> list[JobRecord]:
    """Jobs that were cancelled in mid-work."""
    return [job for job in records.scenario_jobs(SCENARIO) if job.outcome is Outcome.CANCELLED]


def leftovers(records: Evidence) -> Proportion | None:
    """Jobs that the service still showed after their cancellation, of those that were looked at; exact interval."""
    looked = [job for job in cancelled(records) if job.leftover is not None]
    return exact_proportion(sum(1 for job in looked if job.leftover), len(looked))


def section(evidence: Evidence) -> Section:
    """Latency on both sides, leftovers, and the service's own state afterwards."""
    title = "Cancellation"
    scenario = evidence.scenario(SCENARIO)
    if scenario is None:
        return Section(title, not_run(SCENARIO))
    jobs = evidence.scenario_jobs(SCENARIO)
    asked = [job for job in jobs if job.cancel_sent is not None]
    stopped = cancelled(evidence)
    items = [
        (
            f"{len(stopped):,} of {len(jobs):,} jobs were cancelled in mid-work; {len(asked) - len(stopped):,} had "
            "ended before."
        )
    ]
    left = leftovers(evidence)
    if left:
        items.append(
            f"Still shown after their cancellation was answered: **{text.fraction(left)}** "
            f"(95 % CI {left.lower * 100:.1f} to {left.upper * 100:.1f} %, exact)."
        )
    if scenario.audit is not None and scenario.audit.error is None:
        items.append(
            f"The service's own state afterwards: {scenario.audit.live:,} jobs still live, {scenario.audit.orphans:,} "
            "folders of files without a record."
        )
    times = summarize([job.done - job.cancel_sent for job in stopped if job.cancel_sent is not None])
    service = evidence.measured("cancel_p95", SCENARIO)
    rows = (
        (
            "client: sent to answered",
            text.count(times.n if times else 0),
            text.milliseconds(times.average if times else None),
            text.milliseconds(times.p50.value if times else None),
            text.milliseconds(times.p95.value if times else None),
            text.interval(times.p95.interval, "ms") if times else text.NONE,
            text.milliseconds(times.maximum if times else None),
        ),
        (
            "service: work stopped, files gone (PromQL)",
            text.count(evidence.value("cancel_n", SCENARIO)),
            text.milliseconds(evidence.value("cancel_avg", SCENARIO)),
            text.NONE,
            text.milliseconds(service.value if service else None),
            f"bucket {text.bucket(service.bound, 'ms')}" if service and service.bound else text.NONE,
            text.NONE,
        ),
    )
    columns = ("Latency [ms]", "n", "Avg", "P50", "P95", "95 % CI or bucket of P95", "Max")
    return Section(title, (Bullets(tuple(items)), Table(columns, rows, columns[1:5] + columns[6:])))

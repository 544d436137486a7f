"""How jobs end: completed, with a partial video, or cancelled."""

from __future__ import annotations

from collections import Counter

from reelbench.loadgen.record.jobs import JobRecord, Outcome
from reelbench.loadgen.record.run import ScenarioRecord
from reelbench.reporting.analysis import subjects
from reelbench.reporting.analysis.job_fates import Cancellations, cancellations
from reelbench.reporting.catalogue.sli import Role
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Bullets, Paragraph, Section, Table
from reelbench.reporting.document.text import literal
from reelbench.reporting.evidence.dimension import Dimension
from reelbench.reporting.evidence.evidence import STOPPED, Evidence, place_name
from reelbench.reporting.sections.reliability import unfinished
from reelbench.reporting.statistics.intervals import Proportion, Summary, exact_proportion, summarize

REASONS = 3
"""Most reasons that a sentence names."""


def success(evidence: Evidence) -> Proportion | None:
    """Return the share of completed jobs in normal operation, without stopped ones; exact interval."""
    normal = subjects.normal_operation(evidence)
    return _share(evidence, evidence.scenario_jobs(normal.name)) if normal else None


def success_rate(evidence: Evidence) -> Section:
    """Return the success rate without faults, and the outcomes of every case."""
    normal, found = subjects.normal_operation(evidence), success(evidence)
    blocks: list[Block] = [Paragraph("No scenario of this run is free of faults and cancellations.")]
    if normal and found:
        blocks = [Bullets((f"Jobs completed without faults (`{normal.name}`): {text.quoted(found)}, exact interval.",))]
    rows = []
    broken = any(map(evidence.broken, evidence.jobs))
    for scenario, case in evidence.cases(Dimension.RELIABILITY):
        jobs = evidence.case_jobs(scenario.name, case.name)
        counts = [sum(1 for job in jobs if job.outcome is outcome) for outcome in Outcome]
        rows.append(
            (
                place_name(scenario.name, case.name),
                text.count(len(jobs)),
                *(text.count(number) for number in counts),
                *([text.count(sum(map(evidence.broken, jobs)))] if broken else []),
                text.rate(_share(evidence, jobs)),
                text.percent(evidence.value(Role.SUCCESS_RATE, scenario.name, case.name)),
            )
        )
    columns = (
        "Scenario / case", "Jobs", *(str(outcome).capitalize() for outcome in Outcome),
        *(["File broken"] if broken else []), "Success % (95 % CI)", "Success % PromQL",
    )  # fmt: skip
    caption = (
        "From the client's records. Success: completed jobs, of all that were neither cancelled nor aborted. Only the "
        "scenarios under *Objectives* are judged by it: with faults, failed jobs are expected."
    )
    if broken:
        caption += (
            " A completed job whose file does not decode is no success, here and in the verdict. PromQL counts it as "
            "completed, as the server reported it; so does the reconciliation, which compares what was reported."
        )
    table = Table(columns, tuple(rows), columns[1:], caption)
    return Section("Success rate", (*blocks, table, *unfinished.blocks(evidence)))


def _share(evidence: Evidence, jobs: list[JobRecord]) -> Proportion | None:
    ended = [job for job in jobs if job.outcome not in STOPPED]
    return exact_proportion(sum(map(evidence.succeeded, ended)), len(ended))


def handled(evidence: Evidence) -> Proportion | None:
    """Return the jobs that ended with a video, whole or partial, of all that ended; exact interval."""
    jobs = _refused_jobs(evidence)
    return exact_proportion(sum(map(evidence.succeeded, jobs)), len(jobs))


def partial_failures(evidence: Evidence) -> Section | None:
    """Return whole, partial and failed jobs, lost scenes, and whether manifests and service agree."""
    title = "Partial failure handling"
    found = subjects.refused_calls(evidence)
    if not found and evidence.foreign:
        return None
    if not found:
        return Section(title, (Paragraph("No provider refused calls with a permanent error in this run."),))
    jobs = _refused_jobs(evidence)
    completed = [job for job in jobs if job.outcome is Outcome.COMPLETED]
    read = [
        (job.scenes, job.scenes_completed)
        for job in completed
        if job.scenes is not None and job.scenes_completed is not None
    ]
    whole = sum(1 for scenes, done in read if done == scenes)
    partial = len(read) - whole
    groups = (
        ("completed, whole", whole),
        ("completed, partial", partial),
        ("completed, manifest not read", len(completed) - len(read)),
        ("failed", sum(1 for job in jobs if job.outcome is Outcome.FAILED)),
        ("end not known", sum(1 for job in jobs if job.outcome not in {Outcome.COMPLETED, Outcome.FAILED})),
    )
    rows = tuple(
        (name, text.fraction(share), text.rate(share))
        for name, k in groups
        if (share := exact_proportion(k, len(jobs)))
    )
    items = []
    if video := handled(evidence):
        items.append(f"Jobs with a video despite the fault: {text.quoted(video)}.")
    if lost := exact_proportion(sum(scenes - done for scenes, done in read), sum(scenes for scenes, _ in read)):
        items.append(f"Scenes lost in completed videos: {text.quoted(lost)}, exact interval.")
    items.append(_agreement(evidence, subjects.names(found), partial))
    if checked := [job for job in completed if job.integrity is not None]:
        intact = sum(1 for job in checked if job.integrity == "ok")
        items.append(f"Videos whose files match their manifest: {intact:,} of {len(checked):,} checked.")
    columns = ("End of the job", "Jobs", "Share % (95 % CI)")
    caption = (
        f"Scenario {', '.join(f'`{s.name}`' for s in found)}, from the client's records and the manifests it read. "
        "Partial: a scene lacks sound or picture."
    )
    return Section(title, (Bullets(tuple(items)), Table(columns, rows, columns[1:], caption)))


def _refused_jobs(evidence: Evidence) -> list[JobRecord]:
    found = subjects.refused_calls(evidence)
    return [job for s in found for job in evidence.scenario_jobs(s.name) if job.outcome not in STOPPED]


def _agreement(evidence: Evidence, names: list[str], partial: int) -> str:
    said = [
        evidence.value(Role.SERVICE_JOBS, name, member=member) for name in names for member in ("partial", "completed")
    ]
    if all(value is None for value in said):
        return f"Partial videos: {partial:,} by the manifests; the service's count is not available."
    number = round(sum(value or 0 for value in said[::2]))
    verdict = "the counts agree" if number == partial else "**the counts differ**"
    return f"Partial videos: {partial:,} by the manifests, {number:,} by the service (PromQL): {verdict}."


def _cancellations(evidence: Evidence) -> Cancellations:
    return cancellations(evidence, *subjects.names(subjects.cancellations(evidence)))


def leftovers(evidence: Evidence) -> Proportion | None:
    """Return the cancelled jobs that the service still showed, of those looked for; exact interval."""
    looked = [job for job in _cancellations(evidence).stopped if job.leftover is not None]
    return exact_proportion(sum(1 for job in looked if job.leftover), len(looked))


def cancellation_times(evidence: Evidence) -> Summary | None:
    """Return the seconds from sending a cancellation to its answer, also of jobs that had ended before."""
    answered = _cancellations(evidence).answered
    return summarize([job.done - job.cancel_sent for job in answered if job.cancel_sent is not None])


def cancellation(evidence: Evidence) -> Section | None:
    """Return the latency at both sides, leftovers, and the service's own state afterwards."""
    title = "Cancellation"
    found = subjects.cancellations(evidence)
    if not found:
        return None if evidence.foreign else Section(title, (Paragraph("No scenario of this run cancels jobs."),))
    tried = _cancellations(evidence)
    items = [
        (
            f"{len(tried.stopped):,} of {tried.jobs:,} jobs were cancelled in progress; {len(tried.ended):,} had "
            "already ended."
        )
    ]
    if tried.refused:
        items.append(_refused(tried))
    if tried.unasked:
        items.append(_unasked(tried))
    if left := leftovers(evidence):
        kept = "; a server may keep the record of a cancelled job, so this is no violation"
        kept = kept if evidence.foreign and left.k else ""
        items.append(
            f"Still shown after the cancellation was answered: **{text.fraction(left)}** "
            f"(95 % CI {left.lower * 100:.1f} to {left.upper * 100:.1f} %, exact){kept}."
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


def _refused(tried: Cancellations) -> str:
    answers = ", ".join(f"{number:,} x {status}" for status, number in tried.statuses.items())
    return (
        f"{text.counted(len(tried.refused), 'job')} could not be cancelled"
        f"{f' (answers to the cancellations: {answers})' if answers else ''}: what became of "
        f"{'it' if len(tried.refused) == 1 else 'them'} at the server was not followed."
    )


def _unasked(tried: Cancellations) -> str:
    reasons = Counter(job.error or job.outcome.value for job in tried.unasked)
    parts = ", ".join(f"{literal(why)} ({number:,})" for why, number in reasons.most_common(REASONS))
    return f"For {text.counted(len(tried.unasked), 'job')} no cancellation was sent: {parts}."


def _rows(evidence: Evidence, scenario: ScenarioRecord) -> tuple[tuple[str, ...], ...]:
    name = scenario.name
    stopped = cancellations(evidence, name).stopped
    times = summarize([job.done - job.cancel_sent for job in stopped if job.cancel_sent is not None])
    service = evidence.measured(Role.CANCEL_P95, name)
    rows = (
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
    return rows[:1] if evidence.foreign else rows

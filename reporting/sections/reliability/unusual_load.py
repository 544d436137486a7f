"""Unusual load between calm cases: more jobs than the service takes, cancellations at once, slow clients."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from reelbench.loadgen.record.jobs import JobRecord, Outcome
from reelbench.loadgen.record.run import CaseRecord, ScenarioRecord
from reelbench.reporting.analysis import subjects
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Bullets, Section, Table
from reelbench.reporting.evidence.evidence import Evidence, place_name
from reelbench.reporting.evidence.integrity import CREATE
from reelbench.reporting.statistics.intervals import Summary, summarize

OK, TOO_MANY_REQUESTS, UNAVAILABLE, REFUSED = 300, 429, 503, 400


def section(evidence: Evidence) -> Section | None:
    """Return what was refused, finished and cancelled, and whether the service works after it; None without any."""
    found = subjects.unusual_load(evidence)
    if not found:
        return None
    items = [item for scenario in found for item in _sentences(evidence, scenario)]
    blocks: list[Block] = [Bullets(tuple(items)), _creates(evidence, found), _jobs(evidence, found)]
    return Section("Unusual load", tuple(blocks))


def _sentences(evidence: Evidence, scenario: ScenarioRecord) -> list[str]:
    items = []
    for case in scenario.cases:
        jobs = evidence.case_jobs(scenario.name, case.name)
        if case.model == "open":
            items.append(_shed(evidence, scenario, case, jobs))
        if cancelled := [job for job in jobs if job.cancel_sent is not None]:
            stopped = sum(1 for job in cancelled if job.outcome is Outcome.CANCELLED)
            items.append(
                f"`{place_name(scenario.name, case.name)}`: {stopped:,} of {text.counted(len(cancelled), 'job')} were "
                "cancelled in progress."
            )
        if any(job.slow_client for job in jobs):
            items.append(_others(evidence, scenario, case, jobs))
    calm = [case for case in scenario.cases if not subjects.unusual(evidence, scenario, case)]
    if len(calm) > 1:
        before, after = (evidence.case_jobs(scenario.name, case.name) for case in (calm[0], calm[-1]))
        items.append(
            f"Afterwards (`{place_name(scenario.name, calm[-1].name)}`): {_completed(after)}, P50 {_p50(after)}; "
            f"before (`{calm[0].name}`): {_completed(before)}, P50 {_p50(before)}."
        )
    return items


def _shed(evidence: Evidence, scenario: ScenarioRecord, case: CaseRecord, jobs: Sequence[JobRecord]) -> str:
    answers = _statuses(evidence, scenario, case)
    shed = answers[TOO_MANY_REQUESTS] + answers[UNAVAILABLE]
    accepted = [job for job in jobs if job.accepted is not None]
    cut = sum(1 for job in accepted if job.outcome in {Outcome.TIMEOUT, Outcome.ABORTED})
    return (
        f"`{place_name(scenario.name, case.name)}`: of {text.counted(answers.total(), 'create request')}, {shed:,} "
        f"were refused for overload ({answers[TOO_MANY_REQUESTS]:,} with 429, {answers[UNAVAILABLE]:,} with 503). "
        f"Accepted: {_completed(accepted)}, {cut:,} had not ended when the case was cut off."
    )


def _others(evidence: Evidence, scenario: ScenarioRecord, case: CaseRecord, jobs: Sequence[JobRecord]) -> str:
    usual = [job for job in jobs if not job.slow_client]
    calm = next((one for one in scenario.cases if not subjects.unusual(evidence, scenario, one)), None)
    alone = evidence.case_jobs(scenario.name, calm.name) if calm is not None else []
    return (
        f"`{place_name(scenario.name, case.name)}`: jobs of the other clients took P50 {_p50(usual)} next to slow "
        f"clients, P50 {_p50(alone)} without them."
    )


def _creates(evidence: Evidence, found: Sequence[ScenarioRecord]) -> Table:
    rows = []
    for scenario in found:
        for case in scenario.cases:
            answers = _statuses(evidence, scenario, case)
            refused = sum(n for status, n in answers.items() if status >= REFUSED)
            shed = answers[TOO_MANY_REQUESTS] + answers[UNAVAILABLE]
            rows.append(
                (
                    place_name(scenario.name, case.name),
                    text.count(answers.total()),
                    text.count(sum(n for status, n in answers.items() if 0 < status < OK)),
                    text.count(answers[TOO_MANY_REQUESTS]),
                    text.count(answers[UNAVAILABLE]),
                    text.count(refused - shed),
                    text.count(answers[0]),
                )
            )
    columns = ("Scenario / case", "Create requests", "Accepted", "429", "503", "Other errors", "No answer")
    caption = "Answers to create requests, without warm-up; a request that was sent again counts again."
    return Table(columns, tuple(rows), columns[1:], caption)


def _jobs(evidence: Evidence, found: Sequence[ScenarioRecord]) -> Table:
    rows = []
    for scenario in found:
        for case in scenario.cases:
            jobs = evidence.case_jobs(scenario.name, case.name)
            slow = [job for job in jobs if job.slow_client]
            name = place_name(scenario.name, case.name)
            if slow:
                rows.append(_row(f"{name}, slow clients", slow))
            rows.append(_row(f"{name}, others" if slow else name, [job for job in jobs if not job.slow_client]))
    columns = (
        "Scenario / case", "Jobs", "Completed", "Rejected", "Cancelled", "Failed or error", "Not ended", "P50 [s]",
        "P95 [s]", "Max [s]",
    )  # fmt: skip
    caption = (
        "Not ended: at the time limit of a job, or when the case was cut off. Response times of completed jobs. A slow "
        "client sends its request or reads the answer at a limited rate."
    )
    return Table(columns, tuple(rows), columns[1:], caption)


def _row(name: str, jobs: Sequence[JobRecord]) -> tuple[str, ...]:
    outcomes = Counter(job.outcome for job in jobs)
    times = _times(jobs)
    return (
        name,
        text.count(len(jobs)),
        text.count(outcomes[Outcome.COMPLETED]),
        text.count(outcomes[Outcome.REJECTED]),
        text.count(outcomes[Outcome.CANCELLED]),
        text.count(outcomes[Outcome.FAILED] + outcomes[Outcome.ERROR]),
        text.count(outcomes[Outcome.TIMEOUT] + outcomes[Outcome.ABORTED]),
        text.seconds(times.p50.value if times else None),
        text.seconds(times.p95.value if times else None),
        text.seconds(times.maximum if times else None),
    )


def _statuses(evidence: Evidence, scenario: ScenarioRecord, case: CaseRecord) -> Counter[int]:
    """Return how often create requests got each status; 0: no answer."""
    found = evidence.requests.statuses(scenario.name, CREATE, case.name)
    return Counter({status or 0: count for status, count in found.items()})


def _times(jobs: Sequence[JobRecord]) -> Summary | None:
    return summarize([job.done - job.due for job in jobs if job.outcome is Outcome.COMPLETED])


def _p50(jobs: Sequence[JobRecord]) -> str:
    times = _times(jobs)
    return text.with_unit(times.p50.value if times else None, "s")


def _completed(jobs: Sequence[JobRecord]) -> str:
    done = sum(1 for job in jobs if job.outcome is Outcome.COMPLETED)
    return f"{done:,} of {text.counted(len(jobs), 'job')} completed"

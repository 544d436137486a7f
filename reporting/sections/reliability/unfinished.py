"""Jobs that the client gave up, that the server ended, or whose requests were throttled: each with its number."""

from __future__ import annotations

from collections import Counter

from reelbench.loadgen.record.jobs import Outcome
from reelbench.reporting.analysis import subjects
from reelbench.reporting.analysis.job_fates import Fates, fates
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Bullets, Table
from reelbench.reporting.document.text import literal
from reelbench.reporting.evidence.dimension import Dimension
from reelbench.reporting.evidence.evidence import Evidence


def blocks(evidence: Evidence) -> list[Block]:
    """Return the sentences that apply to a run, and the server's own words where they say more than the outcomes."""
    found = fates(evidence, *subjects.names(evidence.scenarios(Dimension.RELIABILITY)))
    items = [sentence for sentence in (_given_up(found), _removed(found), _throttled(found)) if sentence]
    table = _words(evidence)
    return [*([Bullets(tuple(items))] if items else []), *([table] if table else [])]


def _given_up(found: Fates) -> str:
    if not found.given_up:
        return ""
    ways = (
        (found.cancelled_late, "then cancelled at the server"),
        (found.cancel_failed, "not cancelled, as the server refused or did not answer"),
        (found.cancel_absent, "not cancelled, as the server offers no cancellation"),
    )
    parts = ", ".join(f"{number:,} {way}" for number, way in ways if number)
    return (
        f"Given up by the client at the time limit: **{found.given_up:,} of {found.jobs:,} jobs** ({parts}). How they "
        "would have ended is unknown; they are not lost."
    )


def _removed(found: Fates) -> str:
    if not found.removed:
        return ""
    return (
        f"Ended or removed by the server itself, by its own word: {text.counted(found.removed, 'job')}. Its "
        "answers said so; they are not lost."
    )


def _throttled(found: Fates) -> str:
    if not found.throttled:
        return ""
    return (
        f"Throttled (429, or 503 with a time to wait): {text.counted(found.throttled, 'request')} of "
        f"{text.counted(found.throttled_jobs, 'job')}. A throttled request is sent again, and ends no job by itself."
    )


def _words(evidence: Evidence) -> Table | None:
    counts: Counter[tuple[str, Outcome, str]] = Counter(
        (scenario.name, job.outcome, job.reported)
        for scenario in evidence.scenarios(Dimension.RELIABILITY)
        for job in evidence.scenario_jobs(scenario.name)
        if job.reported not in {None, job.outcome} and job.outcome is not Outcome.CANCELLED
    )
    if not counts:
        return None
    columns = ("Scenario", "Outcome", "Last word of the server", "Jobs")
    rows = tuple(
        (scenario, outcome.value, literal(word), text.count(number))
        for (scenario, outcome, word), number in sorted(counts.items())
    )
    return Table(columns, rows, ("Jobs",), "Where the server's word for the state of a job is not that of the outcome.")

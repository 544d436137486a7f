"""The server's own counts of ended requests, compared with the client's log."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from reelbench.loadgen.record.jobs import JobRecord, Outcome
from reelbench.loadgen.record.run import CaseRecord
from reelbench.reporting.analysis import server_figures as figures
from reelbench.reporting.catalogue.server_metrics import ServerRole, known_sets
from reelbench.reporting.evidence.evidence import Evidence

RESULTS = {"completed": Outcome.COMPLETED, "failed": Outcome.FAILED}
"""Results that the client and the server both name."""
_UNKNOWN = frozenset({Outcome.ERROR, Outcome.TIMEOUT, Outcome.ABORTED, Outcome.CANCELLED})


class ServerTally(msgspec.Struct, frozen=True):
    """The requests of one result in one case, as the server and the client count them."""

    source: str
    case: str
    result: str
    low: int
    """Jobs of the client that surely ended between the two samples."""
    high: int
    """With those that may have ended between them, or whose end the client does not know."""
    found: int | None
    """None: the server was started again, or counts something else."""
    note: str = ""


def tallies(evidence: Evidence, scenario: str, case: CaseRecord) -> Iterator[ServerTally]:
    """Yield the server's count of each result in a case, with the count that the client expects."""
    groups: dict[tuple[int, str, str], list[tuple[float | None, float, float, str]]] = {}
    for one in figures.counts(evidence, ServerRole.REQUESTS, scenario, case.name):
        key = (one.source, one.set, one.result)
        groups.setdefault(key, []).append((one.value, one.before, one.after, one.of))
    for (_, name, result), found in sorted(groups.items()):
        title = known_sets()[name].title if name in known_sets() else name
        values = [value for value, *_ in found]
        total = None if None in values else round(sum(value or 0.0 for value in values))
        if found[0][3] != "jobs":
            note = f"counts requests of any kind: {total:,}" if total is not None else "the server was started again"
            yield ServerTally(title, case.name, result, 0, 0, None, f"not compared: {note}")
        elif (outcome := RESULTS.get(result)) is not None:
            low, high = _expected(evidence, outcome, min(one[1] for one in found), max(one[2] for one in found))
            yield ServerTally(title, case.name, result, low, high, total, _note(total, high))


def _note(found: int | None, high: int) -> str:
    if found is None:
        return "not available: the server was started again, or no sample lies on one side of the case"
    if found > high:
        return f"{found - high:,} more: requests of other clients cannot be distinguished"
    return ""


def _expected(evidence: Evidence, outcome: Outcome, before: float, after: float) -> tuple[int, int]:
    """Return how many jobs of the client, warm-up included, surely and at most ended between two times."""
    low = high = 0
    for job in evidence.jobs:
        if job.outcome is not outcome and job.outcome not in _UNKNOWN:
            continue
        first, last = _end(job)
        if job.outcome is outcome and before < first and last <= after:
            low += 1
        if last > before and first <= after:
            high += 1
    return low, high


def _end(job: JobRecord) -> tuple[float, float]:
    """Return the earliest and the latest time at which a job can have ended at the server."""
    if job.ended is not None and job.poll_gap is not None:
        return job.ended - job.poll_gap, job.ended
    return job.accepted if job.accepted is not None else job.sent, job.done

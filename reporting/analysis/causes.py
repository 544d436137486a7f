"""What is wrong in a run: each objective that is violated or has no data, by how much, and the likely cause."""

from __future__ import annotations

import msgspec

from reelbench.reporting.analysis.breakdown import QUEUE, STAGES, Breakdown
from reelbench.reporting.analysis.failures import FailureGroup, groups
from reelbench.reporting.analysis.paths import path_of
from reelbench.reporting.analysis.verdicts import Analysis, Status, Verdict
from reelbench.reporting.catalogue.sli import Kind, Role, Samples
from reelbench.reporting.document import text
from reelbench.reporting.evidence.evidence import Evidence

_ERROR = 90
"""Characters of an error in a sentence."""
_TWICE = 2.0
"""From here on, a value is given as a multiple of its objective."""
_SWITCHES = {
    Role.RECOVERY_RATE: ("retries", "the service ran without retries"),
    Role.CACHE_HIT_RATE: ("cache", "the service ran without its caches"),
}
"""Feature of the service without which an indicator cannot hold, and that it was off."""


class Cause(msgspec.Struct, frozen=True):
    """One objective that does not hold."""

    verdict: Verdict
    excess: str
    """By how much; empty without a value."""
    why: str
    """Likely cause, in plain text: failed jobs, the slowest part, or the reason of the verdict."""
    failures: FailureGroup | None = None
    """The largest group of failed jobs in the place, where failures are the cause."""
    slowest: str = ""
    """The part of a job that takes longest, where time is the cause."""


def causes(evidence: Evidence, analysis: Analysis, dimension: str) -> tuple[Cause, ...]:
    """Return the objectives that do not hold: proven violations first, then those not proven, then missing data."""
    found = [v for v in analysis.verdicts if stands_out(v)]
    return tuple(_cause(evidence, v, dimension) for v in sorted(found, key=_rank))


def stands_out(verdict: Verdict) -> bool:
    """Return whether an objective is violated, proven or not, or has no data."""
    violated = verdict.certainty is not None and not verdict.certainty.holds
    return verdict.status in {Status.FAIL, Status.NO_DATA} or violated


def _rank(verdict: Verdict) -> int:
    order = (Status.FAIL, Status.INVALID, Status.INCONCLUSIVE, Status.PASS, Status.NO_DATA)
    return order.index(verdict.status)


def _cause(evidence: Evidence, verdict: Verdict, dimension: str) -> Cause:
    excess, sli = _excess(verdict), verdict.sli
    failures = [
        group
        for group in groups(evidence, dimension)
        if group.scenario == verdict.scenario and verdict.case in {"", group.case}
    ]
    of_time = sli.kind is Kind.RATE or sli.samples in {Samples.RESPONSE_TIMES, Samples.REQUEST_DURATIONS}
    of_jobs = sli.role is Role.SUCCESS_RATE if verdict.value is not None else of_time
    if failures and of_jobs:
        return Cause(verdict, excess, described(failures[0]), failures[0])
    if sli.samples is not Samples.REQUEST_DURATIONS and of_time and verdict.case and verdict.value is not None:
        path = path_of(evidence, verdict.scenario, verdict.case)
        if path is not None and (found := _slowest(path)):
            name, seconds = found
            share = text.percent(seconds / path.response, 0)
            why = (
                f"{name} takes {text.with_unit(seconds, 's')} of {text.with_unit(path.response, 's')} ({share} %, "
                f"n = {path.n} traces)"
            )
            return Cause(verdict, excess, why, slowest=name)
    off = _SWITCHES.get(sli.role) if sli.role is not None else None
    if off is not None and evidence.switched_off(off[0]):
        return Cause(verdict, excess, off[1])
    return Cause(verdict, excess, verdict.reason or "the traces and the failed jobs do not show a cause")


def described(group: FailureGroup) -> str:
    """Return a group of failed jobs as part of a sentence."""
    error = group.error if len(group.error) <= _ERROR else f"{group.error[: _ERROR - 1]}…"
    facts = [
        f"{group.jobs} of {text.counted(group.of, 'job')} {group.outcome.value}",
        *([f"in {group.operation}"] if group.operation else []),
        *([f"stage {group.stage}"] if group.stage else []),
        *([f"during the fault {group.fault}"] if group.fault else []),
    ]
    return f"{', '.join(facts)}: {error.rstrip('.')}"


def _slowest(path: Breakdown) -> tuple[str, float] | None:
    """Return the part with the largest share among queue and stages; None where the traces have neither."""
    parts = [part for part in (QUEUE, *STAGES.values()) if part in path.parts]
    return max(((part, path.seconds(part)) for part in parts), key=lambda found: found[1], default=None)


def _excess(verdict: Verdict) -> str:
    """Return how far a value is from its objective."""
    value, limit, unit = verdict.value, verdict.objective.value, verdict.sli.unit
    if value is None:
        return ""
    side = "above" if value > limit else "below"
    if unit == "ratio":
        return f"{abs(value - limit) * 100:.3g} points {side}"
    if limit > 0 and value >= _TWICE * limit:
        return f"{value / limit:.3g} times the objective"
    if limit > 0:
        return f"{abs(value / limit - 1) * 100:.3g} % {side}"
    return f"{text.with_unit(abs(value - limit), unit)} {side}"

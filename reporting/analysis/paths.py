"""The mean critical path of a case, from the traces of its jobs."""

from __future__ import annotations

from reelbench.reporting.analysis.breakdown import Breakdown, breakdown
from reelbench.reporting.evidence.evidence import Evidence, once
from reelbench.reporting.evidence.trace_sampling import level_sample


@once
def path_of(evidence: Evidence, scenario: str, case: str) -> Breakdown | None:
    """Return the mean critical path of the completed measured jobs of a case; None without traces."""
    if evidence.traces.absent:
        return None
    completed = len(evidence.stretch(scenario, case).completed)
    jobs = level_sample(evidence, scenario, case, evidence.traces.per_case)
    found = breakdown(jobs, evidence.traces.spans, completed)
    return found if found and found.response > 0 else None  # a response that took no time has no shares

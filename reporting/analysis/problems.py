"""Reasons not to trust the numbers of a run, one sentence each."""

from __future__ import annotations

from reelbench.loadgen.record.jobs import Outcome
from reelbench.loadgen.record.run import RunState, ScenarioRecord
from reelbench.reporting.evidence.evidence import Evidence, place_name


def problems_of_run(evidence: Evidence, dimension: str) -> tuple[str, ...]:
    """Return what stands against the records of a run: their state, their files, the faults and the objectives."""
    unfinished = how_it_ended(evidence)
    return (
        *([f"The run {unfinished}"] if unfinished else []),
        *evidence.doubts,
        *_uncounted(evidence),
        *_unlifted(evidence, dimension),
        *_not_begun(evidence, dimension),
        *_unknown_overrides(evidence, dimension),
    )


def how_it_ended(evidence: Evidence) -> str:
    """Return how a run ended before its plan did, such as "was interrupted after 3 of 20 jobs"; empty: it did not."""
    state = evidence.run.state
    if state is RunState.COMPLETED:
        return ""
    cases = [case for scenario in evidence.run.scenarios for case in scenario.cases if not case.not_needed]
    planned = sum(case.planned for case in cases)
    ended = sum(not job.warmup and job.outcome is not Outcome.ABORTED for job in evidence.jobs)
    how = {RunState.INTERRUPTED: "was interrupted", RunState.FAILED: "failed"}.get(state, "was ended from outside")
    return f"{how} after {ended:,} of {planned:,} jobs"


def unfinished(evidence: Evidence, scenario: ScenarioRecord) -> str:
    """Return why a scenario that began does not show its plan; empty where it was completed."""
    return "" if scenario.state is RunState.COMPLETED else f"the run {how_it_ended(evidence)}"


def _unknown_overrides(evidence: Evidence, dimension: str) -> list[str]:
    judged = {sli.id for sli in evidence.catalogue.slis if sli.objective is not None}
    unknown = [
        f"The run sets an objective for {name!r}, which is no indicator with a better direction"
        for name in evidence.run.objectives
        if name not in judged
    ]
    return unknown + [
        f"{scenario.name}: the scenario file sets an objective for {name!r}, which is no indicator with an objective"
        for scenario in evidence.scenarios(dimension)
        for name in scenario.objectives
        if name not in judged
    ]


def _uncounted(evidence: Evidence) -> list[str]:
    """Report missing root spans of a stack with a trace store: lost spans would go unnoticed."""
    if evidence.stack is None or not evidence.stack.traces_url or not evidence.traces.absent:
        return []
    return [f"Root spans were not counted: {evidence.traces.absent}"]


def _unlifted(evidence: Evidence, dimension: str) -> list[str]:
    """Report faults that may still be active, which invalidates later numbers."""
    names = [scenario.name for scenario in evidence.scenarios(dimension)]
    return [
        f"{place_name(fault.scenario, fault.case)}: the fault {fault.kind} of {fault.target} was never confirmed to be "
        "lifted, so what came after it is not known"
        for fault in evidence.faults(*names)
        if fault.ended is None
    ]


def _not_begun(evidence: Evidence, dimension: str) -> list[str]:
    """Report faults that did not begin: their cases show nothing of the fault."""
    names = [scenario.name for scenario in evidence.scenarios(dimension)]
    return [
        f"{place_name(fault.scenario, fault.case)}: no fault, as {fault.error}"
        + (f"; see {fault.output}" if fault.output else "")
        for fault in evidence.faults(*names)
        if fault.error is not None
    ]

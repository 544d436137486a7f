"""What to do next: at most three actions, the most urgent first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from reelbench.loadgen.record.run import RunState
from reelbench.reporting.analysis.breakdown import QUEUE
from reelbench.reporting.analysis.causes import Cause
from reelbench.reporting.analysis.disturbance import disturbances
from reelbench.reporting.analysis.verdicts import QUICK, Analysis, Status
from reelbench.reporting.document import text
from reelbench.reporting.evidence.dimension import Dimension
from reelbench.reporting.evidence.evidence import Evidence, place_name
from reelbench.reporting.sections.performance import scalability
from reelbench.reporting.sections.recommendations import Advice, advised
from reelbench.reporting.sections.reliability import recommendations as hardening
from reelbench.reporting.sections.resources import recommendations as saving

MOST = 3


def actions(
    evidence: Evidence, analyses: Mapping[Dimension, Analysis], causes: Mapping[Dimension, tuple[Cause, ...]]
) -> tuple[str, ...]:
    """Return what to do, as sentences; the first one of a place and a cause stands for the others."""
    every = (
        *_trust(evidence, analyses),
        *(action for dimension, found in causes.items() for action in _cures(dimension, found)),
        *_samples(evidence, analyses),
        *(f"{one.finding}: {one.action.replace('*', '')}." for one in _advice(evidence, analyses)),
        *_baseline(evidence, analyses),
    )
    return tuple(dict.fromkeys(every))[:MOST]


def _trust(evidence: Evidence, analyses: Mapping[Dimension, Analysis]) -> Iterator[str]:
    """Yield what makes the numbers trustworthy, where they are not."""
    if evidence.run.state is not RunState.COMPLETED:
        yield "Run the plan to its end: this run holds only what was measured until it stopped."
    if any(analysis.status is Status.INVALID for analysis in analyses.values()):
        yield (
            "Give the load generator more CPU, by another machine or by `--replicas`, and run again: the numbers "
            "describe the generator."
        )
    taken = sum(len(disturbances(evidence, dimension)) for dimension in analyses)
    if taken:
        yield f"Run again on an idle machine: {text.counted(taken, 'case')} disturbed by other load."
    lost = sum(len(r.differences) for analysis in analyses.values() for r in analysis.reconciliations)
    if lost:
        yield f"Find out why {text.counted(lost, 'count')} differ from the client's log (section Reconciliation)."


def _cures(dimension: Dimension, causes: tuple[Cause, ...]) -> Iterator[str]:
    for cause in causes:
        verdict = cause.verdict
        place = place_name(verdict.scenario, verdict.case)
        if (failed := cause.failures) is not None:
            stage = f" in stage {failed.stage}" if failed.stage else ""
            fault = f" under the fault {failed.fault}" if failed.fault else ""
            yield (
                f"Find out why jobs of {place_name(failed.scenario, failed.case)} fail{stage}{fault}: "
                f"start with trace `{failed.example.trace_id}` ({dimension} report, section Why)."
            )
        elif cause.slowest == QUEUE:
            yield f"Add workers, or send fewer jobs at a time: jobs of {place} wait longest in the queue."
        elif cause.slowest:
            yield f"Make {cause.slowest} faster: it takes longest in {place} (section Where the time goes)."
        elif verdict.status is Status.NO_DATA:
            yield f"Find out why {verdict.sli.title} has no data in {place}: {verdict.reason or 'no value'}."
        else:
            yield f"Look at {verdict.sli.title} in {place} ({dimension} report, section Objectives)."


def _samples(evidence: Evidence, analyses: Mapping[Dimension, Analysis]) -> Iterator[str]:
    """Yield how objectives that a small sample leaves open can be decided."""
    few = sum(verdict.too_few for analysis in analyses.values() for verdict in analysis.verdicts)
    if not few:
        return
    objectives = f"{text.counted(few, 'objective')} {'has' if few == 1 else 'have'} too few samples to decide"
    if evidence.run.budget is not None:
        yield f"Give a longer `--budget`: {objectives}."
    elif evidence.run.profile == QUICK:
        yield f"Run `reelbench run --profile standard`: {objectives}."
    else:
        yield f"Plan more jobs: {objectives}."


def _baseline(evidence: Evidence, analyses: Mapping[Dimension, Analysis]) -> Iterator[str]:
    """Yield how to go on from a run that passed."""
    if all(analysis.status is Status.PASS for analysis in analyses.values()):
        compare = f"`reelbench report --compare runs/{evidence.run.run_id}`"
        yield f"Keep this run as the baseline, and compare the next one with it: {compare}."


def _advice(evidence: Evidence, analyses: Mapping[Dimension, Analysis]) -> Iterator[Advice]:
    """Yield the advice of the reports that calls for a change."""
    if Dimension.RELIABILITY in analyses:
        yield from advised(hardening.rules(evidence), evidence)
    if Dimension.PERFORMANCE in analyses:
        yield from advised(scalability.CALLS_FOR_CHANGE, scalability.facts(evidence))
    if Dimension.RESOURCES in analyses and not evidence.foreign:
        yield from advised(saving.CALLS_FOR_CHANGE, evidence)

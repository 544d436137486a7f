"""Lengths of scenarios of resources that follow from the interval between two samples of a gauge."""

from __future__ import annotations

from reelbench.loadgen.plan.scenario import Case, Scenario

RESTS = 2.2
"""Rest around a case in intervals: it then holds two samples, between which the idle CPU is known."""
SAMPLES = 6
"""Intervals that a case is planned to last. The job that says how many jobs this takes is the first one of a service
and can take twice as long as later ones; three samples are left then."""


def sampled(scenario: Scenario, interval: float, *, alone: bool) -> Scenario:
    """Return a scenario of resources whose rests and cases are long enough for samples at an interval.

    The pace of a case is for one sample per second, and grows with the interval. A closed case without a pace gets a
    shortest length, so that its jobs go on at full speed.

    Args:
        scenario: what is planned.
        interval: seconds between two samples in this stack; 0: nothing is known of it.
        alone: False where others run a part of the same plan, whose number of jobs must then not follow from the
            length of a job here.
    """
    if scenario.dimension != "resources" or not scenario.cooldown or not interval:
        return scenario
    cases = tuple(_sampled(case, interval, alone=alone) for case in scenario.cases)
    return scenario.model_copy(update={"cases": cases, "cooldown": max(scenario.cooldown, RESTS * interval)})


def _sampled(case: Case, interval: float, *, alone: bool) -> Case:
    if case.model != "closed":
        return case
    if case.pace is not None:
        return case.model_copy(update={"pace": case.pace * max(interval, 1.0)})
    if not alone or case.faults:
        return case
    return case.model_copy(update={"min_duration": max(case.min_duration or 0.0, SAMPLES * interval)})

"""A plan that fits a time budget: fewer cases and fewer jobs of a case, from the time that one job took.

The estimate assumes a server that makes one video at a time, the slowest plausible case: a server that works in
parallel ends before the budget. Jobs are added up to a reserve of 5 % of the budget: without one, every second plan
would take longer than its budget, as its jobs are as often slower than the calibration job as faster.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reelbench.loadgen.plan.arrivals import expected_jobs
from reelbench.loadgen.plan.scenario import DIMENSIONS, Case, PerProfile, Profile, Scenario
from reelbench.loadgen.plan.search import most_visits

FEW = (3, 1)
"""Measured jobs of the smallest version of a closed case, at least one for each virtual user: the second number where
the first fits no case."""
BREADTH = 0.75
"""Share of the budget up to which further cases are added; the rest is for more jobs in each case."""
PARALLEL = 10
"""Most jobs in flight that an open case may need at the measured length of a job (Little's law) to be planned."""
MARGIN = 1.05
"""How much faster or slower than the calibration job later jobs may be: a case with a shortest length gets so many more
jobs, and a budget has room for jobs that take so much longer."""
_STEPS = 40
"""Halvings of the search for the largest scale that fits: finer than one job in a million."""


class BudgetError(Exception):
    """A budget in which nothing can be measured; the message is one sentence with the cure."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """The part of the scenarios that fits a budget."""

    scenarios: tuple[Scenario, ...]
    seconds: float
    """Expected length of the load, without the calibration."""
    jobs: int
    """Planned jobs, warm-up included; the mean for Poisson arrivals."""
    left_out: tuple[str, ...]
    """One sentence for each scenario or case that is left out."""


@dataclass(frozen=True, slots=True)
class _Unit:
    """Cases that are planned together: one case, or all cases of a scenario whose cases are compared."""

    scenario: Scenario
    cases: tuple[Case, ...]
    order: int
    """Position among the units of the scenario, cheapest first."""

    @property
    def name(self) -> str:
        whole = len(self.cases) == len(self.scenario.cases)
        return self.scenario.name if whole else f"{self.scenario.name} {self.cases[0].name}"


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of a case of a scenario at a scale, from 0 (smallest version) to 1 (as the profile says)."""

    profile: Profile
    job_seconds: float
    interval: float
    """Seconds between two samples of a gauge in this stack."""
    few: int

    def of(self, scenario: Scenario, case: Case, scale: float) -> float:
        """Return the seconds of one case with the cooldown before it and after its scenario."""
        rest = 2 * max(scenario.cooldown, 1.1 * self.interval) if scenario.cooldown else 0.0
        if case.model == "closed":
            measured, warmup = self.jobs(case, scale)
            paced = case.pace * measured / case.concurrency if case.pace else 0.0
            return max((measured + warmup) * self.job_seconds, paced) + rest
        assert case.seconds is not None, "the scenario is checked"
        if case.model == "idle":
            return case.seconds.of(self.profile) + rest
        arriving = case.warmup_seconds.of(self.profile) + case.seconds.of(self.profile)
        return min(
            max(arriving, expected_jobs(case, self.profile) * self.job_seconds) + self.job_seconds,
            arriving + case.graceful_stop,
        )

    def jobs(self, case: Case, scale: float) -> tuple[int, int]:
        """Return the measured and the warm-up jobs of a closed case."""
        full, warmup = case.iterations.of(self.profile), case.warmup.of(self.profile)
        if case.faults:  # their times belong to the length of the case
            return full, warmup
        few = min(full, max(self.few, case.concurrency))
        least = min(warmup, 1) if self.few > 1 else 0  # the calibration job has warmed the server up
        return max(few, round(scale * full)), max(least, round(scale * warmup))


def needs_calibration(scenarios: Sequence[Scenario]) -> bool:
    """Return whether a case has a shortest length, which asks for the length of a job."""
    return any(case.min_duration is not None for scenario in scenarios for case in scenario.cases)


def lasting(scenario: Scenario, profile: Profile, job_seconds: float) -> Scenario:
    """Return a scenario whose cases have as many jobs as last their shortest length, with a margin of 5 %."""
    return scenario.model_copy(update={"cases": tuple(_lasting(case, profile, job_seconds) for case in scenario.cases)})


def _lasting(case: Case, profile: Profile, job_seconds: float) -> Case:
    if case.min_duration is None:
        return case
    count = math.ceil(MARGIN * case.min_duration / job_seconds) * case.concurrency
    return case.model_copy(update={"iterations": _for_all(max(case.iterations.of(profile), count))})


def fit(
    scenarios: Sequence[Scenario], profile: Profile, *, job_seconds: float, budget: float, interval: float
) -> Fitted:
    """Return the scenarios with as many cases as the budget allows, and as many jobs as it allows with a reserve.

    Args:
        scenarios: what could run.
        profile: its numbers are the upper limit.
        job_seconds: length of the calibration job.
        budget: seconds that are left after the calibration.
        interval: seconds between two samples of a gauge in this stack.

    Raises:
        BudgetError: no case fits.
    """
    for few in FEW:
        cost = Cost(profile, job_seconds, interval, few)
        chosen, left_out = _choose(scenarios, cost, budget)
        if any(case.model != "idle" for unit in chosen for case in unit.cases):
            break
    else:
        raise BudgetError(
            f"--budget: no case fits into the {_minutes(budget)} that are left after a job of {_minutes(job_seconds)}; "
            "give more time, or name a --scenario with fewer virtual users"
        )
    scale = _scale(chosen, cost, budget / MARGIN)
    planned = tuple(_scaled(scenario, chosen, cost, scale) for scenario in scenarios if _cases(scenario, chosen))
    return Fitted(
        scenarios=planned,
        seconds=sum(_seconds(unit, cost, scale) for unit in chosen),
        jobs=sum(
            expected_jobs(case, profile) + case.warmup.of(profile) for scenario in planned for case in scenario.cases
        ),
        left_out=tuple(left_out),
    )


def _choose(scenarios: Sequence[Scenario], cost: Cost, budget: float) -> tuple[list[_Unit], list[str]]:
    """Return the units whose smallest versions fit the budget together, and one sentence for each other unit."""
    chosen: list[_Unit] = []
    left_out: list[str] = []
    spent = 0.0
    for unit in _units(scenarios, cost):
        least = _seconds(unit, cost, 0.0)
        if why := _unfit(unit, cost):
            left_out.append(f"{unit.name}: {why}")
        elif spent + least <= budget * (BREADTH if chosen else 1.0):
            chosen.append(unit)
            spent += least
        else:
            left_out.append(f"{unit.name}: needs {_minutes(least)}, more than the budget leaves")
    return chosen, left_out


def _units(scenarios: Sequence[Scenario], cost: Cost) -> list[_Unit]:
    """Return the units in the order in which a budget takes them: by rank, then one of each dimension in turn."""
    found = []
    for scenario in scenarios:
        compared = scenario.search is not None or any(
            case.prompts != "unique" or case.toggles.given() for case in scenario.cases
        )
        parts = [scenario.cases] if compared else [(case,) for case in scenario.cases]
        parts.sort(key=lambda cases: _seconds(_Unit(scenario, cases, 0), cost, 0.0))
        found += [_Unit(scenario, cases, order) for order, cases in enumerate(parts)]
    return sorted(
        found, key=lambda u: (u.scenario.rank + u.order, DIMENSIONS.index(u.scenario.dimension), u.scenario.name)
    )


def _unfit(unit: _Unit, cost: Cost) -> str:
    """Return why a unit says nothing about a server with jobs of this length; empty: it does."""
    for case in unit.cases[:1] if unit.scenario.search is not None else unit.cases:  # a search needs its lowest rate
        if case.model != "open" or case.rate is None:
            continue
        rate = case.rate.of(cost.profile)
        if rate * cost.job_seconds > PARALLEL or cost.job_seconds > case.graceful_stop:
            return (
                f"{rate:g} jobs/s arrive, and a job took {cost.job_seconds:.3g} s; write a scenario with rates for "
                "this server (--scenarios)"
            )
    return ""


def _seconds(unit: _Unit, cost: Cost, scale: float) -> float:
    """Return the seconds of a unit; of a search, for as many of its longest cases as it runs."""
    spent = [cost.of(unit.scenario, case, scale) for case in unit.cases]
    if unit.scenario.search is not None:
        spent = sorted(spent, reverse=True)[: len(most_visits(unit.scenario, cost.profile))]
    return sum(spent)


def _scale(chosen: Sequence[_Unit], cost: Cost, budget: float) -> float:
    """Return the largest scale at which the chosen cases fit into the budget; 0 if none does."""

    def fits(scale: float) -> bool:
        return sum(_seconds(unit, cost, scale) for unit in chosen) <= budget

    if fits(1.0):
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _cases(scenario: Scenario, chosen: Sequence[_Unit]) -> list[Case]:
    """Return the chosen cases of a scenario in the order of its file."""
    kept = {case.name for unit in chosen if unit.scenario.name == scenario.name for case in unit.cases}
    return [case for case in scenario.cases if case.name in kept]


def _scaled(scenario: Scenario, chosen: Sequence[_Unit], cost: Cost, scale: float) -> Scenario:
    return scenario.model_copy(update={"cases": tuple(_sized(_cases(scenario, chosen), cost, scale))})


def _sized(cases: Sequence[Case], cost: Cost, scale: float) -> Iterator[Case]:
    for case in cases:
        if case.model != "closed":
            yield case
            continue
        measured, warmup = cost.jobs(case, scale)
        yield case.model_copy(update={"iterations": _for_all(measured), "warmup": _for_all(warmup)})


def _for_all(count: int) -> PerProfile[int]:
    return PerProfile[int](quick=count, standard=count, paper=count)


def _minutes(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds < 120 else f"{seconds / 60:.3g} min"  # noqa: PLR2004 - two minutes

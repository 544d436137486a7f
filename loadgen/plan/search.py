"""The cases of a search for the knee: one for each rate, all of them planned before the run."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from pydantic import ValidationError

from reelbench.loadgen.plan.arrivals import MOST_JOBS
from reelbench.loadgen.plan.scenario import PROFILES, Case, PerProfile, Profile, Scenario, Search

DIGITS = 3
"""Significant digits of a rate between the bounds."""
MAX_SECONDS = 86_400
"""Longest case of a search."""
FOREIGN = ("rate", "burst")
"""Keys that the case of a search does not have."""


def expanded(scenario: Scenario, profile: Profile) -> Scenario:
    """Return a scenario with its cases of a profile; of a search, one case for each rate, ascending."""
    scenario, search = scenario.of(profile), scenario.search
    if search is None or len(scenario.cases) != 1:
        return scenario
    (case,) = scenario.cases
    cases = tuple(_at(case, search, rate, profile) for rate in rates(search, profile))
    return scenario.model_copy(update={"cases": cases})


def rates(search: Search, profile: Profile) -> tuple[float, ...]:
    """Return the rates of a search, ascending."""
    count = search.rates.of(profile)
    ratio = (search.highest / search.lowest) ** (1 / (count - 1))
    inner = (float(f"{search.lowest * ratio**number:.{DIGITS}g}") for number in range(1, count - 1))
    return search.lowest, *inner, search.highest


def most_visits(scenario: Scenario, profile: Profile) -> tuple[Case, ...]:
    """Return as many cases as a search runs, the lowest and so the longest ones; without a search, all cases."""
    cases = expanded(scenario, profile).cases
    if scenario.search is None:
        return cases
    visits = math.ceil(math.log2(len(cases) + 1))
    return cases[:visits]


def seconds_of(case: Case, search: Search, rate: float, profile: Profile) -> int:
    """Return how long jobs arrive at a rate: as long as the case says, and until the least jobs have arrived."""
    assert case.seconds is not None, "the scenario is checked"
    return max(case.seconds.of(profile), math.ceil(search.jobs.of(profile) / rate))


def problems(raw: Any, cases: Any) -> Iterator[str]:
    """Yield one line for each mistake in a search and its case that no single value can show, with its cure.

    Args:
        raw: the value of the key `search` in the file.
        cases: the value of the key `cases`.
    """
    if raw is None:
        return
    if not isinstance(cases, list) or len(cases) != 1:
        yield "search: needs one case, which is run at every rate; keep one in cases"
    for index, case in enumerate(cases if isinstance(cases, list) else ()):
        if not isinstance(case, dict):
            continue
        if case.get("model") in {"closed", "idle"}:
            yield f"cases.{index}.model: is {case['model']!r}, but search varies the rate of arrivals; write open"
        foreign = (key for key in FOREIGN if case.get(key) is not None)
        yield from (f"cases.{index}.{key}: does not go with search, which sets the rate; remove it" for key in foreign)
    try:
        search = Search.model_validate(raw)
    except ValidationError:
        return  # its errors are reported with those of the whole file
    if search.highest <= search.lowest:
        yield f"search.highest: is {search.highest:g}, not above lowest ({search.lowest:g}); make it higher"
        return
    for profile in PROFILES:
        yield from _profile_problems(search, cases, profile)


def _profile_problems(search: Search, cases: Any, profile: Profile) -> Iterator[str]:
    found = rates(search, profile)
    if any(after <= before for before, after in pairwise(found)):
        yield (
            f"search.rates.{profile}: is {len(found)}, too many between {search.lowest:g} and {search.highest:g} jobs "
            "per second; lower it"
        )
    try:
        (case,) = (Case.model_validate(one) for one in cases)
    except (ValidationError, ValueError, TypeError):
        return
    if case.seconds is None:
        return
    longest = seconds_of(case, search, search.lowest, profile)
    if longest > MAX_SECONDS:
        yield (
            f"search.jobs.{profile}: takes {longest:,} s at {search.lowest:g} jobs per second, more than "
            f"{MAX_SECONDS:,}; lower it, or raise lowest"
        )
    most = search.highest * seconds_of(case, search, search.highest, profile)
    if most > MOST_JOBS:
        yield (
            f"search.highest: gives {math.ceil(most):,} jobs in the profile {profile}, more than {MOST_JOBS:,}; lower "
            "it, or make seconds shorter"
        )


def _at(case: Case, search: Search, rate: float, profile: Profile) -> Case:
    """Return the case at one rate."""
    name = f"{case.name}_{rate:.6f}".rstrip("0").rstrip(".").replace(".", "_")
    length = seconds_of(case, search, rate, profile)
    return case.model_copy(
        update={
            "name": name,
            "rate": PerProfile[float](quick=rate, standard=rate, paper=rate),
            "seconds": PerProfile[int](quick=length, standard=length, paper=length),
        }
    )

"""The decision at a look: does an indicator differ, are the sides equal, or are more pairs needed?

The unit of replication is a run with processes of its own. Two neighbouring runs, one of each side, are a pair; their
difference is one value. Response time and success rate of each case and the stages of its critical path share the error
`alpha` by fixed weights (Bonferroni). A busy machine slows the stages that compute and hardly those that wait for a
provider, so a stage often shows a shift that is lost in the spread of the response time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean

import msgspec

from reelbench.reporting.analysis.breakdown import PARTS
from reelbench.reporting.compare.ab.records import BASE, HEAD, Answer, Leg, PlaceValues, Primary, Rule, StageShift
from reelbench.reporting.compare.judge import NEGLIGIBLE_RELATIVE
from reelbench.reporting.statistics.intervals import Interval
from reelbench.reporting.statistics.sequential import holm, nominal_level, paired
from reelbench.reporting.statistics.significance import ALPHA

FIRST_LOOK = 4
"""Pairs before the first decision: with 2, one degree of freedom shows only differences of some 40 times the spread."""
BLOCK = 2
"""Pairs between two looks: A B B A or B A A B, so that a drift of the machine cancels out."""
MARGIN = 0.05
SHARE_MARGIN = 0.05
"""Five percentage points of a success rate."""


def rule(pairs: int, *, budget: float, margin: float = MARGIN, alpha: float = ALPHA) -> Rule:
    """Return the rule for at most this many pairs, an even number of at least `FIRST_LOOK`."""
    return Rule(looks=tuple(range(FIRST_LOOK, pairs + 1, BLOCK)), alpha=alpha, margin=margin, budget=budget)


class _Indicator(msgspec.Struct, frozen=True):
    sli: str
    title: str
    unit: str
    value: Callable[[PlaceValues], float | None]
    at_most: bool
    weight: float
    """Share of the error that the indicator has, over all places."""


INDICATORS = (
    _Indicator(
        "average_response_time", "Average response time", "s", lambda one: one.response, at_most=True, weight=0.4
    ),
    _Indicator(
        "success_rate",
        "Success rate",
        "ratio",
        lambda one: one.completed / one.jobs if one.jobs else None,
        at_most=False,
        weight=0.1,
    ),
)


STAGES_WEIGHT = 0.5
"""Share of the error that all stages have together."""


class Decision(msgspec.Struct, frozen=True):
    """What the pairs of a look say."""

    primaries: tuple[Primary, ...] = ()
    stages: tuple[StageShift, ...] = ()

    @property
    def answered(self) -> bool:
        """Whether no further pair is needed: something differs, or all is equal within the margin."""
        answers = {one.answer for one in self.primaries}
        differs = bool(answers & {Answer.WORSE, Answer.BETTER}) or any(one.moved for one in self.stages)
        return differs or Answer.NOT_SHOWN not in answers


def pairs_of(legs: Sequence[Leg]) -> list[tuple[Leg, Leg]]:
    """Return the pairs (base, head) in order; a last run without a partner is left out."""
    both = zip(*([one for one in legs if one.side == side] for side in (BASE, HEAD)), strict=False)
    return [(base, head) for base, head in both]


def decide(rule: Rule, legs: Sequence[Leg]) -> Decision:
    """Decide each primary indicator and each stage in each place, from all pairs so far."""
    pairs, places = pairs_of(legs), _places(legs)
    primaries = tuple(
        _primary(one, place, pairs, rule, nominal_level(rule.looks, rule.alpha * one.weight / len(places)))
        for place in places
        for one in INDICATORS
    )
    each = nominal_level(rule.looks, rule.alpha * STAGES_WEIGHT / (len(places) * len(PARTS)))
    times = [one for one in primaries if one.sli == INDICATORS[0].sli]
    return Decision(primaries, tuple(shift for one in times for shift in _stages(one, pairs, each)))


def _places(legs: Sequence[Leg]) -> list[tuple[str, str]]:
    return list(dict.fromkeys(one.place for leg in legs for one in leg.places))


def _at(leg: Leg, place: tuple[str, str]) -> PlaceValues | None:
    return next((one for one in leg.places if one.place == place), None)


def _both(place: tuple[str, str], pairs: Sequence[tuple[Leg, Leg]]) -> list[tuple[PlaceValues, PlaceValues]]:
    found = [(_at(base, place), _at(head, place)) for base, head in pairs]
    return [(base, head) for base, head in found if base is not None and head is not None]


def _primary(
    indicator: _Indicator, place: tuple[str, str], pairs: Sequence[tuple[Leg, Leg]], rule: Rule, level: float
) -> Primary:
    values = _both(place, pairs)
    found = [(indicator.value(base), indicator.value(head)) for base, head in values]
    known = [(base, head) for base, head in found if base is not None and head is not None]
    bases, heads = ([value for one in found if (value := one[side]) is not None] for side in (0, 1))
    base, head = (fmean(side) if side else None for side in (bases, heads))
    step = 0.5 / max([1, *(one.jobs for both in values for one in both)]) if indicator.unit == "ratio" else 0.0
    test = paired([b - a for a, b in known], level, least_spread=step) if len(known) > 1 else None
    answer, reason = Answer.CANNOT_TELL, _why_untested(base, head)
    invalid = next((one.invalid for both in values for one in both if one.invalid), "")
    if invalid:
        reason = invalid
    elif test is not None and base is not None:
        smallest = rule.margin * abs(base) if indicator.unit == "s" else SHARE_MARGIN
        negligible = NEGLIGIBLE_RELATIVE * abs(base) if indicator.unit == "s" else 0.0
        answer, reason = _answer(
            indicator, test.difference, test.p, test.interval, level=level, smallest=smallest, negligible=negligible
        )
    return Primary(
        sli=indicator.sli,  # type: ignore[arg-type] # one of the two
        title=indicator.title,
        unit=indicator.unit,  # type: ignore[arg-type]
        scenario=place[0],
        case=place[1],
        base=base,
        head=head,
        pairs=len(known),
        difference=test.difference if test else None,
        stddev=test.stddev if test else None,
        interval=test.interval if test else Interval(None, None),
        p=test.p if test else None,
        level=level,
        answer=answer,
        reason=reason,
    )


def _answer(
    indicator: _Indicator,
    difference: float,
    p: float,
    interval: Interval,
    *,
    level: float,
    smallest: float,
    negligible: float,
) -> tuple[Answer, str]:
    assert interval.lower is not None
    assert interval.upper is not None
    if p <= level and abs(difference) >= negligible:
        return (Answer.WORSE if (difference > 0) == indicator.at_most else Answer.BETTER), ""
    if -smallest <= interval.lower and interval.upper <= smallest:
        return Answer.EQUAL, ""
    if p <= level:
        return Answer.NOT_SHOWN, f"less than {NEGLIGIBLE_RELATIVE * 100:g} % of the baseline"
    return Answer.NOT_SHOWN, ""


def _why_untested(base: float | None, head: float | None) -> str:
    missing = [name for name, value in ((BASE, base), (HEAD, head)) if value is None]
    return f"no job was completed on the side {' and '.join(missing)}" if missing else "too few pairs with a value"


def _stages(response: Primary, pairs: Sequence[tuple[Leg, Leg]], level: float) -> list[StageShift]:
    """Test every part of the critical path that the traces of both sides have; the largest shift first.

    A stage moved when its p is at most its own level, or, where the response time differs, at most 0.05 after Holm; and
    when the difference is not negligible.
    """
    place = response.scenario, response.case
    values = [(base, head) for base, head in _both(place, pairs) if base.stages and head.stages]
    if len(values) < FIRST_LOOK or response.answer is Answer.CANNOT_TELL:
        return []
    present = {part for both in values for one in both for part in one.stages}
    parts = [part for part in PARTS if part in present]
    sides = [[[one[side].stages.get(part, 0.0) for one in values] for side in (0, 1)] for part in parts]
    tests = [paired([b - a for a, b in zip(*both, strict=True)], ALPHA) for both in sides]
    least = NEGLIGIBLE_RELATIVE * (response.base or 0.0)
    gate = ALPHA if response.answer in {Answer.WORSE, Answer.BETTER} else 0.0
    found = [
        StageShift(
            scenario=response.scenario,
            case=response.case,
            stage=part,
            base=fmean(both[0]),
            head=fmean(both[1]),
            difference=test.difference,
            interval=test.interval,
            p=test.p,
            p_corrected=p,
            moved=(test.p <= level or p <= gate) and abs(test.difference) >= least,
        )
        for part, both, test, p in zip(parts, sides, tests, holm([test.p for test in tests]), strict=True)
    ]
    return sorted(found, key=lambda shift: -abs(shift.difference))

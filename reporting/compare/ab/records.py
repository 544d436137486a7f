"""Records of an interleaved comparison, as kept in ``ab.json``."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec

from reelbench.loadgen.record.run_files import SCHEMA_VERSION
from reelbench.reporting.compare.records import Differs
from reelbench.reporting.evidence.evidence import place_name
from reelbench.reporting.statistics.intervals import Interval

BASE: Literal["base"] = "base"
HEAD: Literal["head"] = "head"
Which = Literal["base", "head"]


class Answer(StrEnum):
    """What the pairs say of one indicator in one place, or of the whole comparison."""

    WORSE = "worse"
    BETTER = "better"
    EQUAL = "equal within the margin"
    NOT_SHOWN = "no difference shown"
    CANNOT_TELL = "cannot tell"


class Ended(StrEnum):
    """Why no further pair was run."""

    ANSWERED = "the answer is known"
    PAIRS = "all pairs were run"
    TIME = "the time was spent"
    INTERRUPTED = "interrupted"


class PlaceValues(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One case in one run of one side. Times are seconds."""

    scenario: str
    case: str
    jobs: int
    """Measured jobs, without those that the plan or the user ended."""
    completed: int
    response: float | None
    """Mean response time of the completed jobs; None without any."""
    stages: dict[str, float]
    """Mean critical path of the completed jobs with a trace, by part of the service; empty without traces."""
    invalid: str = ""
    """Why the load generator was the bottleneck; empty when it was not."""
    disturbed: str = ""
    """What else took the CPU; empty when nothing did."""

    @property
    def place(self) -> tuple[str, str]:
        """Scenario and case."""
        return self.scenario, self.case


class Leg(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One run of the plan against one side."""

    folder: str
    """Name of its folder."""
    side: Which
    plan_hash: str
    seconds: float
    """From the start of the stack to its end."""
    places: tuple[PlaceValues, ...]


class AbSide(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One side as the user named it, and what it is."""

    name: str
    described: str


class Primary(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The decision about one primary indicator in one place."""

    sli: Literal["average_response_time", "success_rate"]
    title: str
    unit: Literal["s", "ratio"]
    scenario: str
    case: str
    base: float | None
    """Mean over the runs of the side; None without a value."""
    head: float | None
    pairs: int
    """Pairs in which both sides have a value."""
    difference: float | None
    """Mean of head - base over the pairs."""
    stddev: float | None
    """Of the pair differences."""
    interval: Interval
    """Repeated confidence interval of the difference, which holds over all looks and primary indicators."""
    p: float | None
    """Of the last look alone."""
    level: float
    """p of one look below which the indicator differs."""
    answer: Answer
    reason: str

    @property
    def place(self) -> str:
        """Name of the place in reports."""
        return place_name(self.scenario, self.case)


class StageShift(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The difference of one part of the critical path in one place, in seconds."""

    scenario: str
    case: str
    stage: str
    base: float
    head: float
    difference: float
    interval: Interval
    """95 % interval of this stage alone."""
    p: float
    p_corrected: float
    """After Holm, over all stages of the place."""
    moved: bool

    @property
    def place(self) -> str:
        """Name of the place in reports."""
        return place_name(self.scenario, self.case)


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When the comparison looks and what it calls a difference; fixed before the first run."""

    looks: tuple[int, ...]
    """Number of pairs at each look."""
    alpha: float
    """Share of comparisons of equal sides that show any difference, over all looks, indicators and places."""
    margin: float
    """Share of the baseline within which sides are called equal."""
    budget: float
    """Seconds for the whole comparison."""


class AbRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An interleaved comparison."""

    schema_version: int = SCHEMA_VERSION
    name: str
    kind: str
    base: AbSide
    head: AbSide
    profile: str
    seed: int
    plan_hash: str
    rule: Rule
    ended: Ended
    seconds: float
    """From the start of the first run to the end of the last."""
    legs: tuple[Leg, ...]
    primaries: tuple[Primary, ...]
    stages: tuple[StageShift, ...]
    """Of each place with traces of both sides, those with the largest shift first."""
    differs: tuple[Differs, ...]
    """Recorded settings, variables and versions that are not the same on both sides."""
    remarks: tuple[str, ...]

    @property
    def answer(self) -> Answer:
        """The answer of the whole comparison: the worst that an indicator says, and else what the stages say."""
        found = {one.answer for one in self.primaries}
        moved = [one.difference > 0 for one in self.stages if one.moved]
        if moved and not found & {Answer.WORSE, Answer.BETTER}:
            return Answer.WORSE if any(moved) else Answer.BETTER
        order = (Answer.WORSE, Answer.BETTER, Answer.CANNOT_TELL, Answer.NOT_SHOWN, Answer.EQUAL)
        return next((one for one in order if one in found), Answer.CANNOT_TELL)

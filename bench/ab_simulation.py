"""How often an interleaved comparison finds an injected shift, and how often it finds one between equal sides.

Runs are drawn from the variation that real runs of equal sides had: the differences of their pairs, stage by stage,
with the covariance of the stages. The decision is the one of the command.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from reelbench.bench.generators import BenchError
from reelbench.reporting.compare.ab.judge import BLOCK, Decision, decide, pairs_of
from reelbench.reporting.compare.ab.records import BASE, HEAD, AbRecord, Answer, Leg, PlaceValues, Rule
from reelbench.reporting.statistics.intervals import proportion

MEASURED = Path(__file__).parent / "ab_variation.json"
JOBS = 20
STAGE = "LLM script"
LEAST_LEGS = 8


class Variation(msgspec.Struct, frozen=True, kw_only=True):
    """Real runs of equal sides, in order: mean seconds of each stage."""

    machine: str
    """Where and when they were made."""
    legs: tuple[dict[str, float], ...]


@dataclass(frozen=True, slots=True)
class Model:
    """A distribution of runs."""

    stages: tuple[str, ...]
    means: tuple[float, ...]
    root: np.ndarray[tuple[int, ...], np.dtype[np.float64]]
    """Square root of the covariance of a run: half of that of a pair's difference."""

    @property
    def response_stddev(self) -> float:
        """Standard deviation of the pair differences of the response time."""
        return math.sqrt(2) * float(np.linalg.norm(self.root.sum(axis=0)))

    def stddev(self, stage: str) -> float:
        """Standard deviation of the pair differences of a stage."""
        return math.sqrt(2) * float(np.linalg.norm(self.root[self.stages.index(stage)]))


@dataclass(frozen=True, slots=True)
class Rates:
    """What the simulated comparisons found."""

    repetitions: int
    worse: int
    better: int
    named: int
    """The shifted stage was among those that moved."""
    others: int
    """Another stage was."""
    pairs: float
    """Mean number of pairs until the end."""


def read_variation(path: Path) -> Variation:
    """Read the runs of a file of this module, or those of an ``ab.json`` of equal sides.

    Raises:
        BenchError: the file is neither, or has too few runs.
    """
    try:
        raw = path.read_bytes()
        try:
            found = msgspec.json.decode(raw, type=Variation)
        except msgspec.ValidationError:
            record = msgspec.json.decode(raw, type=AbRecord)
            legs = tuple(leg.places[0].stages for leg in sorted(record.legs, key=lambda leg: leg.folder))
            found = Variation(machine=record.name, legs=legs)
    except (OSError, msgspec.MsgspecError) as error:
        raise BenchError(f"{path} has no runs of an interleaved comparison ({error}); name an ab.json") from error
    if len(found.legs) < LEAST_LEGS or not all(found.legs):
        raise BenchError(f"{path} has {len(found.legs)} runs, or runs without stages; {LEAST_LEGS} are needed")
    return found


def model_of(variation: Variation) -> Model:
    """Return the distribution of runs, from the differences of neighbouring ones."""
    stages = tuple(dict.fromkeys(stage for leg in variation.legs for stage in leg))
    values = np.array([[leg.get(stage, 0.0) for stage in stages] for leg in variation.legs])
    even = values[: len(values) // 2 * 2]
    differences = even[1::2] - even[::2]
    covariance = differences.T @ differences / len(differences) / 2  # its mean is known: equal sides
    scale, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.clip(scale, 0.0, None))
    return Model(stages, tuple(float(mean) for mean in values.mean(axis=0)), root)


def simulate(
    model: Model, rule: Rule, shift: Mapping[str, float], *, repetitions: int, seed: int = 1, tails: float | None = None
) -> Rates:
    """Make comparisons of drawn runs; the head's runs are shifted by `shift` (stage to seconds).

    Args:
        model: The distribution of runs.
        rule: The rule of the comparison.
        shift: What is injected; empty for equal sides.
        repetitions: Number of comparisons.
        seed: Of the drawing.
        tails: Degrees of freedom of a multivariate t, whose tails are heavier; None: normal.
    """
    generator = np.random.default_rng(seed)
    worse = better = named = others = pairs = 0
    for _ in range(repetitions):
        decision, made = _compare(model, rule, shift, lambda: _drawn(model, generator, tails))
        answers = {one.answer for one in decision.primaries}
        moved = [one for one in decision.stages if one.moved]
        up = Answer.WORSE in answers or any(one.difference > 0 for one in moved)
        worse += up
        better += not up and (Answer.BETTER in answers or bool(moved))
        named += any(one.stage in shift for one in moved)
        others += any(one.stage not in shift for one in moved)
        pairs += made
    return Rates(repetitions, worse, better, named, others, pairs / repetitions)


def lines(model: Model, variation: Variation, found: Sequence[tuple[str, Rates]]) -> list[str]:
    """Return what a simulation found, for the terminal."""
    head = (
        f"variation: {len(variation.legs)} runs, {variation.machine}; standard deviation of a pair: response time "
        f"{model.response_stddev * 1000:.0f} ms of {sum(model.means) * 1000:.0f} ms"
        + (f", {STAGE} {model.stddev(STAGE) * 1000:.0f} ms" if STAGE in model.stages else "")
    )
    return [
        head,
        *(
            f"{what}: {_share(rates.worse, rates)} worse, {_share(rates.better, rates)} better, stage named in "
            f"{_share(rates.named, rates)}, another stage in {_share(rates.others, rates)}; {rates.pairs:.1f} pairs"
            for what, rates in found
        ),
    ]


def _share(count: int, rates: Rates) -> str:
    found = proportion(count, rates.repetitions)
    assert found is not None
    return f"{found.value * 100:.1f} % ({found.lower * 100:.1f} to {found.upper * 100:.1f})"


def _drawn(
    model: Model, generator: np.random.Generator, tails: float | None
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    found = model.root @ generator.standard_normal(model.root.shape[1])
    if tails is not None:  # scaled to the same variance
        found *= math.sqrt((tails - 2) / generator.chisquare(tails))
    drawn: np.ndarray[tuple[int, ...], np.dtype[np.float64]] = found
    return drawn


def _compare(
    model: Model,
    rule: Rule,
    shift: Mapping[str, float],
    draw: Callable[[], np.ndarray[tuple[int, ...], np.dtype[np.float64]]],
) -> tuple[Decision, int]:
    legs: list[Leg] = []
    decision = Decision()
    while len(pairs_of(legs)) < rule.looks[-1]:
        for _ in range(BLOCK):
            legs += [_leg(model, BASE, {}, draw(), len(legs)), _leg(model, HEAD, shift, draw(), len(legs) + 1)]
        if len(pairs_of(legs)) in rule.looks:
            decision = decide(rule, legs)
            if decision.answered:
                break
    return decision, len(pairs_of(legs))


def _leg(
    model: Model,
    side: str,
    shift: Mapping[str, float],
    noise: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    position: int,
) -> Leg:
    stages = {
        stage: mean + shift.get(stage, 0.0) + float(away)
        for stage, mean, away in zip(model.stages, model.means, noise, strict=True)
    }
    values = PlaceValues(
        scenario="single_request", case="n01", jobs=JOBS, completed=JOBS, response=sum(stages.values()), stages=stages
    )
    return Leg(folder=f"{position:02}", side=side, plan_hash="", seconds=1.0, places=(values,))  # type: ignore[arg-type]

"""The knee of a ramp: the highest arrival rate that the service sustains, and which limit fails at the next one."""

from __future__ import annotations

import msgspec

from reelbench.loadgen.record.rate_rule import MIN_ENDED, RateFindings, RateLimits, Result
from reelbench.reporting.analysis.generator_health import check
from reelbench.reporting.analysis.open_cases import OpenCase, open_cases
from reelbench.reporting.document import text
from reelbench.reporting.evidence.evidence import Evidence

LIMITS = RateLimits()
"""The objectives of the catalogue for success rate and P95, of scenarios that set no limits."""


class Step(msgspec.Struct, frozen=True):
    """One rate of a ramp."""

    case: OpenCase
    found: RateFindings
    disturbed: str = ""
    """Why the load generator did not offer the planned rate; empty where it did."""

    @property
    def result(self) -> Result:
        """What the case says of its rate alone."""
        return Result.INCONCLUSIVE if self.disturbed else self.found.result

    @property
    def broken(self) -> tuple[str, ...]:
        """Limits that fail at this rate, as sentences without a full stop; empty when all hold."""
        case, found, limits = self.case, self.found, self.found.limits
        sentences = []
        if found.success < limits.success:
            value = text.percent(case.success.value if case.success else None)
            sentences.append(f"success rate {value} %, below {limits.success * 100:g} %")
        if found.slow:
            p95 = text.censored(case.response(0.95))
            sentences.append(f"P95 of the response time {p95} s, objective {limits.response_p95:g} s")
        if found.ended < MIN_ENDED:
            sentences.append(f"{text.percent(found.ended)} % of the offered jobs ended, below {MIN_ENDED * 100:g} %")
        if found.growth.growing:
            growth = found.growth
            sentences.append(
                f"a backlog that grew by {growth.added} jobs in {growth.seconds:.3g} s, more than the "
                f"{growth.tolerance:.3g} of chance"
            )
        return tuple(sentences)

    @property
    def why(self) -> str:
        """Why the case is inconclusive; empty where it is not."""
        if self.disturbed:
            return self.disturbed
        if self.found.late:
            late, most = self.found.lateness * 1000, self.found.most_lateness * 1000
            return f"jobs were sent up to {late:.0f} ms late (P99), more than {most:.0f} ms"
        return ""


class Knee(msgspec.Struct, frozen=True):
    """All rates of a ramp that were run, ascending."""

    steps: tuple[Step, ...]

    @property
    def limits(self) -> RateLimits:
        """Limits of success and response time."""
        return self.steps[0].found.limits

    @property
    def held(self) -> Step | None:
        """Highest rate that holds below all rates that fail; None when none holds."""
        holding = [step for step in self._below if step.result is Result.HOLDS]
        return holding[-1] if holding else None

    @property
    def broke(self) -> Step | None:
        """Lowest rate that fails; None when none fails."""
        return next((step for step in self.steps if step.result is Result.FAILS), None)

    @property
    def open(self) -> tuple[Step, ...]:
        """Inconclusive rates between the highest that holds and the lowest that fails."""
        held = self.held
        least = held.case.load.rate if held else 0.0
        return tuple(step for step in self._below if step.result is Result.INCONCLUSIVE and step.case.load.rate > least)

    def result(self, step: Step) -> Result:
        """Return the result of a rate among the others: above a rate that does not hold, no rate holds."""
        broke, held = self.broke, self.held
        if broke is not None and step.case.load.rate >= broke.case.load.rate:
            return Result.FAILS
        if held is not None and step.case.load.rate <= held.case.load.rate:
            return Result.HOLDS
        return step.result

    @property
    def _below(self) -> list[Step]:
        broke = self.broke
        return [step for step in self.steps if broke is None or step.case.load.rate < broke.case.load.rate]


def knee(evidence: Evidence, scenario: str) -> Knee | None:
    """Evaluate each rate of a scenario that was run; None when none of its open cases began."""
    cases = sorted(open_cases(evidence, scenario), key=lambda case: case.load.rate)
    if not cases:
        return None
    limits, disturbed = _limits(evidence, scenario), _disturbed(evidence, scenario)
    return Knee(tuple(Step(case, case.findings(limits), disturbed.get(case.case, "")) for case in cases))


def _limits(evidence: Evidence, scenario: str) -> RateLimits:
    """Return the limits of the search, or the objectives of the catalogue, which are those of our own service."""
    found = evidence.scenario(scenario)
    if found is not None and found.search is not None:
        return found.search.limits
    return RateLimits(response_p95=None) if evidence.foreign else LIMITS


def _disturbed(evidence: Evidence, scenario: str) -> dict[str, str]:
    """Return the first problem of the load generator in each case that has one."""
    found = evidence.scenario(scenario)
    health = check(evidence, found.dimension) if found is not None else ()
    return {one.case: one.problems[0] for one in health if one.scenario == scenario and one.problems}

"""The load generators of a run that several made together: their health, and how far their clocks agree."""

from __future__ import annotations

import msgspec

from reelbench.loadgen.record.conditions import STORE_CLOCK, ClockRecord
from reelbench.loadgen.record.jobs import JobRecord
from reelbench.loadgen.record.rate_rule import own_send_delay
from reelbench.loadgen.record.run import CaseRecord, GeneratorRecord
from reelbench.reporting.evidence.evidence import Evidence, once
from reelbench.reporting.statistics.intervals import percentile

MOST_APART = 0.05
"""Seconds between the clock of a generator and the common one, as for a send delay: times of jobs are not corrected."""


class GeneratorFigures(msgspec.Struct, frozen=True):
    """One load generator in the cases of a dimension; None where nothing is known."""

    number: int
    jobs: int
    """Measured jobs."""
    cpu: float | None
    """Cores, of its busiest case."""
    send_delay_p99: float | None
    """Seconds, exact, of its worst case."""
    loop_lag_p99: float | None
    """Seconds, of its worst case."""
    begun_late: float | None
    """Most seconds from the agreed instant to the begin of a case."""
    clock: ClockRecord | None
    """The reading of the common clock with the largest possible deviation."""

    @property
    def apart(self) -> float | None:
        """Most seconds that its clock can be off."""
        return abs(self.clock.offset) + self.clock.error if self.clock is not None else None


@once
def generators(evidence: Evidence, dimension: str) -> tuple[GeneratorFigures, ...]:
    """Return the figures of each load generator; empty for a run of one."""
    if not evidence.run.generators:
        return ()
    cases = {(scenario.name, case.name): case for scenario, case in evidence.cases(dimension)}
    count = len(evidence.run.generators)
    delays: dict[tuple[int, tuple[str, str]], list[float]] = {}
    for place, case in cases.items():
        for job in evidence.case_jobs(*place):
            delays.setdefault((_number(job, case, count), place), []).append(own_send_delay(job))
    return tuple(_figures(one, cases, delays) for one in evidence.run.generators)


def _number(job: JobRecord, case: CaseRecord, count: int) -> int:
    """Return the number of the generator that ran a job: virtual users and arrivals are dealt out one by one."""
    dealt = job.index % case.concurrency if case.model == "closed" else job.index
    return dealt % count + 1


def _figures(
    generator: GeneratorRecord,
    cases: dict[tuple[str, str], CaseRecord],
    delays: dict[tuple[int, tuple[str, str]], list[float]],
) -> GeneratorFigures:
    begun = [one for one in generator.cases if (one.scenario, one.case) in cases]
    own = [one for one in begun if one.planned or not cases[one.scenario, one.case].planned]
    sent = [delays[generator.number, place] for place in cases if (generator.number, place) in delays]
    p99s = [found.value for values in sent if (found := percentile(sorted(values), 0.99)) is not None]
    late = [one.started - one.agreed for one in own if one.started is not None and one.agreed is not None]
    return GeneratorFigures(
        number=generator.number,
        jobs=sum(map(len, sent)),
        cpu=max((one.generator_cpu for one in own if one.generator_cpu is not None), default=None),
        send_delay_p99=max(p99s, default=None),
        loop_lag_p99=max((one.loop_lag_p99 for one in own if one.loop_lag_p99 is not None), default=None),
        begun_late=max(late, default=None),
        clock=max(generator.clock, key=lambda one: abs(one.offset) + one.error, default=None),
    )


@once
def clock_problems(evidence: Evidence) -> tuple[str, ...]:
    """Return one sentence for each load generator whose clock is, or can be, too far from the common one."""
    run = evidence.run
    if run.generators:
        read = [(one.number, tuple(one.clock)) for one in run.generators]
    elif run.replicas > 1 and evidence.conditions is not None:
        read = [(run.replica, evidence.conditions.readings(STORE_CLOCK))]
    else:
        return ()
    return tuple(problem for number, clock in read if (problem := _problem(number, clock)) is not None)


def _problem(number: int, clock: tuple[ClockRecord, ...]) -> str | None:
    if not clock:
        return f"the clock of load generator {number} was not compared with that of the store"
    worst = max(clock, key=lambda one: abs(one.offset) + one.error)
    if abs(worst.offset) + worst.error <= MOST_APART:
        return None
    most = f"more than {MOST_APART * 1000:g} ms"
    if abs(worst.offset) > MOST_APART:
        side = "behind" if worst.offset > 0 else "ahead of"
        return (
            f"the clock of load generator {number} is {abs(worst.offset) * 1000:.0f} ms {side} the store's, {most}; "
            "synchronize the machines (NTP)"
        )
    return (
        f"the clock of load generator {number} is known to ±{worst.error * 1000:.0f} ms only and may be off by "
        f"{most}; "
        "put the store nearer to it"
    )

"""Verdicts on measurements. Missing data is never a pass, and an invalid number is never judged."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum

import msgspec

from reelbench.loadgen.record.run import CaseRecord, ScenarioRecord
from reelbench.reporting.analysis.certainty import Certainty, certainty, unprovable
from reelbench.reporting.analysis.disturbance import disturbances, reason_in
from reelbench.reporting.analysis.estimates import Estimate, estimate
from reelbench.reporting.analysis.generator_health import GeneratorHealth, check
from reelbench.reporting.analysis.generators import clock_problems
from reelbench.reporting.analysis.job_integrity import losses
from reelbench.reporting.analysis.problems import problems_of_run, unfinished
from reelbench.reporting.analysis.reconciliation import Reconciliation, reconcile
from reelbench.reporting.analysis.scrape_gaps import gap_in, scrape_gaps
from reelbench.reporting.catalogue.sli import Objective, RecordFunction, Sli
from reelbench.reporting.evidence.evidence import Evidence
from reelbench.reporting.evidence.measurements import Measurement

QUICK, PAPER = "quick", "paper"
"""Profiles: in the one a small sample is allowed where the value holds, in the other an objective must be proven."""
NOT_PROVEN = "not proven: the 95 % interval contains the objective"
NO_INTERVAL = "not proven: no interval"
APART = "the clocks of the load generators do not agree"


class Status(StrEnum):
    """Result of an objective or of a whole report."""

    PASS = "PASS"  # noqa: S105 - a verdict, no password
    FAIL = "FAIL"
    NO_DATA = "NO DATA"
    INCONCLUSIVE = "INCONCLUSIVE"
    INVALID = "INVALID"


class Verdict(msgspec.Struct, frozen=True):
    """One objective in one place."""

    sli: Sli
    scenario: str
    case: str
    member: str
    objective: Objective
    """With the override of the scenario file, if any."""
    status: Status
    estimate: Estimate
    """The number that was judged, with its interval."""
    certainty: Certainty | None
    """What the interval says of the objective; None without a value, or where only a limit of it is known."""
    reason: str
    """Reason of a status other than PASS or FAIL, or what the value leaves out; else empty."""
    too_few: bool = False
    """INCONCLUSIVE only because the sample is small: the value holds."""

    @property
    def value(self) -> float | None:
        """The number that was judged."""
        return self.estimate.value

    @property
    def n(self) -> int | None:
        """Its sample size."""
        return self.estimate.n


class _Decision(msgspec.Struct, frozen=True):
    status: Status
    reason: str = ""
    too_few: bool = False


class Analysis(msgspec.Struct, frozen=True):
    """All verdicts of a report, and its overall status."""

    verdicts: tuple[Verdict, ...]
    reconciliations: tuple[Reconciliation, ...]
    health: tuple[GeneratorHealth, ...]
    status: Status
    exit_code: int
    """0 pass, 1 an objective failed, 3 inconclusive or invalid."""
    problems: tuple[str, ...]
    """One sentence per reason not to trust the numbers."""


def analyse(evidence: Evidence, dimension: str) -> Analysis:
    """Evaluate every objective of a dimension where its scenario ran."""
    reconciliations = reconcile(evidence, dimension)
    health = check(evidence, dimension)
    unreconciled = {r.scenario for r in reconciliations if r.differences}
    apart = clock_problems(evidence)
    invalid = {(h.scenario, h.case): APART if apart else h.reason for h in health if h.problems or apart}
    verdicts = tuple(
        verdict
        for m in evidence.measurements.measurements
        if (verdict := _judge(evidence, m, dimension, unreconciled, invalid)) is not None
    )
    problems = (
        *apart,
        *problems_of_run(evidence, dimension),
        *(problem for h in health for problem in h.problems),
        *(difference for r in reconciliations for difference in r.differences),
        *(one.sentence for one in disturbances(evidence, dimension)),
        *(one.sentence for one in scrape_gaps(evidence, dimension)),
    )
    status, code = _overall(verdicts, problems, invalid=bool(invalid), quick=evidence.run.profile == QUICK)
    return Analysis(verdicts, reconciliations, health, status, code, problems)


SEVERITY = (Status.PASS, Status.NO_DATA, Status.INCONCLUSIVE, Status.FAIL, Status.INVALID)
"""Statuses from best to worst."""


def worst(analyses: Sequence[Analysis]) -> tuple[Status, int]:
    """Return the combined status and exit code of several reports."""
    first = max(analyses, key=lambda analysis: SEVERITY.index(analysis.status))
    if first.status in {Status.FAIL, Status.INVALID}:
        return first.status, first.exit_code
    return first.status, max(analysis.exit_code for analysis in analyses)  # 0 where a profile tolerates small samples


def _overall(
    verdicts: tuple[Verdict, ...], problems: tuple[str, ...], *, invalid: bool, quick: bool
) -> tuple[Status, int]:
    statuses = {v.status for v in verdicts if not (quick and v.too_few)}
    if quick and verdicts and not statuses and not problems and not invalid:
        return Status.INCONCLUSIVE, 0  # nothing could be judged, as expected of so few jobs
    if invalid:
        return Status.INVALID, 3
    if Status.FAIL in statuses:
        return Status.FAIL, 1
    if problems or Status.INCONCLUSIVE in statuses:
        return Status.INCONCLUSIVE, 3
    if Status.NO_DATA in statuses or not verdicts:
        return Status.NO_DATA, 3
    return Status.PASS, 0


def _judge(
    evidence: Evidence,
    measurement: Measurement,
    dimension: str,
    unreconciled: set[str],
    invalid: Mapping[tuple[str, str], str],
) -> Verdict | None:
    sli = evidence.catalogue.get(measurement.sli)
    scenario = evidence.scenario(measurement.scenario)
    if scenario is None or scenario.dimension != dimension or not sli.of(dimension):
        return None
    case = next((c for c in scenario.cases if c.name == measurement.case), None)
    objective = _objective(evidence, sli, scenario, case)
    if not offered(evidence, sli, scenario):
        return None
    if objective is None or (objective.members and measurement.member not in objective.members):
        return None
    if case is not None and case.model == "idle" and sli.dimension != "resources":
        return None  # nothing is sent in it, so nothing of jobs and requests can be judged
    found = estimate(evidence, sli, measurement)
    known = certainty(found, objective, sli.min_n)
    decision = _decided(known, found, sli, objective, evidence.run.profile)
    places = {(scenario.name, c.name) for c in scenario.cases} if case is None else {(scenario.name, case.name)}
    # lost jobs make counts differ, so a failed key objective stays FAIL
    if decision.status is not Status.NO_DATA and not (sli.key and decision.status is Status.FAIL):
        if spoilt := sorted(places & invalid.keys()):
            decision = _Decision(Status.INVALID, invalid[spoilt[0]])
        elif scenario.name in unreconciled:
            decision = _Decision(Status.INCONCLUSIVE, "counts do not reconcile")
        elif reason := _doubt(evidence, dimension, sli, scenario, places, decision.status):
            decision = _Decision(Status.INCONCLUSIVE, reason)
    return Verdict(
        sli=sli,
        scenario=scenario.name,
        case=measurement.case,
        member=measurement.member,
        objective=objective,
        status=decision.status,
        estimate=found,
        certainty=known,
        reason=decision.reason,
        too_few=decision.too_few,
    )


def _doubt(  # noqa: PLR0917 - the place of a verdict
    evidence: Evidence,
    dimension: str,
    sli: Sli,
    scenario: ScenarioRecord,
    places: Collection[tuple[str, str]],
    status: Status,
) -> str:
    """Return why a value is not judged although the generator kept up and the counts reconcile; empty: it is."""
    # What a key objective judges, such as lost jobs, does not depend on the speed of the machine.
    taken = None if sli.key else reason_in(evidence, dimension, places)
    gap = gap_in(evidence, dimension, sli, places)
    if gap is not None and gap.of_service and status is Status.FAIL:
        gap = None  # a service that stands still has failed
    part = "" if status is Status.FAIL else unfinished(evidence, scenario)
    return taken or (gap.reason if gap is not None else part)


def offered(evidence: Evidence, sli: Sli, scenario: ScenarioRecord) -> bool:
    """Return False where the server does not have what an indicator is read from: nothing is then judged."""
    if sli.function is RecordFunction.JOBS_LOST:
        return scenario.store is None or scenario.store.offered
    if sli.function is RecordFunction.INTEGRITY_SHARE:
        return not evidence.foreign or bool(losses(evidence, scenario.name).checked)
    return True


def _objective(evidence: Evidence, sli: Sli, scenario: ScenarioRecord, case: CaseRecord | None) -> Objective | None:
    objective = sli.objective
    if objective is None:
        return None
    override = scenario.objectives.get(sli.id)
    if override is None and not evidence.judged_by(objective):
        return None
    if override is None and objective.scenarios and scenario.name not in objective.scenarios:
        return None
    if objective.concurrency is not None and (case is None or case.concurrency != objective.concurrency):
        return None
    if override is None:
        return objective
    return Objective(value=override, direction=objective.direction, members=objective.members)


def _decided(found: Certainty | None, number: Estimate, sli: Sli, objective: Objective, profile: str) -> _Decision:
    """Return the status that follows from what is known, with its reason."""
    if number.value is None or found is None:
        return _Decision(Status.NO_DATA if number.value is None else Status.INCONCLUSIVE, number.remark)
    few = bool(sli.min_n) and (number.n is None or number.n < sli.min_n)
    small = f"n too small: {number.n or 0}, needs {sli.min_n}" if few else ""
    open_ = NOT_PROVEN if number.method else NO_INTERVAL
    if found is Certainty.VIOLATED and (number.method or few):
        return _Decision(Status.INCONCLUSIVE, _reasons(open_, small, number.remark))
    if not found.holds:  # proven; without an interval the value of a large enough sample decides
        return _Decision(Status.FAIL, number.remark)
    if few:
        return _Decision(Status.INCONCLUSIVE, _reasons(small, number.remark), too_few=True)
    if profile == PAPER and not found.proven and not unprovable(sli, number, objective):
        return _Decision(Status.INCONCLUSIVE, _reasons(open_, number.remark))
    return _Decision(Status.PASS, number.remark)


def _reasons(*reasons: str) -> str:
    return "; ".join(filter(None, reasons))

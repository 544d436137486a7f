"""Verdicts on measurements. Missing data is never a pass, and an invalid number is never judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from reelbench.loadgen.record.run import CaseRecord, ScenarioRecord
from reelbench.reporting.analysis.disturbance import disturbances, reason_in
from reelbench.reporting.analysis.generator_health import GeneratorHealth, check
from reelbench.reporting.analysis.job_integrity import losses
from reelbench.reporting.analysis.open_cases import OpenCase, open_case
from reelbench.reporting.analysis.reconciliation import Reconciliation, reconcile
from reelbench.reporting.catalogue.sli import Objective, RecordFunction, Role, Samples, Sli
from reelbench.reporting.document import text
from reelbench.reporting.evidence.buckets import Bound
from reelbench.reporting.evidence.evidence import Evidence, place_name
from reelbench.reporting.evidence.measurements import Measurement

QUICK = "quick"
"""The profile in which small samples are expected and allowed."""


class Status(StrEnum):
    """Result of an objective or of a whole report."""

    PASS = "PASS"  # noqa: S105 - a verdict, no password
    FAIL = "FAIL"
    NO_DATA = "NO DATA"
    INCONCLUSIVE = "INCONCLUSIVE"
    INVALID = "INVALID"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One objective in one place."""

    sli: Sli
    scenario: str
    case: str
    member: str
    objective: Objective
    """With the override of the scenario file, if any."""
    status: Status
    value: float | None
    n: int | None
    reason: str
    """Reason of a status other than PASS or FAIL, or of one changed by cut-off jobs or broken files; else empty."""
    too_few: bool = False
    """INCONCLUSIVE only because the sample is small."""
    bound: Bound | None = None
    """The bucket of a percentile by PromQL: the true sample quantile lies in it."""


@dataclass(frozen=True, slots=True)
class Analysis:
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
    invalid = {(h.scenario, h.case) for h in health if h.problems}
    verdicts = tuple(
        verdict
        for m in evidence.measurements.measurements
        if (verdict := _judge(evidence, m, dimension, unreconciled, invalid)) is not None
    )
    problems = (
        *_uncounted(evidence),
        *_unlifted(evidence, dimension),
        *_not_begun(evidence, dimension),
        *(problem for h in health for problem in h.problems),
        *(difference for r in reconciliations for difference in r.differences),
        *(one.sentence for one in disturbances(evidence, dimension)),
        *_unknown_overrides(evidence, dimension),
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
    invalid: set[tuple[str, str]],
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
    measurement, broken = _without_broken(evidence, sli, measurement)
    status, reason, too_few = _compare(sli, objective, measurement)
    reason = reason or broken
    if status is Status.PASS and sli.samples is Samples.RESPONSE_TIMES and sli.quantile and case is not None:
        status, reason = _with_cut_off(open_case(evidence, scenario, case), sli.quantile, objective.value)
    places = {(scenario.name, c.name) for c in scenario.cases} if case is None else {(scenario.name, case.name)}
    # lost jobs make counts differ, so a failed key objective stays FAIL
    if status in {Status.PASS, Status.FAIL, Status.INCONCLUSIVE} and not (sli.key and status is Status.FAIL):
        if places & invalid:
            status, reason, too_few = Status.INVALID, "the load generator was the bottleneck", False
        elif scenario.name in unreconciled:
            status, reason, too_few = Status.INCONCLUSIVE, "counts do not reconcile", False
        elif not sli.key and (taken := reason_in(evidence, dimension, places)) is not None:
            # What a key objective judges, such as lost jobs, does not depend on the speed of the machine.
            status, reason, too_few = Status.INCONCLUSIVE, taken, False
    return Verdict(
        sli=sli,
        scenario=scenario.name,
        case=measurement.case,
        member=measurement.member,
        objective=objective,
        status=status,
        value=measurement.value,
        n=measurement.n,
        reason=reason,
        too_few=too_few,
        bound=measurement.bound,
    )


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


def _compare(sli: Sli, objective: Objective, measurement: Measurement) -> tuple[Status, str, bool]:
    value = measurement.value
    if value is None:
        return Status.NO_DATA, measurement.no_data or "", False
    n = measurement.n
    if sli.min_n and (n is None or n < sli.min_n):
        return Status.INCONCLUSIVE, f"n too small: {n or 0}, needs {sli.min_n}", True
    at_most = objective.direction == "at_most"
    held = value <= objective.value if at_most else value >= objective.value
    if measurement.bound is not None and measurement.bound.upper is None and held == at_most:
        return Status.INCONCLUSIVE, "above the last bucket: only a lower limit is known", False
    return (Status.PASS if held else Status.FAIL), "", False


def _without_broken(evidence: Evidence, sli: Sli, measurement: Measurement) -> tuple[Measurement, str]:
    """Return the success rate without the completed jobs whose file is broken, which Prometheus does not know."""
    if sli.role is not Role.SUCCESS_RATE or measurement.value is None or not measurement.n:
        return measurement, ""
    broken = sum(map(evidence.broken, evidence.case_jobs(measurement.scenario, measurement.case)))
    if not broken:
        return measurement, ""
    value = max(0.0, measurement.value - broken / measurement.n)
    what = "a file that does not decode" if broken == 1 else "files that do not decode"
    return msgspec.structs.replace(measurement, value=value), f"without {text.counted(broken, 'job')} with {what}"


def _with_cut_off(arriving: OpenCase | None, quantile: float, limit: float) -> tuple[Status, str]:
    """Check a quantile that passes for completed jobs again with the jobs that were cut off."""
    found = arriving.response(quantile) if arriving is not None and arriving.cut_off else None
    if arriving is None or found is None or found.within(limit):
        return Status.PASS, ""
    reason = f"{text.counted(len(arriving.cut_off), 'job')} cut off; with them it is {text.censored(found)} s"
    return (Status.FAIL if found.value > limit else Status.INCONCLUSIVE), reason


def _unknown_overrides(evidence: Evidence, dimension: str) -> list[str]:
    judged = {sli.id for sli in evidence.catalogue.slis if sli.objective is not None}
    unknown = [
        f"The run sets an objective for {name!r}, which is no indicator with a better direction"
        for name in evidence.run.objectives
        if name not in judged
    ]
    return unknown + [
        f"{scenario.name}: the scenario file sets an objective for {name!r}, which is no indicator with an objective"
        for scenario in evidence.scenarios(dimension)
        for name in scenario.objectives
        if name not in judged
    ]


def _uncounted(evidence: Evidence) -> list[str]:
    """Report missing root spans of a stack with a trace store: lost spans would go unnoticed."""
    if evidence.stack is None or not evidence.stack.traces_url or not evidence.traces.absent:
        return []
    return [f"Root spans were not counted: {evidence.traces.absent}"]


def _unlifted(evidence: Evidence, dimension: str) -> list[str]:
    """Report faults that may still be active, which invalidates later numbers."""
    names = [scenario.name for scenario in evidence.scenarios(dimension)]
    return [
        f"{place_name(fault.scenario, fault.case)}: the fault {fault.kind} of {fault.target} was never confirmed to be "
        "lifted, so what came after it is not known"
        for fault in evidence.faults(*names)
        if fault.ended is None
    ]


def _not_begun(evidence: Evidence, dimension: str) -> list[str]:
    """Report faults that did not begin: their cases show nothing of the fault."""
    names = [scenario.name for scenario in evidence.scenarios(dimension)]
    return [
        f"{place_name(fault.scenario, fault.case)}: no fault, as {fault.error}"
        + (f"; see {fault.output}" if fault.output else "")
        for fault in evidence.faults(*names)
        if fault.error is not None
    ]

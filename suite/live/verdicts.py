"""Objectives that the records alone decide, judged as soon as a case has ended."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from reelbench.loadgen.record.jobs import Outcome, read_jobs
from reelbench.loadgen.record.run import CaseRecord, RunRecord, ScenarioRecord
from reelbench.loadgen.record.stack import read_stack
from reelbench.reporting.analysis import objectives
from reelbench.reporting.analysis.certainty import certainty
from reelbench.reporting.analysis.estimates import estimate
from reelbench.reporting.catalogue.prices import load_prices
from reelbench.reporting.catalogue.sli import Objective, Role, Samples, Sli
from reelbench.reporting.catalogue.sli_file import load
from reelbench.reporting.document import text
from reelbench.reporting.evidence.evidence import Evidence
from reelbench.reporting.evidence.measurements import RECORDS, Measurement, Measurements
from reelbench.reporting.evidence.requests import Requests
from reelbench.suite.live.early import Early


def early_verdicts(folder: Path, scenario: str, case: str, run: RunRecord) -> list[Early]:
    """Return what the records of an ended case say of its objectives.

    Args:
        folder: has the jobs of the run.
        scenario: name of the scenario.
        case: name of the case.
        run: head of the run.

    Raises:
        RecordError: the jobs cannot be read.
        CatalogueError: the catalogue is wrong.
        PricesError: the price list is wrong.
    """
    found = next(((s, c) for s in run.scenarios for c in s.cases if (s.name, c.name) == (scenario, case)), None)
    if found is None or found[1].ended is None:
        return []
    jobs = tuple(job for job in read_jobs(folder) if (job.scenario, job.case) == (scenario, case))
    evidence = Evidence(
        run=run,
        jobs=jobs,
        requests=Requests.of(()),
        calls=(),
        stack=read_stack(folder),
        catalogue=objectives.of_run(load(), run),
        measurements=Measurements(run_id=run.run_id, instant=0.0, window="0s", prometheus=False, measurements=()),
        prices=load_prices(),
    )
    return list(_judged(evidence, *found))


def _judged(evidence: Evidence, scenario: ScenarioRecord, case: CaseRecord) -> Iterator[Early]:
    measured = [job for job in evidence.jobs if not job.warmup]
    counted = [job for job in measured if job.outcome not in {Outcome.CANCELLED, Outcome.ABORTED}]
    completed = sum(job.outcome is Outcome.COMPLETED for job in counted)
    for sli in evidence.catalogue.slis:
        objective = _objective(evidence, sli, scenario, case)
        if objective is None or not counted:
            continue
        if sli.samples is Samples.RESPONSE_TIMES or sli.role is Role.THROUGHPUT:
            value: float = 0.0  # the estimate is computed from the jobs
        elif sli.role is Role.SUCCESS_RATE:
            value = completed / len(counted)
        else:
            continue
        number = estimate(evidence, sli, _measurement(sli, scenario, case, value, len(counted)))
        known = certainty(number, objective, sli.min_n)
        if number.value is None or known is None:
            continue
        sign = "≤" if objective.direction == "at_most" else "≥"
        yield Early(
            title=sli.title,
            place=f"{scenario.name} / {case.name}",
            objective=f"{sign} {text.with_unit(objective.value, sli.unit)}",
            value=text.with_unit(number.value, sli.unit),
            n=number.n or 0,
            certainty=str(known),
            holds=known.holds,
        )


def _measurement(sli: Sli, scenario: ScenarioRecord, case: CaseRecord, value: float, n: int) -> Measurement:
    return Measurement(
        sli=sli.id,
        scenario=scenario.name,
        case=case.name,
        member="",
        source=RECORDS,
        query="",
        instant=case.ended or 0.0,
        value=value,
        no_data=None,
        bound=None,
        n=n,
    )


def _objective(evidence: Evidence, sli: Sli, scenario: ScenarioRecord, case: CaseRecord) -> Objective | None:
    """Return the objective of an indicator in a case; None: it is not judged there."""
    objective, override = sli.objective, scenario.objectives.get(sli.id)
    if objective is None or objective.members or not sli.of(scenario.dimension):
        return None
    if override is not None:
        return msgspec.structs.replace(objective, value=override)
    if not evidence.judged_by(objective) or (objective.scenarios and scenario.name not in objective.scenarios):
        return None
    if objective.concurrency is not None and case.concurrency != objective.concurrency:
        return None
    return objective

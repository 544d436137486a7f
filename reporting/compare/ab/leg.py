"""From the folder of one run to its values: response times, success and the critical path of each case."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from reelbench.loadgen.record.conditions import read_conditions
from reelbench.loadgen.record.jobs import JobRecord, Outcome, read_jobs
from reelbench.loadgen.record.run import CaseRecord, RunState, ScenarioRecord, read_run
from reelbench.loadgen.record.run_files import TRACES_DIR, RecordError
from reelbench.reporting.analysis.breakdown import breakdown
from reelbench.reporting.analysis.disturbance import disturbance
from reelbench.reporting.analysis.generator_health import check
from reelbench.reporting.catalogue.prices import load_prices
from reelbench.reporting.catalogue.sli_file import load
from reelbench.reporting.compare.ab.records import Leg, PlaceValues, Which
from reelbench.reporting.evidence.evidence import STOPPED, Evidence
from reelbench.reporting.evidence.file_traces import FileTraces
from reelbench.reporting.evidence.measurements import Measurements
from reelbench.reporting.evidence.traces import TraceEvidence


def read_leg(folder: Path, side: Which, seconds: float) -> Leg:
    """Read one run.

    Raises:
        RecordError: the run cannot be read, or was not completed.
    """
    evidence = read_evidence(folder)
    run = evidence.run
    if run.state is not RunState.COMPLETED:
        raise RecordError(f"{folder} is not finished (its state is {run.state}); compare again")
    traces = FileTraces(folder / TRACES_DIR).gather({job.trace_id for job in evidence.jobs})
    evidence = replace(evidence, traces=traces)
    dimensions = dict.fromkeys(scenario.dimension for scenario in run.scenarios)
    places = tuple(_values(evidence, *both) for dimension in dimensions for both in evidence.cases(dimension))
    return Leg(folder=folder.name, side=side, plan_hash=run.plan_hash, seconds=seconds, places=places)


def read_evidence(folder: Path) -> Evidence:
    """Read the records of one run, without its traces.

    Raises:
        RecordError: the run cannot be read.
    """
    run = read_run(folder)
    return Evidence(
        run=run,
        jobs=tuple(read_jobs(folder)),
        conditions=read_conditions(folder),
        catalogue=load(),
        prices=load_prices(),
        measurements=Measurements(
            run_id=run.run_id, instant=run.ended or run.started, window="", prometheus=False, measurements=()
        ),
    )


def _values(evidence: Evidence, scenario: ScenarioRecord, case: CaseRecord) -> PlaceValues:
    jobs = [job for job in evidence.case_jobs(scenario.name, case.name) if job.outcome not in STOPPED]
    done = [job for job in jobs if job.outcome is Outcome.COMPLETED]
    times = [job.done - job.due for job in done]
    health = (h for h in check(evidence, scenario.dimension) if (h.scenario, h.case) == (scenario.name, case.name))
    return PlaceValues(
        scenario=scenario.name,
        case=case.name,
        jobs=len(jobs),
        completed=len(done),
        response=sum(times) / len(times) if times else None,
        stages=_stages(done, evidence.traces),
        invalid=next((problem for h in health for problem in h.problems), ""),
        disturbed=_disturbed(evidence, scenario.name, case.name),
    )


def _stages(done: list[JobRecord], traces: TraceEvidence) -> dict[str, float]:
    found = breakdown(done, traces.spans, len(done)) if done else None
    return {part: share.seconds for part, share in found.parts.items()} if found is not None else {}


def _disturbed(evidence: Evidence, scenario: str, case: str) -> str:
    conditions = evidence.conditions
    if conditions is None or conditions.others_limit is None:
        return ""
    machine = next((one for one in conditions.machine if (one.scenario, one.case) == (scenario, case)), None)
    return (disturbance(machine, conditions.others_limit) or "") if machine is not None else ""

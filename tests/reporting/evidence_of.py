"""Evidence for tests of single checks: the made run with the measurements of a test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from reelbench.loadgen.record.jobs import JobRecord, Outcome
from reelbench.loadgen.record.run import RunRecord
from reelbench.loadgen.record.stack import ComponentRecord, StackRecord
from reelbench.loadgen.record.videos import VideoRecord
from reelbench.reporting.catalogue.prices import load_prices
from reelbench.reporting.catalogue.sli_file import load
from reelbench.reporting.evidence.buckets import Bound
from reelbench.reporting.evidence.evidence import Evidence
from reelbench.reporting.evidence.measurements import Measurement, Measurements
from reelbench.reporting.evidence.requests import Requests
from reelbench.reporting.evidence.traces import RootKey, TraceEvidence
from tests.reporting.made_run import MadeRun

CATALOGUE = load()
PRICES = load_prices()


def measurement(
    sli: str,
    scenario: str,
    case: str = "",
    member: str = "",
    *,
    value: float | None,
    n: int = 1000,
    bound: Bound | None = None,
) -> Measurement:
    return Measurement(
        sli=sli,
        scenario=scenario,
        case=case,
        member=member,
        query="made{}",
        instant=1.0,
        value=value,
        no_data=None if value is not None else "no series matched",
        bound=bound,
        n=n,
    )


def evidence(
    made: MadeRun,
    *,
    run: RunRecord | None = None,
    jobs: Sequence[JobRecord] | None = None,
    measurements: Sequence[Measurement] = (),
    service: bool = True,
    spans: Mapping[RootKey, int] | None = None,
    videos: Sequence[VideoRecord] = (),
) -> Evidence:
    components = (
        ComponentRecord("loadgen", version="0.1.0"),
        ComponentRecord("service", version="0.1.0" if service else None),
    )
    return Evidence(
        catalogue=CATALOGUE,
        run=run or made.run,
        jobs=tuple(made.jobs if jobs is None else jobs),
        requests=Requests.of(made.requests),
        videos=tuple(videos),
        stack=StackRecord(schema_version=1, kind="embedded", components=components, settled=True, settled_at=1.0),
        measurements=Measurements(
            run_id=made.run.run_id, instant=1.0, window="9s", prometheus=True, measurements=tuple(measurements)
        ),
        prices=PRICES,
        traces=TraceEvidence(roots=Counter(spans) if spans is not None else None),
    )


def only(run: RunRecord, name: str) -> RunRecord:
    """The run with only one scenario."""
    return msgspec.structs.replace(run, scenarios=[s for s in run.scenarios if s.name == name])


def taking(made: MadeRun, scenario: str, seconds: float, n: int, run: RunRecord | None = None) -> Evidence:
    """The run of one case of which `n` measured jobs took so long, with counts that reconcile."""
    mine = [job for job in made.jobs if job.scenario == scenario]
    jobs = [job for job in mine if job.warmup] + [job for job in mine if not job.warmup][:n]
    found = run or only(made.run, scenario)
    (record,) = found.scenarios
    assert record.store is not None
    store = msgspec.structs.replace(record.store, expected=len(jobs), found=len(jobs), by_status={})
    return evidence(
        made,
        run=msgspec.structs.replace(found, scenarios=[msgspec.structs.replace(record, store=store)]),
        jobs=[msgspec.structs.replace(job, done=job.due + seconds) for job in jobs],
        measurements=[
            measurement(sli, scenario, member="completed", value=n) for sli in ("client_jobs", "service_jobs")
        ],
    )


NAME = "single_request"


def profiled(made: MadeRun, profile: str, name: str = NAME) -> RunRecord:
    return msgspec.structs.replace(only(made.run, name), profile=profile)


def ended(made: MadeRun, profile: str, *ends: tuple[int, Outcome], more: Sequence[Measurement] = ()) -> Evidence:
    """A run of one case whose jobs ended in these ways, with counts that reconcile."""
    outcomes = [outcome for number, outcome in ends for _ in range(number)]
    jobs = [job for job in made.jobs if job.scenario == NAME and not job.warmup]
    mine = [msgspec.structs.replace(job, outcome=end) for job, end in zip(jobs, outcomes, strict=False)]
    completed = sum(1 for job in mine if job.outcome is Outcome.COMPLETED)
    counted = [
        *(measurement("client_jobs", NAME, member=end, value=float(number)) for number, end in ends),
        *(measurement("service_jobs", NAME, member=end, value=float(number)) for number, end in ends),
        measurement("success_rate", NAME, "n01", value=completed / len(mine), n=len(mine)),
    ]
    store = msgspec.structs.replace
    run = profiled(made, profile)
    scenario = run.scenarios[0]
    assert scenario.store is not None
    kept = store(scenario.store, expected=len(mine), found=len(mine), by_status={})
    run = msgspec.structs.replace(run, scenarios=[msgspec.structs.replace(scenario, store=kept)])
    return evidence(made, run=run, jobs=mine, measurements=[*counted, *more])

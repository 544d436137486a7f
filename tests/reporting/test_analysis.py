from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from reelbench.loadgen.record.run import RunState
from reelbench.reporting.analysis.generator_health import check
from reelbench.reporting.analysis.objectives import of_run
from reelbench.reporting.analysis.verdicts import Analysis, Status, Verdict, analyse, worst
from reelbench.reporting.evidence.buckets import Bound
from reelbench.reporting.evidence.evidence import Evidence
from reelbench.reporting.evidence.limits import Limits
from reelbench.reporting.evidence.measurements import Measurement
from tests.reporting.evidence_of import evidence, measurement, only, taking
from tests.reporting.made_run import MadeRun

NAME = "single_request"
RECONCILED = [
    measurement("client_jobs", NAME, "", "completed", value=100),
    measurement("service_jobs", NAME, "", "completed", value=100),
]


def judge(made: MadeRun, *measurements: Measurement) -> Verdict:
    found = analyse(evidence(made, run=only(made.run, NAME), measurements=[*RECONCILED, *measurements]), "performance")
    assert len(found.verdicts) == 1
    return found.verdicts[0]


def taken(made: MadeRun, seconds: float, n: int) -> Evidence:
    """The run of one case whose `n` jobs all take as long; PromQL answers something else."""
    found = taking(made, NAME, seconds, n)
    asked = measurement("response_time_p95", NAME, "n01", value=9.0, n=n, bound=Bound(8.9, 9.1))
    whole = msgspec.structs.replace(found.measurements, measurements=(*found.measurements.measurements, asked))
    return replace(found, measurements=whole)


@pytest.mark.parametrize(
    ("seconds", "n", "status", "reason"),
    [
        (1.9, 100, Status.PASS, ""),
        (2.0, 100, Status.PASS, ""),
        (2.01, 100, Status.FAIL, ""),
        (1.0, 19, Status.INCONCLUSIVE, "n too small: 19, needs 20"),
        (1.0, 20, Status.PASS, ""),
    ],
)
def test_a_response_time_is_judged_by_the_records(
    made: MadeRun, seconds: float, n: int, status: Status, reason: str
) -> None:
    (verdict,) = analyse(taken(made, seconds, n), "performance").verdicts
    assert (verdict.status, verdict.reason) == (status, reason)
    assert (verdict.value, verdict.n) == (pytest.approx(seconds), n)


@pytest.mark.parametrize(
    ("found", "status", "reason"),
    [
        ((None, 0, None), Status.NO_DATA, "no series matched"),
        ((0.4, 100, Bound(0.4, 0.5)), Status.PASS, ""),
        ((0.4, 100, Bound(0.4, None)), Status.INCONCLUSIVE, "above the last bucket: only a lower limit is known"),
        ((600.0, 100, Bound(600.0, None)), Status.FAIL, "above the last bucket: only a lower limit is known"),
    ],
)
def test_a_percentile_without_samples_in_the_records(
    made: MadeRun, found: tuple[float | None, int, Bound | None], status: Status, reason: str
) -> None:
    value, n, bound = found
    run = msgspec.structs.replace(only(made.run, NAME), objectives={"queue_time_p95": 0.5})
    asked = measurement("queue_time_p95", NAME, "n01", value=value, n=n, bound=bound)
    limits = Limits(lower=bound.lower, upper=bound.upper, method="made") if bound else None
    records = evidence(made, run=run, measurements=[*RECONCILED, msgspec.structs.replace(asked, interval=limits)])
    judged = analyse(replace(records, catalogue=of_run(records.catalogue, run)), "performance").verdicts
    assert [(v.status, v.reason) for v in judged] == [(status, reason)]


@pytest.mark.parametrize(("value", "status"), [(0.95, Status.PASS), (0.9499, Status.INCONCLUSIVE), (0.93, Status.FAIL)])
def test_a_value_against_a_lower_objective(made: MadeRun, value: float, status: Status) -> None:
    assert judge(made, measurement("success_rate", NAME, "n01", value=value)).status is status


def test_no_verdict_where_the_objective_does_not_apply(made: MadeRun) -> None:
    run = only(made.run, "concurrent_load")
    values = [measurement("throughput", "concurrent_load", f"n{level:02}", value=1.0) for level in (1, 5, 10, 20, 50)]
    found = analyse(evidence(made, run=run, measurements=values), "performance")
    assert [v.case for v in found.verdicts] == ["n50"]


def test_an_idle_case_is_not_judged_by_jobs(made: MadeRun) -> None:
    run = only(made.run, NAME)
    (load,) = run.scenarios[0].cases
    silence = msgspec.structs.replace(load, name="silence", model="idle", planned=0)
    scenario = msgspec.structs.replace(run.scenarios[0], cases=[load, silence])
    values = [
        measurement("success_rate", NAME, "n01", value=1.0),
        measurement("success_rate", NAME, "silence", value=None, n=0),
    ]
    found = evidence(made, run=msgspec.structs.replace(run, scenarios=[scenario]), measurements=[*RECONCILED, *values])
    assert [(v.case, v.status) for v in analyse(found, "performance").verdicts] == [("n01", Status.PASS)]


def test_invalid_outweighs_fail_and_fail_outweighs_no_data(made: MadeRun) -> None:
    values = [
        *RECONCILED,
        measurement("success_rate", NAME, "n01", value=0.1),
        measurement("response_time_p95", NAME, "n01", value=None),
    ]
    run = only(made.run, NAME)
    failed = analyse(evidence(made, run=run, measurements=values), "performance")
    assert (failed.status, failed.exit_code) == (Status.FAIL, 1)
    case = msgspec.structs.replace(run.scenarios[0].cases[0], generator_cpu=0.81)
    busy = msgspec.structs.replace(run, scenarios=[msgspec.structs.replace(run.scenarios[0], cases=[case])])
    invalid = analyse(evidence(made, run=busy, measurements=values), "performance")
    assert (invalid.status, invalid.exit_code) == (Status.INVALID, 3)
    assert [v.status for v in invalid.verdicts] == [Status.INVALID, Status.NO_DATA]


@pytest.mark.parametrize(
    ("model", "still", "share"),
    [
        ("closed", 12.0, "20 %"),
        ("open", 12.0, "20 %"),
        ("idle", 12.0, "20 %"),
        ("closed", 3600.0, "100 %"),
        ("closed", 3.0, ""),
    ],
)
def test_a_generator_that_stood_still_invalidates_the_case(made: MadeRun, model: str, still: float, share: str) -> None:
    run = only(made.run, NAME)
    (scenario,) = run.scenarios
    before = scenario.cases[0]
    assert before.started is not None
    case = msgspec.structs.replace(before, model=model, stood_still=still, ended=before.started + 60)
    run = msgspec.structs.replace(run, scenarios=[msgspec.structs.replace(scenario, cases=[case])])
    values = [*RECONCILED, measurement("success_rate", NAME, "n01", value=0.1)]
    found = analyse(evidence(made, run=run, measurements=values), "performance")
    if not share:
        assert (found.status, found.health[0].problems) == (Status.FAIL, ())
        return
    assert (found.status, found.exit_code) == (Status.INVALID, 3)
    why = "(the process was stopped, or the machine slept)"
    begin = f"single_request / n01: the load generator stood still for {still:.1f} s"
    assert found.problems == (f"{begin}, {share} of the case {why}, more than 5 %",)
    assert {v.reason for v in found.verdicts} <= {"the load generator stood still"}


def test_a_service_that_stood_still_has_failed(made: MadeRun) -> None:
    values = [*RECONCILED, measurement("success_rate", NAME, "n01", value=0.1)]
    slow = [msgspec.structs.replace(job, done=job.done + 12) for job in made.jobs if job.scenario == NAME]
    assert (
        analyse(evidence(made, run=only(made.run, NAME), jobs=slow, measurements=values), "performance").status
        is Status.FAIL
    )


@pytest.mark.parametrize(
    ("state", "how"),
    [
        (RunState.INTERRUPTED, "was interrupted"),
        (RunState.FAILED, "failed"),
        (RunState.RUNNING, "was ended from outside"),
    ],
)
def test_a_run_that_did_not_end_never_passes(made: MadeRun, state: RunState, how: str) -> None:
    run = only(made.run, NAME)
    scenario = msgspec.structs.replace(run.scenarios[0], state=state)
    run = msgspec.structs.replace(run, state=state, scenarios=[scenario])
    values = [*RECONCILED, measurement("success_rate", NAME, "n01", value=1.0)]
    mine = [job for job in made.jobs if job.scenario == NAME]
    found = analyse(evidence(made, run=run, jobs=mine, measurements=values), "performance")
    assert (found.status, found.exit_code) == (Status.INCONCLUSIVE, 3)
    assert found.problems[0] == f"The run {how} after 100 of 100 jobs"
    assert [(v.status, v.reason) for v in found.verdicts] == [
        (Status.INCONCLUSIVE, f"the run {how} after 100 of 100 jobs")
    ]


def test_a_damaged_file_of_the_run_makes_it_inconclusive(made: MadeRun) -> None:
    values = [*RECONCILED, measurement("success_rate", NAME, "n01", value=1.0)]
    found = replace(evidence(made, run=only(made.run, NAME), measurements=values), doubts=("The plan was altered",))
    assert analyse(found, "performance").problems == ("The plan was altered",)
    assert analyse(found, "performance").status is Status.INCONCLUSIVE


def test_an_override_of_an_unknown_indicator_is_a_problem(made: MadeRun) -> None:
    run = only(made.run, NAME)
    run = msgspec.structs.replace(run, scenarios=[msgspec.structs.replace(run.scenarios[0], objectives={"speed": 1.0})])
    values = [*RECONCILED, measurement("success_rate", NAME, "n01", value=1.0)]
    found = analyse(evidence(made, run=run, measurements=values), "performance")
    assert (found.status, found.exit_code) == (Status.INCONCLUSIVE, 3)
    assert found.problems == (
        "single_request: the scenario file sets an objective for 'speed', which is no indicator with an objective",
    )


@pytest.mark.parametrize(("late", "valid"), [(0.049, True), (0.0605, True), (0.07, False)])
def test_send_delay_may_be_a_tenth_of_the_median_response_time(made: MadeRun, late: float, valid: bool) -> None:  # noqa: FBT001 - a table of expectations
    jobs = [msgspec.structs.replace(job, sent=job.due + late) for job in made.jobs if job.scenario == NAME]
    health = check(evidence(made, run=only(made.run, NAME), jobs=jobs), "performance")[0]
    assert health.send_delay_limit == pytest.approx(0.0606, abs=1e-4)  # a tenth of 0.606 s
    assert health.send_delay_p99 == pytest.approx(late, abs=1e-6)
    assert (health.problems == ()) is valid


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([(Status.PASS, 0), (Status.PASS, 0)], (Status.PASS, 0)),
        ([(Status.PASS, 0), (Status.NO_DATA, 3)], (Status.NO_DATA, 3)),
        ([(Status.INCONCLUSIVE, 0), (Status.PASS, 0)], (Status.INCONCLUSIVE, 0)),  # too few jobs, which quick tolerates
        ([(Status.INCONCLUSIVE, 0), (Status.NO_DATA, 3)], (Status.INCONCLUSIVE, 3)),
        ([(Status.INCONCLUSIVE, 3), (Status.FAIL, 1)], (Status.FAIL, 1)),
        ([(Status.FAIL, 1), (Status.INVALID, 3)], (Status.INVALID, 3)),
    ],
)
def test_the_worst_of_several_reports_decides(statuses: list[tuple[Status, int]], expected: tuple[Status, int]) -> None:
    found = [Analysis((), (), (), status, code, ()) for status, code in statuses]
    assert worst(found) == expected

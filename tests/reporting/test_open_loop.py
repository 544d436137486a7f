from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelbench.loadgen.record.jobs import JobRecord, Outcome
from reelbench.loadgen.record.rate_rule import Result, own_send_delay
from reelbench.loadgen.record.run import ArrivalsRecord, CaseRecord, RunState, ScenarioRecord
from reelbench.reporting.analysis.capacity import LIMITS, knee
from reelbench.reporting.analysis.capacity_limits import METHOD
from reelbench.reporting.analysis.generator_health import check
from reelbench.reporting.analysis.open_cases import open_cases
from reelbench.reporting.analysis.record_slis import spike_recovery, sustained_rate
from reelbench.reporting.analysis.record_value import RecordValue
from reelbench.reporting.analysis.spike import spikes
from reelbench.reporting.analysis.verdicts import NOT_PROVEN, Status, analyse
from reelbench.reporting.catalogue.sli_file import load
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Bullets, Chart, Section, Table
from reelbench.reporting.evidence.dimension import Dimension
from reelbench.reporting.evidence.evidence import Evidence
from reelbench.reporting.evidence.limits import Limits
from reelbench.reporting.evidence.prometheus import NoData
from reelbench.reporting.render.figures import figure
from reelbench.reporting.sections.build import build_appendix, build_report
from reelbench.reporting.sections.performance.open_loop import section
from reelbench.reporting.sections.verdict import limits
from reelbench.reporting.statistics.censoring import tail
from reelbench.reporting.statistics.intervals import Interval, percentile
from tests.reporting.evidence_of import evidence, measurement
from tests.reporting.made_open import case_of, even, jobs_of, queue, run_of
from tests.reporting.made_run import START, MadeRun

QUANTILES = (0.5, 0.95, 0.99)


def ramp(made: MadeRun, *rates: int, seconds: int = 20, cut_off: float | None = None) -> Evidence:
    cases, jobs = [], []
    for rate in rates:
        arrivals = even(rate, seconds)
        cases.append(case_of(f"r{rate:02}", len(arrivals), seconds, rate))
        jobs += jobs_of("ramp", f"r{rate:02}", arrivals, queue(arrivals), cut_off=cut_off)
    return evidence(made, run=run_of(made, "ramp", cases), jobs=jobs)


def single(made: MadeRun, case: CaseRecord, jobs: list[JobRecord], state: RunState = RunState.COMPLETED) -> Evidence:
    return evidence(made, run=run_of(made, "arrival_rate", [case], state), jobs=jobs)


def steady(**changes: Any) -> tuple[CaseRecord, list[JobRecord]]:
    arrivals = even(10, 20)
    case = case_of("constant", len(arrivals), 20, 10, **changes)
    return case, jobs_of("arrival_rate", "constant", arrivals, queue(arrivals))


# ---- percentiles with jobs that were cut off ----------------------------------------------------------------------


@given(st.lists(st.floats(0, 100), min_size=1, max_size=400), st.sampled_from(QUANTILES))
def test_without_cut_off_jobs_the_percentile_is_the_usual_one(times: list[float], q: float) -> None:
    found = tail(times, [], q)
    assert found is not None
    usual = percentile(sorted(times), q)
    assert (found.value, found.at_least, found.interval) == (usual.value, False, usual.interval)


@given(
    st.lists(st.floats(0, 100), max_size=60),
    st.lists(st.tuples(st.floats(0, 100), st.floats(0, 1000)), min_size=1, max_size=60),
    st.sampled_from(QUANTILES),
)
def test_a_percentile_does_not_depend_on_when_cut_off_jobs_would_have_ended(
    known: list[float], cut_off: list[tuple[float, float]], q: float
) -> None:
    found = tail(known, [limit for limit, _ in cut_off], q)
    assert found is not None
    true = percentile(sorted([*known, *(limit + more for limit, more in cut_off)]), q).value
    if found.at_least:
        assert true >= found.value
    else:
        assert true == found.value
    assert found.within(50) <= (true <= 50)


def test_a_percentile_among_cut_off_jobs_is_a_lower_limit() -> None:
    known = [0.1 * k for k in range(1, 91)]  # up to 9 s, and ten jobs that were cut off after 2 to 11 s
    cut_off = [2.0 + k for k in range(10)]
    p50, p95, p99 = (tail(known, cut_off, q) for q in QUANTILES)
    assert [text.censored(one) for one in (p50, p95, p99)] == ["≥ 4.700", "≥ 8.800", "≥ 10.000"]
    assert p95 is not None
    assert p95.interval.upper is None
    assert text.censored(tail(known, [20.0], 0.5)) == "4.600"  # one job above all others moves the median
    assert tail([], [], 0.5) is None


# ---- counts of a case ---------------------------------------------------------------------------------------------


class Counted(tuple[JobRecord, ...]):  # noqa: SLOT001 - the counter needs an attribute
    """Jobs that count how often they are iterated."""

    passes = 0

    def __iter__(self) -> Iterator[JobRecord]:
        self.passes += 1
        return super().__iter__()


def test_the_backlog_counts_jobs_between_intended_start_and_end_in_one_pass(made: MadeRun) -> None:
    case, jobs = steady()
    jobs[3] = msgspec.structs.replace(jobs[3], done=jobs[3].due + 9)
    jobs[4] = msgspec.structs.replace(jobs[4], done=jobs[4].due)
    (found,) = open_cases(single(made, case, jobs))
    instants = [0.0, *(job.due - found.started for job in jobs), *(job.done - found.started for job in jobs), 99.0]
    expected = [sum(j.due <= found.started + at < j.done for j in found.jobs) for at in instants]
    counted = Counted(found.jobs)
    found = dataclasses.replace(found, jobs=counted)
    assert [found.backlog(at) for at in instants] == expected
    assert max(expected) == 5
    assert counted.passes == 2


def test_a_case_is_counted_from_its_records(made: MadeRun) -> None:
    case, jobs = steady()
    jobs[0] = msgspec.structs.replace(jobs[0], outcome=Outcome.REJECTED)
    jobs[1] = msgspec.structs.replace(jobs[1], outcome=Outcome.TIMEOUT, done=jobs[1].due + 9)
    never = START + 25.0
    jobs[199] = msgspec.structs.replace(jobs[199], outcome=Outcome.TIMEOUT, sent=never, done=never, released=never)
    (found,) = open_cases(single(made, case, jobs))
    assert (found.offered, len(found.sent), len(found.completed), len(found.cut_off), found.failed, found.held) == (
        200, 199, 197, 2, 1, 1,
    )  # fmt: skip
    assert found.delivered == pytest.approx(198 / 200)
    assert found.success is not None
    assert (found.success.k, found.success.n) == (197, 200)
    assert found.most_in_flight == 5  # 0.4 s of work at 10 jobs per second, and the job without an answer
    assert found.backlog(5.05) == 5
    assert {round(own_send_delay(job), 6) for job in found.jobs if job in found.sent} == {0.001}
    p50 = found.response(0.5)
    assert p50 is not None
    assert (p50.value, p50.at_least) == (pytest.approx(0.4), False)


def test_response_time_starts_at_the_intended_start_and_service_time_at_sending(made: MadeRun) -> None:
    arrivals = even(10, 20)
    done = queue(arrivals)
    jobs = jobs_of("arrival_rate", "constant", arrivals, done)
    held = [  # the limit delays each of the last 20 by two seconds
        msgspec.structs.replace(job, released=job.due + 2, sent=job.due + 2.001, done=job.due + 2.401)
        if job.index >= 180
        else job
        for job in jobs
    ]
    (found,) = open_cases(single(made, case_of("constant", 200, 20, 10), held))
    response, service = found.response(0.95), found.service(0.95)
    assert response is not None
    assert service is not None
    assert (response.value, service.value) == (pytest.approx(2.401), pytest.approx(0.4))
    assert {round(own_send_delay(job), 6) for job in found.jobs} == {0.001}


# ---- the knee -----------------------------------------------------------------------------------------------------


def test_the_limits_of_a_ramp_are_the_objectives_of_the_catalogue() -> None:
    objectives = [load().get(name).objective for name in ("success_rate", "response_time_p95")]
    assert [objective.value for objective in objectives if objective] == [LIMITS.success, LIMITS.response_p95]


def test_the_knee_is_the_highest_sustainable_rate(made: MadeRun) -> None:
    records = ramp(made, 6, 12, 18, 24)
    found = knee(records, "ramp")
    assert found is not None
    assert found.held is not None
    assert found.broke is not None
    assert (found.held.case.load.rate, found.broke.case.load.rate) == (18, 24)
    # 24 arrive and 20 leave each second: 80 more at the end, and the last one waits for them at 20 a second.
    assert found.broke.case.backlog(19.99) == pytest.approx(88, abs=2)
    p95, growth = found.broke.case.response(0.95), found.broke.found.growth
    assert p95 is not None
    assert p95.value == pytest.approx(0.4 + 0.95 * 80 / 20, abs=0.1)
    assert (growth.slope, growth.completion) == (pytest.approx(4, abs=0.2), pytest.approx(20, abs=0.2))
    assert [sentence.split(" ")[0] for sentence in found.broke.broken] == ["P95", "a"]
    assert sustained_rate(records, "ramp") == RecordValue(18, 360, Interval(18, 24), METHOD)


def test_a_growing_backlog_fails_a_rate_before_response_times_do(made: MadeRun) -> None:
    found = knee(ramp(made, 21, seconds=30), "ramp")
    assert found is not None
    (step,) = found.steps
    assert step.broken == ("a backlog that grew by 22 jobs in 22.5 s, more than the 19.6 of chance",)


@pytest.mark.parametrize(
    ("outcome", "count", "expected"),
    [
        (Outcome.FAILED, 11, ("success rate 94.5 %, below 95 %",)),
        (Outcome.FAILED, 10, ()),
        (Outcome.TIMEOUT, 3, ("98.5 % of the offered jobs ended, below 99 %",)),
        (Outcome.TIMEOUT, 2, ()),
    ],
)
def test_each_limit_alone_fails_a_rate(made: MadeRun, outcome: Outcome, count: int, expected: tuple[str, ...]) -> None:
    case, jobs = steady()
    jobs[:count] = [msgspec.structs.replace(job, outcome=outcome) for job in jobs[:count]]
    found = knee(single(made, case, jobs), "arrival_rate")
    assert found is not None
    assert found.steps[0].broken == expected


def test_a_ramp_whose_rates_all_fail_sustains_zero(made: MadeRun) -> None:
    records = ramp(made, 30)
    found = knee(records, "ramp")
    assert found is not None
    assert found.held is None
    assert sustained_rate(records, "ramp") == RecordValue(0.0, 600, Interval(0.0, 30), METHOD)
    assert isinstance(sustained_rate(records, "spike"), NoData)


def test_rates_above_a_failed_rate_do_not_count(made: MadeRun) -> None:
    records = ramp(made, 24, 6, 12)
    cases = [
        # the middle rate is the only one with failures
        msgspec.structs.replace(job, outcome=Outcome.FAILED) if job.case == "r06" else job
        for job in records.jobs
    ]
    found = knee(evidence(made, run=records.run, jobs=cases), "ramp")
    assert found is not None
    assert [step.case.load.rate for step in found.steps] == [6, 12, 24]
    assert found.held is None


def test_above_a_rate_that_does_not_hold_no_rate_holds(made: MadeRun) -> None:
    records = ramp(made, 6, 12, 18)
    jobs = [msgspec.structs.replace(job, outcome=Outcome.FAILED) if job.case == "r12" else job for job in records.jobs]
    records = evidence(made, run=records.run, jobs=jobs)
    found = knee(records, "ramp")
    assert found is not None
    assert [step.result for step in found.steps] == [Result.HOLDS, Result.FAILS, Result.HOLDS]
    assert [found.result(step) for step in found.steps] == [Result.HOLDS, Result.FAILS, Result.FAILS]
    assert sustained_rate(records, "ramp") == RecordValue(6, 120, Interval(0.0, 12), METHOD)  # 120 jobs prove nothing


def late(records: Evidence, made: MadeRun, case: str, count: int) -> Evidence:
    chosen = [(job.case, job.index) for job in records.jobs if job.case == case][-count:]
    jobs = [
        msgspec.structs.replace(job, sent=job.due + 0.1) if (job.case, job.index) in chosen else job
        for job in records.jobs
    ]
    return evidence(made, run=records.run, jobs=jobs)


def test_a_rate_at_which_jobs_were_sent_late_neither_holds_nor_fails(made: MadeRun) -> None:
    # P99 of 360 jobs is the fourth latest one: four late jobs are beyond the limit, without a proof.
    records = late(ramp(made, 12, 18, 24), made, "r18", 4)
    found = knee(records, "ramp")
    assert found is not None
    assert [found.result(step) for step in found.steps] == [Result.HOLDS, Result.INCONCLUSIVE, Result.FAILS]
    assert [step.why for step in found.open] == ["jobs were sent up to 100 ms late (P99), more than 50 ms"]
    assert sustained_rate(records, "ramp") == RecordValue(12, 240, Interval(12, 24), METHOD)
    said = "".join(one for block in section_of(records) for one in block)
    assert "18 jobs/s is **inconclusive**: jobs were sent up to 100 ms late (P99), more than 50 ms." in said
    calm = knee(late(ramp(made, 12, 18, 24), made, "r18", 3), "ramp")
    assert calm is not None
    assert [calm.result(step) for step in calm.steps] == [Result.HOLDS, Result.HOLDS, Result.FAILS]


def section_of(records: Evidence) -> list[tuple[str, ...]]:
    found = section(records)
    assert found is not None
    return [block.items for block in found.blocks if isinstance(block, Bullets)]


# ---- the spike ----------------------------------------------------------------------------------------------------


def spiked(made: MadeRun, high: int, seconds: int = 10, after: int = 20, cut_off: float | None = None) -> Evidence:
    arrivals = [*even(6, 10), *even(high, seconds, 10), *even(6, after, 10 + seconds)]
    arrivals_record = ArrivalsRecord(
        process="constant", rate=6, seconds=10 + seconds + after, drain=5, max_in_flight=500,
        burst_rate=high, burst_at=10, burst_seconds=seconds,
    )  # fmt: skip
    case = case_of("burst", len(arrivals), 10 + seconds + after, 6, arrivals=arrivals_record)
    jobs = jobs_of("spike", "burst", arrivals, queue(arrivals), cut_off=cut_off)
    return evidence(made, run=run_of(made, "spike", [case]), jobs=jobs)


def test_a_spike_ends_when_its_backlog_is_processed(made: MadeRun) -> None:
    records = spiked(made, 30)
    (found,) = spikes(records, "spike")
    # 30 arrive and 20 leave per second for 10 s: then 100 wait, and the backlog shrinks by 14 per second.
    assert (found.before, found.after) == (60, 420)
    assert found.band == pytest.approx(0.4)
    assert found.peak == pytest.approx(0.4 + 100 / 20, abs=0.1)
    assert found.peak_backlog == pytest.approx(108, abs=2)
    assert found.recovery == pytest.approx(100 / 14, abs=0.5)
    value = spike_recovery(records, "spike")
    assert isinstance(value, RecordValue)
    assert (value.value, value.n) == (found.recovery, 1)  # one burst is one event, however many jobs came after it


def test_a_burst_within_capacity_needs_no_recovery(made: MadeRun) -> None:
    (found,) = spikes(spiked(made, 15), "spike")
    assert (found.recovery, found.peak) == (0.0, pytest.approx(0.4))


def test_a_spike_that_outlasts_the_case_has_no_recovery_time(made: MadeRun) -> None:
    records = spiked(made, 30, after=6)
    assert [each.recovery for each in spikes(records, "spike")] == [None]
    assert isinstance(spike_recovery(records, "spike"), NoData)


def test_the_peak_of_a_spike_whose_jobs_were_cut_off_is_a_lower_limit(made: MadeRun) -> None:
    (found,) = spikes(spiked(made, 40, after=5, cut_off=29.0), "spike")
    assert found.peak_at_least
    assert found.recovery is None


# ---- validity -----------------------------------------------------------------------------------------------------


def problems_of(records: Evidence) -> list[str]:
    return [problem for health in check(records, "performance") for problem in health.problems]


def test_a_generator_that_kept_up_is_valid(made: MadeRun) -> None:
    assert problems_of(single(made, *steady())) == []


def test_a_late_generator_makes_an_open_case_invalid(made: MadeRun) -> None:
    arrivals = even(10, 20)
    jobs = jobs_of("arrival_rate", "constant", arrivals, queue(arrivals), late=0.06)
    assert problems_of(single(made, steady()[0], jobs)) == [
        "arrival_rate / constant: jobs were sent up to 60 ms late (P99), more than 50 ms"
    ]


@pytest.mark.parametrize(("late", "valid"), [(1, True), (5, True), (6, False)])
def test_a_single_late_job_does_not_invalidate_a_case_but_many_do(
    made: MadeRun,
    late: int,
    valid: bool,  # noqa: FBT001 - a table of expectations
) -> None:
    # of 200 jobs, P99 is the third latest; its lower limit is the sixth: P(X <= 194) = 0.016, P(X <= 195) = 0.051
    case, jobs = steady()
    jobs[:late] = [msgspec.structs.replace(job, sent=job.due + 0.2) for job in jobs[:late]]
    assert (problems_of(single(made, case, jobs)) == []) is valid


def test_event_loop_lag_and_cpu_load_make_an_open_case_invalid(made: MadeRun) -> None:
    assert problems_of(single(made, *steady(loop_lag_p99=0.08, generator_cpu=0.85))) == [
        "arrival_rate / constant: the load generator used 0.85 of a core, more than 0.8",
        "arrival_rate / constant: the load generator's event loop lagged by up to 80 ms (P99), more than 50 ms",
    ]


def test_a_single_event_loop_delay_does_not_invalidate_a_case(made: MadeRun) -> None:
    assert problems_of(single(made, *steady(loop_lag_p99=0.08, loop_lag_p99_lower=0.05))) == []
    assert problems_of(single(made, *steady(loop_lag_p99=0.08, loop_lag_p99_lower=0.051))) == [
        "arrival_rate / constant: the load generator's event loop lagged by up to 80 ms (P99), more than 50 ms"
    ]


def test_unsent_jobs_make_an_open_case_invalid(made: MadeRun) -> None:
    case, jobs = steady()
    sentence = "arrival_rate / constant: the load generator sent 197 of the 200 jobs that were due, less than 99 %"
    assert (
        problems_of(single(made, case, jobs[:-3])) == []
    )  # a missing record is a doubt of the file, not of the generator
    late = START + 25.0
    unsent = [msgspec.structs.replace(job, outcome=Outcome.TIMEOUT, sent=late, done=late) for job in jobs[-3:]]
    assert sentence in problems_of(single(made, case, jobs[:-3] + unsent))
    assert problems_of(single(made, case, [*jobs[:-2], *unsent[1:]])) == []


def test_a_slow_service_does_not_make_the_run_invalid(made: MadeRun) -> None:
    case, jobs = steady()
    over = START + 25.0
    held = [  # the limit held half of the jobs until the cut-off; the others got no answer
        msgspec.structs.replace(job, outcome=Outcome.TIMEOUT, done=over)
        if job.index < 100
        else msgspec.structs.replace(job, outcome=Outcome.TIMEOUT, released=over, sent=over, done=over)
        for job in jobs
    ]
    records = single(made, case, held)
    assert problems_of(records) == []
    (found,) = open_cases(records)
    assert (len(found.cut_off), found.held, found.delivered) == (200, 100, 0.0)


def test_an_interrupted_run_may_have_unsent_jobs(made: MadeRun) -> None:
    case, jobs = steady()
    assert problems_of(single(made, case, jobs[:50], RunState.INTERRUPTED)) == []


# ---- verdicts and the report --------------------------------------------------------------------------------------


def with_objective(records: Evidence, limit: float) -> Evidence:
    scenario: ScenarioRecord = records.run.scenarios[0]
    changed = msgspec.structs.replace(scenario, objectives={"response_time_p95": limit})
    run = msgspec.structs.replace(records.run, scenarios=[changed])
    outcomes = Counter(job.outcome for job in records.jobs)
    answers = (
        measurement("response_time_p95", scenario.name, scenario.cases[0].name, value=0.41, n=190),
        *(measurement("client_jobs", scenario.name, member=o, value=float(n)) for o, n in outcomes.items()),
        measurement("service_jobs", scenario.name, member="completed", value=float(outcomes[Outcome.COMPLETED])),
    )
    whole = msgspec.structs.replace(records.measurements, measurements=answers)
    return replace(records, run=run, measurements=whole)


@pytest.mark.parametrize(
    ("cut_off", "waited", "status", "reason"),
    [
        (0, 0.0, Status.PASS, ""),
        (9, 1.0, Status.PASS, ""),  # fewer than 1 in 20: the percentile falls on a completed job
        (11, 1.0, Status.INCONCLUSIVE, "11 jobs cut off; with them it is ≥ 1.000 s"),
        (11, 3.0, Status.INCONCLUSIVE, f"{NOT_PROVEN}; 11 jobs cut off; with them it is ≥ 3.000 s"),
        (30, 3.0, Status.FAIL, "30 jobs cut off; with them it is ≥ 3.000 s"),
    ],
)
def test_cut_off_jobs_count_against_a_response_time_objective(
    made: MadeRun, cut_off: int, waited: float, status: Status, reason: str
) -> None:
    case, jobs = steady()
    jobs[:cut_off] = [
        msgspec.structs.replace(job, outcome=Outcome.TIMEOUT, done=job.due + waited) for job in jobs[:cut_off]
    ]
    (verdict,) = analyse(with_objective(single(made, case, jobs), 2.0), "performance").verdicts
    assert (verdict.status, verdict.reason) == (status, reason)


def test_the_interval_of_a_knee_is_not_called_a_confidence_interval(made: MadeRun) -> None:
    records = ramp(made, 6, 12, 18, 24)
    kept = Limits(lower=18.0, upper=24.0, method=METHOD)
    answer = msgspec.structs.replace(measurement("sustained_rate", "ramp", value=18.0, n=360), interval=kept)
    whole = msgspec.structs.replace(records.measurements, measurements=(answer,))
    found = analyse(replace(records, measurements=whole), "performance").verdicts
    (verdict,) = (verdict for verdict in found if verdict.sli.id == "sustained_rate")
    assert limits(verdict) == "18 jobs/s to 24 jobs/s (tested rates, not a CI)"


def shown(evidence: Evidence) -> Section:
    found = section(evidence)
    assert found is not None
    return found


def texts(found: Section) -> str:
    parts = []
    for block in found.blocks:
        if isinstance(block, Table):
            parts += [" | ".join(row) for row in block.rows]
        elif isinstance(block, Bullets):
            parts += block.items
    return "\n".join(parts)


def test_the_section_lists_cut_off_jobs_and_gives_percentiles_among_them_as_lower_limits(made: MadeRun) -> None:
    records = ramp(made, 12, 30, cut_off=24.0)
    text = texts(shown(records))
    # 30 arrive and 20 leave per second: of 600 jobs about 480 are done after 24 s
    (cut_off,) = (len(case.cut_off) for case in open_cases(records) if case.case == "r30")
    assert cut_off == pytest.approx(120, abs=10)
    assert f"ramp / r30 | 30 | constant | 600 | 600 | {600 - cut_off} | {cut_off} | 0 | " in text
    first = 600 - cut_off
    assert f"ramp / r30: {cut_off} jobs cut off; by index in the plan: {first}, {first + 1}, " in text
    (row,) = (line for line in text.splitlines() if line.startswith("ramp / r30 | 600 |"))
    assert [cell.startswith("≥ ") for cell in row.split(" | ")[2:]] == [True] * 4
    assert "**Knee: 12 jobs/s** is the highest rate that holds (n = 240). 30 jobs/s does not hold: " in text


def test_cut_off_jobs_keep_a_distribution_below_one(made: MadeRun) -> None:
    records = ramp(made, 30, cut_off=24.0)
    (chart,) = (b for b in section(records).blocks if isinstance(b, Chart))
    (case,) = open_cases(records)
    assert [series.name for series in chart.series] == ["response time (from intended start)"]
    assert all(series.ys[-1] == pytest.approx(1 - len(case.cut_off) / 600) for series in chart.series)
    assert f"{len(case.cut_off)} jobs were cut off" in chart.caption
    assert chart.series[0].xs[-1] == max(job.done - job.due for job in case.completed)


def test_service_times_are_drawn_where_jobs_waited_before_they_were_sent(made: MadeRun) -> None:
    records = ramp(made, 30)
    jobs = [msgspec.structs.replace(job, sent=min(job.due + 0.2, job.done)) for job in records.jobs]
    (chart,) = (b for b in section(dataclasses.replace(records, jobs=tuple(jobs))).blocks if isinstance(b, Chart))
    response, service = chart.series
    assert service.name == "service time (from sending)"
    assert response.xs[-1] - service.xs[-1] == pytest.approx(0.2, abs=0.01)


def test_open_and_closed_cases_have_separate_tables(made: MadeRun) -> None:
    records = ramp(made, 12, 30, cut_off=24.0)
    run = msgspec.structs.replace(records.run, scenarios=[*made.run.scenarios, *records.run.scenarios])
    both = evidence(made, run=run, jobs=[*made.jobs, *records.jobs])
    analysis = analyse(both, "performance")
    report = build_report(both, analysis, Dimension.PERFORMANCE)
    appendix = build_appendix(both, {Dimension.PERFORMANCE: analysis})
    rows = {
        part.title: [row[0] for block in part.blocks if isinstance(block, Table) for row in block.rows]
        for part in (*report.sections, *appendix.sections)
    }
    for title in ("Response time", "Throughput"):
        assert not [name for name in rows[title] if name.startswith("ramp")]
    # PromQL covers completed jobs only, so it is not shown for a case with cut-off jobs
    assert {name for name in rows["Performance: PromQL and exact values"] if name.startswith("ramp")} == {"ramp / r12"}
    assert {name for name in rows["Open-loop load"] if "/" in name} == {"ramp / r12", "ramp / r30"}
    workload = next(part for part in appendix.sections if part.title == "Performance: Workload")
    assert "open, constant 30 jobs/s for 20 s" in texts(workload)
    method = texts(next(part for part in appendix.sections if part.title == "Method"))
    assert "**Load model:** closed and open." in method
    assert "a percentile that falls among them is given as `≥ x`" in method


def test_cut_off_jobs_reconcile_with_cancelled_jobs_of_the_service(made: MadeRun) -> None:
    records = ramp(made, 30, cut_off=24.0)
    (case,) = open_cases(records)
    cut_off, done = len(case.cut_off), len(case.completed)
    counts = {("client_jobs", "completed"): done, ("client_jobs", "timeout"): cut_off}
    counts |= {("service_jobs", "completed"): done, ("service_jobs", "cancelled"): cut_off - 5}  # 5 were never sent
    answers = [measurement(sli, "ramp", member=member, value=float(value)) for (sli, member), value in counts.items()]
    both = evidence(made, run=records.run, jobs=records.jobs, measurements=answers)
    (found,) = analyse(both, "performance").reconciliations
    assert found.differences == ()
    wrong = [*answers[:3], measurement("service_jobs", "ramp", member="cancelled", value=float(cut_off + 1))]
    (found,) = analyse(
        evidence(made, run=records.run, jobs=records.jobs, measurements=wrong), "performance"
    ).reconciliations
    assert len(found.differences) == 2  # jobs cancelled, jobs in all


def test_a_case_without_jobs_has_no_figures(made: MadeRun) -> None:
    records = single(made, case_of("constant", 0, 20, 10), [])
    (found,) = open_cases(records)
    assert (found.response(0.95), found.success, found.delivered) == (None, None, 0.0)
    assert math.isclose(found.load.rate, 10)
    assert "arrival_rate / constant | 10 | constant | 0 | 0 | 0 | 0 | 0 | - | 0 | 0 | -" in texts(shown(records))


def test_the_figure_of_a_spike_shades_the_burst_and_has_no_lines(made: MadeRun) -> None:
    records = spiked(made, 30)
    (found,) = spikes(records, "spike")
    drawn = [b for b in section(records).blocks if isinstance(b, Chart)]
    (chart,) = (chart for chart in drawn if chart.name == "spike_course")
    assert (chart.kind, chart.span) == ("scatter", ("burst", found.begin, found.end))
    (axes,) = figure(chart).axes
    (shade,) = axes.patches
    assert (shade.get_x(), shade.get_width()) == (found.begin, found.end - found.begin)  # type: ignore[attr-defined]
    assert axes.get_ylim()[0] == 0

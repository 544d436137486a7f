"""The steady part of a closed loop, on made loops whose numbers are known."""

from __future__ import annotations

import heapq
import random

import msgspec
import pytest

from reelbench.loadgen.record.jobs import Outcome
from reelbench.loadgen.record.run import FaultRecord
from reelbench.reporting.analysis.certainty import Certainty
from reelbench.reporting.analysis.estimates import request_rate, throughput
from reelbench.reporting.analysis.load_levels import levels
from reelbench.reporting.analysis.standstills import standstills
from reelbench.reporting.analysis.verdicts import analyse
from reelbench.reporting.evidence.stretch import Basis
from reelbench.reporting.statistics.steady_part import NoSteadyPart, SteadyPart, steady_part
from tests.reporting.evidence_of import evidence, measurement, only
from tests.reporting.made_run import START, MadeRun

Job = tuple[float, float]
CASE = ("throughput", "n50")


def one_worker(users: int, count: int) -> list[Job]:
    """A service that makes one video a second, in the order of the requests."""
    dues, jobs = [0.0] * users, []
    for number in range(count):
        due = heapq.heappop(dues)
        jobs.append((due, number + 1.0))
        heapq.heappush(dues, number + 1.0)
    return jobs


def waves(users: int, rounds: int) -> list[Job]:
    """All jobs of a round end together, a second after they began."""
    return [(float(n), n + 1.0) for n in range(rounds) for _ in range(users)]


def queue(users: int, workers: int, count: int, rng: random.Random) -> list[Job]:
    """Workers with a common queue; a job takes 0.7 s, with a standard deviation of 0.2 s."""
    free, idle, jobs = [0.0] * users, [0.0] * workers, []
    for _ in range(count):
        due = heapq.heappop(free)
        done = max(due, heapq.heappop(idle)) + max(0.1, rng.gauss(0.7, 0.2))
        heapq.heappush(idle, done)
        heapq.heappush(free, done)
        jobs.append((due, done))
    return jobs


def test_one_worker_computed_by_hand() -> None:
    # Each of 4 users has completed its first job at 4; the 40th job is due at 36, and at 37 a user finds no job left.
    found = steady_part(one_worker(4, 40), 4)
    assert isinstance(found, SteadyPart)
    assert (found.started, found.ended, found.jobs) == (4.5, 36.5, 32)
    assert found.jobs / found.seconds == 1.0


def test_waves_count_whole_rounds() -> None:
    found = steady_part(waves(10, 6), 10)
    assert isinstance(found, SteadyPart)
    assert (found.started, found.ended, found.jobs) == (1.5, 5.5, 40)
    assert found.jobs / found.seconds == 10.0  # limits at the ends themselves would give 8 or 13.3


def test_a_burst_and_a_drain_are_left_out() -> None:
    """Ramp-up of 3 s and a last job of 100 s change the whole case and not its steady part."""
    steady = [(3.0 + due, 3.0 + done) for due, done in one_worker(4, 60) if due]
    jobs = [*((0.0, 3.0 + n) for n in range(1, 5)), *steady[:-1], (steady[-1][0], 200.0)]
    found = steady_part(jobs, 4)
    assert isinstance(found, SteadyPart)
    assert found.jobs / found.seconds == 1.0
    assert len(jobs) / 200.0 == pytest.approx(0.3)


@pytest.mark.parametrize(("users", "count"), [(50, 100), (50, 50), (50, 120), (8, 8), (2, 8), (4, 27), (0, 10), (5, 0)])
def test_too_few_jobs_have_no_steady_part(users: int, count: int) -> None:
    assert steady_part(one_worker(users or 1, count), users) == NoSteadyPart(held_up=0)


def frozen(jobs: list[Job], at: float, seconds: float) -> list[Job]:
    """A loop whose service stands still for some seconds."""
    return [(due + seconds * (due > at), done + seconds * (done > at)) for due, done in jobs]


@pytest.mark.parametrize("at", [0.5, 3.5, 38.5], ids=["at the start", "before the part", "in the drain"])
def test_a_standstill_outside_the_steady_part_leaves_none(at: float) -> None:
    jobs = one_worker(4, 40)  # in the part a job takes 4 s
    assert isinstance(steady_part(frozen(jobs, at, 3.9), 4), SteadyPart)
    found = steady_part(frozen(jobs, at, 9.0), 4)
    assert isinstance(found, NoSteadyPart)
    assert (found.held_up >= 2, found.longest) == (True, 4.0)


def test_a_standstill_within_the_steady_part_is_in_its_rate() -> None:
    found = steady_part(frozen(one_worker(4, 40), 20.5, 32.0), 4)
    assert isinstance(found, SteadyPart)
    assert found.jobs / found.seconds == 0.5


def test_one_late_job_is_no_standstill() -> None:
    jobs = one_worker(4, 40)
    jobs[-1] = (jobs[-1][0], 500.0)
    assert isinstance(steady_part(jobs, 4), SteadyPart)


def test_20_jobs_are_enough_where_there_are_fewer_users() -> None:
    found = steady_part(one_worker(4, 28), 4)
    assert isinstance(found, SteadyPart)
    assert found.jobs == 20


def test_the_steady_part_has_less_bias_than_the_whole_case() -> None:
    """16 workers complete 16 / 0.7 = 22.86 jobs/s; 200 jobs with 50 in flight, as in the profile quick."""
    whole, steady = [], []
    for seed in range(60):
        jobs = queue(50, 16, 200, random.Random(seed))
        found = steady_part(jobs, 50)
        assert isinstance(found, SteadyPart)
        whole.append(len(jobs) / max(done for _, done in jobs))
        steady.append(found.jobs / found.seconds)
    assert sum(whole) / 60 == pytest.approx(0.944 * 16 / 0.7, rel=0.01)
    assert sum(steady) / 60 == pytest.approx(16 / 0.7, rel=0.012)


def short(made: MadeRun, jobs: int) -> MadeRun:
    """The throughput case with its first jobs only; its length is theirs."""
    kept = [j for j in made.jobs if (j.scenario, j.case) == CASE and not j.warmup]
    kept = sorted(kept, key=lambda job: job.due)[:jobs]
    run = only(made.run, "throughput")
    case = msgspec.structs.replace(run.scenarios[0].cases[0], planned=jobs, ended=max(job.done for job in kept))
    run = msgspec.structs.replace(run, scenarios=[msgspec.structs.replace(run.scenarios[0], cases=[case])])
    requests = [r for r in made.requests if (r.scenario, r.case) == CASE]
    return MadeRun(run, kept, requests, made.series, made.instant)


def paced(made: MadeRun, seconds: float) -> MadeRun:
    """250 jobs of a service that completes one in so many seconds, with 50 in flight."""
    known = short(made, 250)
    times = [(START + due * seconds, START + done * seconds) for due, done in one_worker(50, 250)]
    jobs = [
        msgspec.structs.replace(job, due=due, sent=due, done=done, outcome=Outcome.COMPLETED)
        for job, (due, done) in zip(known.jobs, times, strict=True)
    ]
    case = msgspec.structs.replace(known.run.scenarios[0].cases[0], started=START, ended=times[-1][1])
    scenario = msgspec.structs.replace(known.run.scenarios[0], cases=[case])
    return MadeRun(msgspec.structs.replace(known.run, scenarios=[scenario]), jobs, [], known.series, known.instant)


def test_throughput_and_times_are_those_of_the_steady_part(made: MadeRun) -> None:
    known = evidence(paced(made, 0.08))
    found = throughput(known, *CASE)
    assert found is not None
    assert (found.value, found.n) == (pytest.approx(12.5), 150)
    assert found.remark == "steady part: 150 of 250 jobs"
    assert found.query == "completed measured jobs that ended in the steady part / length of the steady part"
    (level,) = levels(known)
    assert level.basis is Basis.STEADY
    assert level.times is not None
    assert (level.times.n, level.times.minimum, level.times.maximum) == (150, pytest.approx(4.0), pytest.approx(4.0))
    assert level.throughput == found.value
    assert min(known.whole_times(*CASE)) == pytest.approx(0.08)  # the first job of the burst


def test_a_service_that_stands_still_before_the_steady_part_has_its_whole_case(made: MadeRun) -> None:
    """12.5 jobs/s, but for a standstill of 10 s after the first job: all 250 jobs took 30 s."""
    known = paced(made, 0.08)
    times = frozen([(job.due - START, job.done - START) for job in known.jobs], 0.1, 10.0)
    jobs = [
        msgspec.structs.replace(job, due=START + due, sent=START + due, done=START + done)
        for job, (due, done) in zip(known.jobs, times, strict=True)
    ]
    case = msgspec.structs.replace(known.run.scenarios[0].cases[0], ended=START + 30.0)
    scenario = msgspec.structs.replace(known.run.scenarios[0], cases=[case])
    run = msgspec.structs.replace(known.run, scenarios=[scenario])
    still = evidence(MadeRun(run, jobs, [], known.series, known.instant))
    found = throughput(still, *CASE)
    assert found is not None
    assert (found.value, found.n) == (pytest.approx(250 / 30), 250)
    (note,) = standstills(still)
    assert note.startswith("throughput / n50: jobs at the start or at the end were held up (50 of them took more than ")
    assert note.endswith("; all its jobs count")
    assert standstills(evidence(known)) == ()
    assert found.remark == (
        "no steady part, as jobs at the start or at the end were held up (50 of them took more than 2 x the longest "
        "between them, 4 s): all 250 jobs"
    )


def test_requests_are_counted_in_the_same_part(made: MadeRun) -> None:
    known = evidence(short(made, 400))
    part = known.stretch(*CASE)
    found = request_rate(known, *CASE)
    assert found is not None
    assert part.seconds is not None
    ends = [r.sent + r.duration for r in made.requests if (r.scenario, r.case, r.warmup) == (*CASE, False)]
    assert found.n == len(part.within(ends)) < len(ends)
    assert found.value == pytest.approx(found.n / part.seconds)


@pytest.mark.parametrize(
    ("seconds", "certainty"),
    [
        (0.08, Certainty.HOLDS_PROVEN),  # 12.5 jobs/s, objective 10
        (0.12, Certainty.VIOLATED_PROVEN),  # 8.33 jobs/s
    ],
)
def test_the_verdict_is_on_the_steady_part(made: MadeRun, seconds: float, certainty: Certainty) -> None:
    (verdict,) = analyse(
        evidence(paced(made, seconds), measurements=[measurement("throughput", *CASE, value=99.0)]), "performance"
    ).verdicts
    assert verdict.value == pytest.approx(1 / seconds)
    assert (verdict.certainty, verdict.n) == (certainty, 150)


def test_without_a_steady_part_all_jobs_count_and_a_violation_is_not_proven(made: MadeRun) -> None:
    known = evidence(short(made, 100))
    found = throughput(known, *CASE)
    assert found is not None
    seconds = known.stretch(*CASE).seconds
    completed = len(known.whole_times(*CASE))
    assert seconds is not None
    assert found.value == pytest.approx(completed / seconds)
    assert found.interval.lower is not None
    assert found.interval.upper is None
    assert found.remark == "no steady part: all 100 jobs, with the burst at the start and the drain at the end"
    (level,) = levels(known)
    assert level.basis is Basis.NO_STEADY_PART
    assert level.times is not None
    assert (level.times.n, level.times.average_interval.upper) == (completed, None)


def test_paced_single_and_faulty_cases_and_other_dimensions_are_whole(made: MadeRun) -> None:
    run = only(made.run, "throughput")
    (scenario,) = run.scenarios
    (case,) = scenario.cases

    def basis(**changes: object) -> Basis:
        cases = [msgspec.structs.replace(case, **changes)]
        changed = msgspec.structs.replace(run, scenarios=[msgspec.structs.replace(scenario, cases=cases)])
        return evidence(made, run=changed).stretch(*CASE).basis

    assert basis() is Basis.STEADY
    assert basis(pace=0.5) is Basis.WHOLE
    assert basis(concurrency=1) is Basis.WHOLE
    fault = FaultRecord(
        scenario=CASE[0], case=CASE[1], target="llm", kind="outage", rate=1.0, status=None, seconds=None,
        started=START, ended=START + 1, seen=None, hit=None,
    )  # fmt: skip
    faulty = msgspec.structs.replace(run, faults=[fault])
    assert evidence(made, run=faulty).stretch(*CASE).basis is Basis.WHOLE
    other = msgspec.structs.replace(run, scenarios=[msgspec.structs.replace(scenario, dimension="resources")])
    assert evidence(made, run=other).stretch(*CASE).basis is Basis.WHOLE

from __future__ import annotations

from statistics import median

import msgspec

from reelbench.loadgen.record.jobs import JobRecord, Outcome
from reelbench.reporting.evidence.trace_sampling import failed, level_sample, slowest, wanted
from tests.reporting.evidence_of import evidence
from tests.reporting.made_run import MadeRun


def test_a_sample_of_a_level_is_seeded_and_without_replacement(made: MadeRun) -> None:
    known = evidence(made)
    sample = level_sample(known, "concurrent_load", "n20", 30)
    assert len({job.index for job in sample}) == 30
    assert all(job.outcome is Outcome.COMPLETED and not job.warmup for job in sample)
    assert level_sample(evidence(made), "concurrent_load", "n20", 30) == sample
    other = evidence(made, run=msgspec.structs.replace(made.run, seed=2))
    assert level_sample(other, "concurrent_load", "n20", 30) != sample
    assert len(level_sample(known, "concurrent_load", "n20", 500)) == 156  # of 200: those of the steady part


def test_the_slowest_jobs_are_compared_with_the_median_of_their_own_case(made: MadeRun) -> None:
    cases: dict[tuple[str, str], list[JobRecord]] = {}
    for job in made.jobs:
        if job.outcome is Outcome.COMPLETED and not job.warmup:
            cases.setdefault((job.scenario, job.case), []).append(job)
    ratios = {
        place: max(job.done - job.due for job in jobs) / median(job.done - job.due for job in jobs)
        for place, jobs in cases.items()
    }
    found = slowest(evidence(made), "performance")
    assert [(job.scenario, job.case) for job in found] == sorted(ratios, key=lambda place: -ratios[place])[:3]
    assert all(job == max(cases[job.scenario, job.case], key=lambda one: one.done - one.due) for job in found)
    assert ("throughput", "n50") not in {(job.scenario, job.case) for job in found}  # not always the heaviest load
    assert slowest(evidence(made), "reliability") == ()


def test_one_failed_job_of_each_kind_comes_first(made: MadeRun) -> None:
    bad = [job for job in made.jobs if job.outcome is Outcome.FAILED]
    late = msgspec.structs.replace(bad[3], outcome=Outcome.TIMEOUT, error="not finished after 9 s")
    jobs = [late if job is bad[3] else job for job in made.jobs]
    found = failed(evidence(made, jobs=jobs), "performance")
    assert [(job.scenario, job.index) for job in found] == [
        ("concurrent_load", 50),
        ("concurrent_load", 350),
        ("throughput", 50),
        ("concurrent_load", 150),
        ("concurrent_load", 250),
        ("throughput", 150),
        ("throughput", 250),
        ("throughput", 350),
    ]
    assert found[1] == late


def test_cancelled_and_aborted_jobs_are_not_failed_jobs(made: MadeRun) -> None:
    ends = iter([Outcome.CANCELLED, Outcome.ABORTED, *[Outcome.COMPLETED] * 6])
    jobs = [
        msgspec.structs.replace(job, outcome=next(ends)) if job.outcome is Outcome.FAILED else job for job in made.jobs
    ]
    assert failed(evidence(made, jobs=jobs), "performance") == ()


def test_traces_of_samples_and_single_jobs_are_fetched(made: MadeRun) -> None:
    known = evidence(made)
    some = wanted(known, 10)
    places = {job.trace_id: (job.scenario, job.case) for job in made.jobs}
    counts = [
        sum(1 for trace in some if places[trace] == place)
        for place in {(s.name, c.name) for s in made.run.scenarios for c in s.cases}
    ]
    assert all(10 <= count <= 10 + 3 + 5 for count in counts)
    assert sum(counts) <= 9 * 10 + 3 + 5
    assert {job.trace_id for job in slowest(known, "performance")} <= some
    assert {job.trace_id for job in failed(known, "performance")[:5]} <= some
    assert not {job.trace_id for job in made.jobs if job.warmup} & some

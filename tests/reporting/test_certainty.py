"""What a sample proves: a proven violation is FAIL at any n, another one is never tolerated, PASS says how sure."""

from __future__ import annotations

import math
import random
import xml.etree.ElementTree as ET
from collections import Counter

import msgspec
import pytest

from reelbench.loadgen.record.jobs import Outcome
from reelbench.reporting.analysis.certainty import Certainty, certainty
from reelbench.reporting.analysis.estimates import Estimate
from reelbench.reporting.analysis.verdicts import NOT_PROVEN, Analysis, Status, analyse
from reelbench.reporting.catalogue.sli import Objective
from reelbench.reporting.evidence.evidence import Evidence
from reelbench.reporting.evidence.limits import Limits
from reelbench.reporting.export import judge
from reelbench.reporting.render import junit
from reelbench.reporting.results.outcome import RunResult, results
from reelbench.reporting.sections.verdict import verdict
from reelbench.reporting.statistics.batch_means import rate_interval
from reelbench.reporting.statistics.intervals import Interval, exact_proportion
from tests.reporting.evidence_of import NAME, ended, evidence, measurement, only, profiled
from tests.reporting.made_run import MadeRun


def found_in(records: Evidence) -> Analysis:
    return analyse(records, "performance")


@pytest.mark.parametrize(
    ("good", "bad", "expected"),
    [
        (0, 8, (Status.FAIL, Certainty.VIOLATED_PROVEN, 1)),  # the sample that passed in quick
        (4, 1, (Status.INCONCLUSIVE, Certainty.VIOLATED, 3)),
        (8, 0, (Status.INCONCLUSIVE, Certainty.HOLDS, 0)),
        (19, 1, (Status.PASS, Certainty.HOLDS, 0)),
        (72, 0, (Status.PASS, Certainty.HOLDS_PROVEN, 0)),
        (50, 50, (Status.FAIL, Certainty.VIOLATED_PROVEN, 1)),
    ],
)
def test_quick_excuses_only_a_small_sample_of_a_value_that_holds(
    made: MadeRun, good: int, bad: int, expected: tuple[Status, Certainty, int]
) -> None:
    found = found_in(ended(made, "quick", (good, Outcome.COMPLETED), (bad, Outcome.FAILED)))
    (judged,) = found.verdicts
    assert (judged.status, judged.certainty, found.exit_code) == expected


@pytest.mark.parametrize("profile", ["quick", "standard", "paper"])
def test_what_is_violated_without_a_proof_is_inconclusive_in_every_profile(made: MadeRun, profile: str) -> None:
    found = found_in(ended(made, profile, (93, Outcome.COMPLETED), (7, Outcome.FAILED)))
    (judged,) = found.verdicts
    assert (judged.status, judged.reason, judged.too_few) == (Status.INCONCLUSIVE, NOT_PROVEN, False)
    assert (found.status, found.exit_code) == (Status.INCONCLUSIVE, 3)


@pytest.mark.parametrize(
    ("profile", "good", "status"),
    [
        ("standard", 50, Status.PASS),
        ("paper", 50, Status.INCONCLUSIVE),
        ("paper", 72, Status.PASS),  # 0.95 ** 72 is below 2.5 %
        ("paper", 71, Status.INCONCLUSIVE),
    ],
)
def test_paper_demands_a_proof(made: MadeRun, profile: str, good: int, status: Status) -> None:
    (judged,) = found_in(ended(made, profile, (good, Outcome.COMPLETED))).verdicts
    assert judged.status is status
    assert judged.reason == (NOT_PROVEN if status is Status.INCONCLUSIVE else "")


def test_a_leak_that_nine_samples_prove_fails_in_quick(resources: MadeRun) -> None:
    limits = Limits(lower=971.3e6, upper=1.6e9, method="Theil and Sen")
    leak = measurement("memory_leaked", "memory_leak", value=971.3e6, n=9)
    leak = msgspec.structs.replace(leak, interval=limits, source="records")
    jobs = [job for job in resources.jobs if job.scenario == "memory_leak"]
    counts = [
        measurement(sli, "memory_leak", member="completed", value=sum(1 for job in jobs if not job.warmup))
        for sli in ("client_jobs", "service_jobs")
    ]
    run = profiled(resources, "quick", "memory_leak")
    found = analyse(evidence(resources, run=run, measurements=[*counts, leak]), "resources")
    assert [(v.status, v.certainty, v.n) for v in found.verdicts] == [(Status.FAIL, Certainty.VIOLATED_PROVEN, 9)]
    assert (found.status, found.exit_code) == (Status.FAIL, 1)
    fine = msgspec.structs.replace(leak, value=0.0, interval=Limits(lower=0.0, upper=4e6, method="Theil and Sen"))
    found = analyse(evidence(resources, run=run, measurements=[*counts, fine]), "resources")
    assert [(v.status, v.too_few) for v in found.verdicts] == [(Status.INCONCLUSIVE, True)]
    assert (found.status, found.exit_code) == (Status.INCONCLUSIVE, 0)


AT_MOST, AT_LEAST = Objective(value=2.0, direction="at_most"), Objective(value=0.95, direction="at_least")


@pytest.mark.parametrize(
    ("objective", "value", "interval", "known"),
    [
        (AT_MOST, 1.0, Interval(0.5, 1.9), Certainty.HOLDS_PROVEN),
        (AT_MOST, 1.0, Interval(0.5, 2.0), Certainty.HOLDS_PROVEN),
        (AT_MOST, 1.0, Interval(0.5, 2.1), Certainty.HOLDS),
        (AT_MOST, 1.0, Interval(0.5, None), Certainty.HOLDS),
        (AT_MOST, 2.1, Interval(1.9, 2.2), Certainty.VIOLATED),
        (AT_MOST, 2.1, Interval(2.0, 2.2), Certainty.VIOLATED),
        (AT_MOST, 2.1, Interval(2.05, None), Certainty.VIOLATED_PROVEN),
        (AT_LEAST, 1.0, Interval(0.96, 1.0), Certainty.HOLDS_PROVEN),
        (AT_LEAST, 1.0, Interval(0.9, 1.0), Certainty.HOLDS),
        (AT_LEAST, 0.9, Interval(0.8, 0.96), Certainty.VIOLATED),
        (AT_LEAST, 0.9, Interval(0.8, 0.94), Certainty.VIOLATED_PROVEN),
    ],
)
def test_the_four_words(objective: Objective, value: float, interval: Interval, known: Certainty) -> None:
    assert certainty(Estimate(value, 100, interval, "made"), objective, 20) is known


def test_a_sample_below_its_minimum_proves_no_objective_but_a_violation() -> None:
    inside, beyond = Estimate(1.0, 9, Interval(0.5, 1.5), "made"), Estimate(3.0, 9, Interval(2.5, 4.0), "made")
    assert certainty(inside, AT_MOST, 20) is Certainty.HOLDS
    assert certainty(beyond, AT_MOST, 20) is Certainty.VIOLATED_PROVEN


def test_a_value_fixed_by_design_is_judged_without_an_interval(resources: MadeRun) -> None:
    run = profiled(resources, "quick", "cache_efficiency")
    jobs = [job for job in resources.jobs if job.scenario == "cache_efficiency"]
    counts = [
        measurement(sli, "cache_efficiency", member="completed", value=sum(1 for job in jobs if not job.warmup))
        for sli in ("client_jobs", "service_jobs")
    ]
    rate = measurement("cache_hit_rate", "cache_efficiency", value=0.75, n=220)
    records = evidence(resources, run=run, measurements=[*counts, rate])
    (judged,) = analyse(records, "resources").verdicts
    assert (judged.status, judged.certainty) == (Status.PASS, Certainty.HOLDS_PROVEN)
    assert judged.estimate.exact == "fixed by design: the plan fixes which prompts are known"
    assert judged.estimate.method == ""


def test_zero_losses_hold_without_a_proof_also_in_paper(outages: MadeRun) -> None:
    lost = msgspec.structs.replace(measurement("jobs_lost", "normal_operation", value=0.0, n=100), source="records")
    one = msgspec.structs.replace(lost, value=1.0)
    run = profiled(outages, "paper", "normal_operation")
    ends = Counter(job.outcome for job in outages.jobs if job.scenario == "normal_operation" and not job.warmup)
    counts = [
        measurement(sli, "normal_operation", member=end, value=number)
        for sli in ("client_jobs", "service_jobs")
        for end, number in ends.items()
    ]
    for m, status, known in (
        (lost, Status.PASS, Certainty.HOLDS),
        (one, Status.FAIL, Certainty.VIOLATED_PROVEN),
    ):
        found = analyse(evidence(outages, run=run, measurements=[*counts, m]), "reliability")
        assert [(v.status, v.certainty) for v in found.verdicts if v.sli.id == "jobs_lost"] == [(status, known)]


def test_a_false_alarm_of_a_small_sample_is_rarer_than_one_in_forty() -> None:
    """Of a service that meets the objective exactly, no sample size is FAIL more often than 2.5 %."""
    for n in (1, 2, 3, 5, 8, 20, 50, 100, 400):
        chance = 1.0
        probability = 0.0
        for k in range(n + 1):
            chance = _binomial(n, k, 0.95)
            share = exact_proportion(k, n)
            assert share is not None
            found = Estimate(share.value, n, Interval(share.lower, share.upper), "exact")
            if certainty(found, AT_LEAST, 20) is Certainty.VIOLATED_PROVEN:
                probability += chance
        assert probability <= 0.025


def _binomial(n: int, k: int, p: float) -> float:
    return math.comb(n, k) * p**k * (1 - p) ** (n - k)


# ---- the same words in every format -------------------------------------------------------------------------------


def published(records: Evidence) -> RunResult:
    return judge(records)


def test_head_results_and_junit_say_the_same(made: MadeRun) -> None:
    run = published(ended(made, "quick", (0, Outcome.COMPLETED), (8, Outcome.FAILED)))
    head = verdict(run.evidence, run.dimensions[0].analysis, "performance")
    (paragraph,) = [block.text for block in head.blocks if hasattr(block, "text")]
    assert "**Verdict: FAIL**" in paragraph
    assert "Objectives: 1 FAIL. By their 95 % intervals: violated, proven: 1." in paragraph
    data = results(run)
    (number,) = [n for n in data.numbers if n.verdict is not None]
    assert (number.verdict, number.certainty, number.tolerated) == (Status.FAIL, Certainty.VIOLATED_PROVEN, False)
    suite = ET.fromstring(junit.render(data)).find("testsuite")  # noqa: S314 - written by this test
    assert suite is not None
    (failure,) = suite.findall("testcase/failure")
    assert (failure.get("message") or "").startswith("FAIL, violated, proven: value 0 %, objective ≥ 95 %, n = 8")
    counted = {p.get("name"): p.get("value") for p in suite.findall("properties/property")}
    assert {name: counted[name] for name in map(str, Certainty)} == {
        "holds, proven": "0", "holds, not proven": "0", "violated, not proven": "0", "violated, proven": "1",
    }  # fmt: skip


# ---- latency of successes ------------------------------------------------------------------------------------------


API = "api_latency"


def refused(made: MadeRun, operation: str, status: int, *, every: int = 1) -> Evidence:
    """The run of the API's operations with the answers of one operation changed."""
    changed = [
        msgspec.structs.replace(r, status=status) if r.operation == operation and r.index % every == 0 else r
        for r in made.requests
        if r.scenario == API
    ]
    asked = [measurement("api_latency_p95", API, member=op, value=0.032, n=20) for op in ("create", "delete")]
    only_api = msgspec.structs.replace(only(made.run, API), profile="quick")
    counts = [measurement(sli, API, member="completed", value=40) for sli in ("client_jobs", "service_jobs")]
    run = MadeRun(only_api, made.jobs, changed, made.series, made.instant)
    return evidence(run, run=only_api, measurements=[*counts, *asked])


@pytest.mark.parametrize(("operation", "status"), [("create", 400), ("delete", 405)])
def test_a_latency_of_refusals_is_no_data(made: MadeRun, operation: str, status: int) -> None:
    verdicts = {v.member: v for v in found_in(refused(made, operation, status)).verdicts}
    judged = verdicts.pop(operation)
    assert judged.status is Status.NO_DATA
    assert judged.reason == (f"40 of 40 {operation} requests failed (40 with {status}): no latency of a success")
    assert [v.status for v in verdicts.values()] == [Status.PASS]


def test_a_latency_counts_successes_and_says_how_many_failed(made: MadeRun) -> None:
    records = refused(made, "create", 500, every=4)
    (judged,) = [v for v in found_in(records).verdicts if v.member == "create"]
    good = [
        r.duration
        for r in made.requests
        if (r.scenario, r.operation) == (API, "create") and r.index % 4 and not r.warmup
    ]
    assert (judged.status, judged.n) == (Status.PASS, len(good))
    assert judged.reason == "10 of 40 create requests failed (10 with 500)"


def test_a_response_time_without_a_completed_job_is_no_data_with_the_count(made: MadeRun) -> None:
    gone = measurement("response_time_p95", NAME, "n01", value=None, n=0)
    found = found_in(ended(made, "quick", (8, Outcome.FAILED), more=[gone]))
    (judged,) = [v for v in found.verdicts if v.sli.id == "response_time_p95"]
    assert (judged.status, judged.reason) == (
        Status.NO_DATA, "8 of 8 jobs failed: no response time of a success",
    )  # fmt: skip


# ---- throughput ----------------------------------------------------------------------------------------------------


def test_the_interval_of_a_rate_covers_the_true_rate() -> None:
    rng = random.Random(1)
    held = 0
    for _ in range(400):
        at, events = 0.0, []
        while (at := at + rng.expovariate(12)) < 30:
            events.append(at)
        found = rate_interval(events, 0.0, 30.0)
        assert found.lower is not None
        assert found.upper is not None
        held += found.lower <= 12 <= found.upper
    assert 0.92 <= held / 400 <= 0.98


def test_few_events_give_a_rate_no_interval() -> None:
    assert rate_interval([1.0, 2.0, 3.0], 0.0, 4.0) == Interval(None, None)
    assert rate_interval([i / 10 for i in range(100)], 5.0, 5.0) == Interval(None, None)

from __future__ import annotations

import msgspec
import pytest

from reelbench.loadgen.record.jobs import JobRecord, Outcome
from reelbench.loadgen.record.run import StoreCount
from reelbench.reporting.analysis.reconciliation import Count, Reconciliation, reconcile
from reelbench.reporting.evidence.measurements import Measurement
from reelbench.reporting.evidence.traces import RootKey
from tests.reporting.evidence_of import evidence, measurement, only
from tests.reporting.made_run import RUN_ID, MadeRun

NAME = "component_speed"


def counted(**outcomes: int) -> list[Measurement]:
    """Counters by outcome; `s_` marks those of the service."""
    return [
        measurement(
            "service_jobs" if word.startswith("s_") else "client_jobs", NAME, "", word.removeprefix("s_"), value=n
        )
        for word, n in outcomes.items()
    ]


def jobs_with(made: MadeRun, outcome: Outcome, number: int, **changes: object) -> list[JobRecord]:
    """The scenario's jobs; the last `number` of them have another outcome."""
    jobs = [job for job in made.jobs if job.scenario == NAME]
    changed = [msgspec.structs.replace(job, outcome=outcome, **changes) for job in jobs[-number:]]
    return jobs[:-number] + changed


def one(made: MadeRun, **known: object) -> Reconciliation:
    return reconcile(evidence(made, run=only(made.run, NAME), **known), "performance")[0]  # type: ignore[arg-type]


def find(found: Reconciliation, source: str, what: str) -> Count:
    return next(c for c in found.counts if source in c.source and what in c.what)


def test_all_sources_agree(made: MadeRun) -> None:
    spans = {RootKey(RUN_ID, NAME, "n01", "completed"): 30, RootKey(RUN_ID, NAME, "n01", "completed", warmup=True): 2}
    found = one(made, measurements=counted(completed=30, s_completed=27, s_partial=3), spans=spans)
    assert found.differences == ()
    assert [(c.source.split(",")[0], c.low, c.found) for c in found.counts] == [
        ("store", 32, 32),
        ("Prometheus", 30, 30),
        ("Prometheus", 30, 30),
        ("Prometheus", 30, 30),
        ("traces", 30, 30),
    ]


@pytest.mark.parametrize(
    ("measurements", "sentence"),
    [
        (counted(completed=29, s_completed=30), "loadgen_jobs_total has 29 jobs completed, the client's log 30"),
        (
            counted(completed=30, s_completed=31),
            "video_jobs_total has 31 jobs completed or partial, the client's log 30",
        ),
        (counted(completed=30, s_completed=29, s_failed=1), "has 1 jobs failed, the client's log 0"),
        (counted(completed=30), "video_jobs_total has 0 jobs completed or partial, the client's log 30"),
        (counted(s_completed=30), "loadgen_jobs_total has 0 jobs completed, the client's log 30"),
    ],
)
def test_a_difference_is_printed(made: MadeRun, measurements: list[Measurement], sentence: str) -> None:
    assert any(sentence in line for line in one(made, measurements=measurements).differences)


def test_root_spans_of_another_run_do_not_count(made: MadeRun) -> None:
    spans = {RootKey("other", NAME, "n01", "completed"): 30}
    found = one(made, measurements=counted(completed=30, s_completed=30), spans=spans)
    assert found.differences == (f"{NAME}: traces, root spans has 0 jobs completed, the client's log 30",)


def test_a_target_without_telemetry_causes_no_difference(made: MadeRun) -> None:
    found = one(made, measurements=counted(completed=30), service=False)
    assert found.differences == ()
    service = find(found, "video_jobs_total", "jobs")
    assert (service.found, service.note) == (None, "not available: the server has no count by scenario")
    assert find(found, "traces", "jobs").note == "not available: the run kept no traces"


@pytest.mark.parametrize(("ended", "agrees"), [(27, False), (28, True), (30, True), (31, False)])
def test_jobs_with_unknown_end_may_have_any_outcome(made: MadeRun, ended: int, agrees: bool) -> None:  # noqa: FBT001 - a table of expectations
    jobs = jobs_with(made, Outcome.TIMEOUT, 2)
    found = one(made, jobs=jobs, measurements=counted(completed=28, timeout=2, s_completed=ended))
    assert find(found, "video_jobs_total", "completed or partial").expected == "28 to 30"
    assert (found.differences == ()) is agrees


def test_rejected_jobs_never_reached_the_service(made: MadeRun) -> None:
    jobs = jobs_with(made, Outcome.REJECTED, 3, accepted=None, job_id=None)
    run = only(made.run, NAME)
    store = StoreCount(expected=29, found=29, by_status={}, error=None)
    run = msgspec.structs.replace(run, scenarios=[msgspec.structs.replace(run.scenarios[0], store=store)])
    measurements = counted(completed=27, rejected=3, s_completed=27)
    found = reconcile(evidence(made, run=run, jobs=jobs, measurements=measurements), "performance")[0]
    assert found.differences == ()
    assert find(found, "video_jobs_total", "in all").expected == "27"


def test_a_store_that_could_not_be_read_says_why(made: MadeRun) -> None:
    run = only(made.run, NAME)
    store = StoreCount(expected=0, found=0, by_status={}, error="HTTP 404")
    run = msgspec.structs.replace(run, scenarios=[msgspec.structs.replace(run.scenarios[0], store=store)])
    found = reconcile(evidence(made, run=run, measurements=counted(completed=30, s_completed=30)), "performance")[0]
    assert (found.counts[0].found, found.counts[0].note) == (None, "not available: HTTP 404")
    assert found.differences == ()


@pytest.mark.parametrize(
    ("service", "sentence"),
    [
        ({"s_completed": 27, "s_cancelled": 3}, ""),
        ({"s_completed": 30}, "video_jobs_total has 0 jobs cancelled, the client's log 3"),
        ({"s_completed": 27, "s_failed": 3}, "video_jobs_total has 3 jobs failed, the client's log 0"),
    ],
)
def test_a_cancelled_job_is_cancelled_on_both_sides(made: MadeRun, service: dict[str, int], sentence: str) -> None:
    jobs = jobs_with(made, Outcome.CANCELLED, 3, deleted=True)
    run = only(made.run, NAME)
    store = StoreCount(expected=29, found=29, by_status={}, error=None)
    run = msgspec.structs.replace(run, scenarios=[msgspec.structs.replace(run.scenarios[0], store=store)])
    measurements = counted(completed=27, cancelled=3, **service)
    found = reconcile(evidence(made, run=run, jobs=jobs, measurements=measurements), "performance")[0]
    assert any(sentence in line for line in found.differences) if sentence else found.differences == ()

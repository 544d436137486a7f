"""A made run of the reliability scenarios with numbers set by hand, so every value of the report is known."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from reelbench.loadgen.record.jobs import CallRecord, JobRecord, Outcome
from reelbench.loadgen.record.run import (
    AuditRecord,
    CaseRecord,
    FaultRecord,
    RunState,
    ScenarioRecord,
    StoreCount,
    TransitionRecord,
)
from tests.data_helper import job as record
from tests.reporting import made_run
from tests.reporting.made_run import SETTLE, START, MadeRun, Series

RUN_ID = "made-0002"
GAP = 0.5
"""Seconds between the due times of jobs."""
BEGIN = {
    ("normal_operation", "n05"): START + 100,
    ("tts_failures", "n05"): START + 200,
    ("llm_outage", "n05"): START + 300,
    ("llm_outage", "n10"): START + 400,
    ("store_outage", "n05"): START + 500,
    ("partial_failures", "n05"): START + 600,
    ("job_cancellation", "n05"): START + 700,
    ("data_integrity", "n05"): START + 800,
}
ENDED = START + 900
AUDIT = AuditRecord(live=0, unsaved=0, orphans=0, missing=0, error=None)


def job(scenario: str, case: str, index: int, seconds: float, **changes: object) -> JobRecord:
    fields = {
        "scenario": scenario,
        "case": case,
        "job_id": f"{scenario}-{case}-{index}",
        "trace_id": made_run.trace_of(scenario, case, index),
    } | changes
    return record(index, due=BEGIN[scenario, case] + GAP * index, seconds=seconds, **fields)


def failed(scenario: str, case: str, index: int, seconds: float) -> JobRecord:
    return job(scenario, case, index, seconds, outcome=Outcome.FAILED, error="failed", bytes=0)


def jobs() -> list[JobRecord]:
    made = [job("normal_operation", "n05", i, 1 + i / 100) for i in range(39)]
    made.append(failed("normal_operation", "n05", 39, 1.0))
    made += [job("tts_failures", "n05", i, 1.5 + i / 100) for i in range(40)]
    for i in range(60):  # the outages of this case: 5 to 11.7 s and 20 to 24.8 s
        down = 10 <= i < 24 or 40 <= i < 50
        made.append(failed("llm_outage", "n05", i, 0.3) if down else job("llm_outage", "n05", i, 1.0))
    made += [(job if i < 10 else failed)("llm_outage", "n10", i, 1.0 if i < 10 else 0.3) for i in range(19)]
    for i in range(40):
        refused = {"outcome": Outcome.REJECTED, "accepted": None, "job_id": None, "error": "HTTP 503", "bytes": 0}
        made.append(job("store_outage", "n05", i, 1.0, **(refused if 10 <= i < 14 else {})))
    for i in range(40):
        if i < 38:
            checked = {"integrity": "ok", "files": 13, "scenes": 5, "scenes_completed": 5 if i < 30 else 4}
            made.append(job("partial_failures", "n05", i, 1.0, **checked))
        else:
            made.append(failed("partial_failures", "n05", i, 1.0))
    for i in range(20):
        asked = BEGIN["job_cancellation", "n05"] + GAP * i + 0.2
        ends: dict[str, object] = {"cancel_sent": asked, "done": asked + 0.01 * (i + 1), "deleted": True}
        if i < 18:
            ends |= {"outcome": Outcome.CANCELLED, "leftover": False, "error": "cancelled by the plan", "bytes": 0}
        made.append(job("job_cancellation", "n05", i, 1.0, **ends))
    made += [job("data_integrity", "n05", i, 1.0, integrity="ok", files=13) for i in range(50)]
    return made


def fault(scenario: str, target: str, kind: str, on: float, lifted: float, **changes: object) -> FaultRecord:
    case = str(changes.pop("case", "n05"))
    begin = BEGIN[scenario, case]
    record = FaultRecord(
        scenario=scenario,
        case=case,
        target=target,  # type: ignore[arg-type]
        kind=kind,
        rate=1.0,
        status=None,
        seconds=None,
        started=begin + on,
        ended=begin + lifted,
        seen=None,
        hit=None,
    )
    return msgspec.structs.replace(record, **changes)


FAULTS = [
    fault("tts_failures", "tts", "error", 0, 25, rate=0.3, status=503, seen=290, hit=87),
    fault("llm_outage", "llm", "outage", 5, 10, seen=12, hit=12),
    fault("llm_outage", "llm", "outage", 20, 24, seen=11, hit=11),
    fault("llm_outage", "llm", "outage", 5, 9, case="n10", seen=11, hit=11),
    fault("store_outage", "store", "outage", 5, 10, seen=80, hit=80),
    fault("partial_failures", "image", "error", 0, 22, rate=0.2, status=400, seen=200, hit=8),
]
"""The last one was hit far less often than planned."""

CHANGES = {
    "n05": [
        (5.4, "open"), (7.4, "half_open"), (7.5, "open"), (9.5, "half_open"), (9.6, "open"), (11.6, "half_open"),
        (11.7, "closed"), (20.6, "open"), (22.6, "half_open"), (22.7, "open"), (24.7, "half_open"), (24.8, "closed"),
    ],
    "n10": [(5.5, "open"), (7.5, "half_open"), (7.6, "open")],
}  # fmt: skip


def transitions() -> list[TransitionRecord]:
    made = []
    for case, changes in CHANGES.items():
        before = "closed"
        for at, after in changes:
            at_case = BEGIN["llm_outage", case] + at
            made.append(
                TransitionRecord(
                    scenario="llm_outage", case=case, provider="llm", at=at_case, before=before, after=after
                )
            )
            before = after
    return made


def call(case: str, sent: float | None, arrived: float, outcome: str) -> CallRecord:
    begin = BEGIN["llm_outage", case]
    return CallRecord(
        scenario="llm_outage",
        case=case,
        provider="llm",
        sent=None if sent is None else begin + sent,
        arrived=begin + arrived,
        outcome=outcome,
    )


def calls() -> list[CallRecord]:
    """Provider calls: one for each completed job, ten before each opening, one in flight, and the probes."""
    made = [
        call(j.case, at, at + 0.002, "ok")
        for j in jobs()
        if j.scenario == "llm_outage" and j.outcome is Outcome.COMPLETED
        for at in [j.due - BEGIN["llm_outage", j.case] + 0.02]
    ]
    for case, on in (("n05", 5.0), ("n05", 20.0), ("n10", 5.0)):
        made += [call(case, on + 0.03 * i, on + 0.03 * i + 0.002, "outage") for i in range(10)]
    made.append(call("n05", 5.35, 5.45, "outage"))  # in flight when the breaker opened at 5.4
    for case, at, outcome in (
        ("n05", 7.4, "outage"), ("n05", 9.5, "outage"), ("n05", 11.6, "ok"), ("n05", 22.6, "outage"),
        ("n05", 24.7, "ok"), ("n10", 7.5, "outage"),
    ):  # fmt: skip
        made.append(call(case, at + 0.001, at + 0.003, outcome))
    return sorted(made, key=lambda c: c.arrived)


def make(*, switches: dict[str, bool] | None = None) -> MadeRun:
    made = jobs()
    head = made_run.make().run
    scenarios = [_scenario(name, made) for name in dict.fromkeys(name for name, _ in BEGIN)]
    run = msgspec.structs.replace(
        head,
        run_id=RUN_ID,
        scenarios=scenarios,
        faults=list(FAULTS),
        transitions=transitions(),
        switches=switches or {"retries": True, "breaker": True},
        ended=ENDED,
    )
    return MadeRun(run, made, [], series(made), ENDED + SETTLE, calls())


def _scenario(name: str, made: Sequence[JobRecord]) -> ScenarioRecord:
    cases = [case for scenario, case in BEGIN if scenario == name]
    kept = sum(1 for j in made if j.scenario == name and j.accepted is not None and not j.deleted)
    return ScenarioRecord(
        name=name,
        dimension="reliability",
        title=name.replace("_", " "),
        why="why",
        steps=["create", "wait", "content"],
        state=RunState.COMPLETED,
        started=BEGIN[name, cases[0]] - 1,
        ended=BEGIN[name, cases[-1]] + 40,
        cases=[
            CaseRecord(
                name=case,
                model="closed",
                concurrency=int(case[1:]),
                planned=sum(1 for j in made if (j.scenario, j.case) == (name, case)),
                warmup=0,
                started=BEGIN[name, case],
                ended=max(j.done for j in made if (j.scenario, j.case) == (name, case)),
                generator_cpu=0.1,
                loop_lag_p99=0.001,
            )
            for case in cases
        ],
        objectives={},
        store=StoreCount(expected=kept, found=kept, by_status={"completed": kept}, error=None),
        audit=AUDIT,
    )


RETRIES = {
    ("normal_operation", "n05", "tts"): (200, 0, 0, 0, 200, 0.0),
    ("tts_failures", "n05", "llm"): (40, 0, 0, 0, 40, 0.0),
    ("tts_failures", "n05", "tts"): (140, 58, 0, 2, 290, 29.0),
    ("llm_outage", "n05", "llm"): (36, 0, 0, 24, 132, 12.0),
    ("llm_outage", "n10", "llm"): (10, 0, 0, 9, 46, 4.0),
    ("partial_failures", "n05", "image"): (182, 0, 8, 0, 190, 0.0),
}
"""Calls by their four ends, attempts, backoff."""
KINDS = ("successful_without_retry", "successful_with_retry", "failed_without_retry", "failed_with_retry")
REJECTED = {"n05": 45, "n10": 15}
"""Attempts that the breaker of the LLM rejected."""


def series(made: Sequence[JobRecord]) -> Series:
    series = Series(RUN_ID)
    for j in made:
        place = {"scenario": j.scenario, "case": j.case}
        series.add("loadgen_jobs_total", outcome=j.outcome, job="loadgen", **place)
        series.observe("loadgen_job_duration_seconds", j.done - j.due, outcome=j.outcome, job="loadgen", **place)
        if j.accepted is None:
            series.add("video_jobs_rejected_total", reason="store_unavailable", job="service", **place)
            continue
        series.add("video_jobs_accepted_total", job="service", **place)
        partial = j.scenes is not None and j.scenes_completed != j.scenes
        series.add("video_jobs_total", outcome="partial" if partial else j.outcome, job="service", **place)
        if j.outcome is Outcome.CANCELLED:
            series.observe("video_jobs_cancelled_duration_seconds", 0.005 * (j.index + 1), job="service", **place)
    _counters(series)
    return series


def _counters(series: Series) -> None:
    for (scenario, case, provider), (*ends, attempts, backoff) in RETRIES.items():
        labels = {"scenario": scenario, "case": case, "provider": provider, "job": "service"}
        for kind, number in zip(KINDS, ends, strict=True):
            if number:  # as in the service, a counter without increments has no series
                series.add("resilience_retry_calls_total", number, kind=kind, **labels)
        series.add("resilience_retry_attempts_total", attempts, **labels)
        if backoff:
            series.add("resilience_retry_backoff_seconds_total", backoff, **labels)
    for case, number in REJECTED.items():
        labels = {"scenario": "llm_outage", "case": case, "provider": "llm", "job": "service"}
        series.add("resilience_circuitbreaker_not_permitted_calls_total", number, **labels)
    for name in ("video_store_deferred_total", "video_store_written_back_total"):
        series.add(name, 12, scenario="store_outage", case="n05", job="service")
    for second in range(5, 20):  # states wait from 6 s to the scrape at 12 s, two seconds after the fault was lifted
        place = {"scenario": "store_outage", "case": "n05", "job": "service"}
        at = BEGIN["store_outage", "n05"] + second
        series.scrape("video_jobs_unsaved", 3.0 if 6 <= second <= 12 else 0.0, at, **place)

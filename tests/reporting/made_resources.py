"""A made run of the resources scenarios with numbers set by hand, so every value of the report is known."""

from __future__ import annotations

import msgspec

from reelbench.loadgen.record.jobs import CallRecord, JobRecord
from reelbench.loadgen.record.run import CaseRecord, RunState, ScenarioRecord, StoreCount
from tests.data_helper import job as record
from tests.reporting import made_run
from tests.reporting.made_run import SETTLE, START, MadeRun, Series

RUN_ID = "made-0003"
MB = 1e6
CASES = {
    # scenario, case: start, jobs, jobs in flight, response time, cores used by service and media workers above idle
    ("idle_baseline", "idle"): (10, 0, 0, 0.0, 0.0),
    ("single_job", "n01"): (30, 25, 1, 1.0, 0.4),
    ("resource_scaling", "n01"): (70, 20, 1, 1.0, 0.4),
    ("resource_scaling", "n10"): (100, 200, 10, 1.0, 1.2),
    ("memory_leak", "n01"): (140, 40, 1, 1.0, 0.4),
    ("cache_efficiency", "cold"): (200, 20, 5, 1.0, 0.4),
    ("cache_efficiency", "warm"): (210, 20, 5, 0.4, 0.4),
    ("cache_efficiency", "half_new"): (220, 20, 5, 0.7, 0.4),
    ("connection_pooling", "pooled"): (230, 20, 5, 1.0, 0.4),
    ("connection_pooling", "unpooled"): (240, 20, 5, 1.1, 0.4),
    ("network_bandwidth", "n05"): (250, 20, 5, 1.0, 0.4),
}
IDLE_LENGTH = 8.0
AT_REST = 0.02
"""Cores."""
REST = {"single_job", "resource_scaling", "memory_leak"}
LEAKED = 0.5 * MB
"""What each job of the leak scenario leaves behind."""
CALLS = {"llm": 1, "tts": 5, "image": 5}
SENT = {"llm": 16_000, "tts": 1_500, "image": 2_000, "store": 6_000}
RECEIVED = {"llm": 2_000, "tts": 80_000, "image": 12_000, "store": 500}
USAGE = {("llm", "input_tokens"): 4000, ("llm", "output_tokens"): 400, ("tts", "characters"): 1000}
KNOWN = {"cold": 0, "warm": 20, "half_new": 10}
SWITCHES = {
    "memory_leak": {"cache": False},
    "network_bandwidth": {"cache": False},
    "connection_pooling": {"cache": False, "pooling": True},
}


def ended(scenario: str, case: str) -> float:
    begins, jobs, slots, seconds, _ = CASES[scenario, case]
    return START + begins + (IDLE_LENGTH if not jobs else jobs / slots * seconds)


def job(scenario: str, case: str, index: int) -> JobRecord:
    begins, _, slots, seconds, _ = CASES[scenario, case]
    due = START + begins + index // slots * seconds
    # alternately slower and faster: gives a spread with the mean named above
    done = due + seconds + (0.01 if index % 2 else -0.01)
    place = {
        "scenario": scenario,
        "case": case,
        "job_id": f"{scenario}-{case}-{index}",
        "trace_id": made_run.trace_of(scenario, case, index),
    }
    return record(index, due=due, seconds=done - due, bytes=30_000, **place)


def memory(at: float) -> float:
    """Memory of the service's process: 100 MB, 12 MB more during the single jobs, and the leaked bytes."""
    begins, jobs, *_ = CASES["memory_leak", "n01"]
    leaked = min(max(at - START - begins, 0), jobs) * LEAKED
    busy = START + 32 <= at <= START + 50
    return 100 * MB + (12 * MB if busy else 0.0) + leaked


def cpu(at: float) -> float:
    """CPU seconds used by service and media workers together."""
    return AT_REST * (at - START) + sum(
        cores * min(max(at - START - begins, 0), ended(scenario, case) - START - begins)
        for (scenario, case), (begins, _, _, _, cores) in CASES.items()
    )


def make() -> MadeRun:
    jobs = [job(*place, index) for place, (_, count, *_) in CASES.items() for index in range(count)]
    scenarios = [_scenario(name) for name in dict.fromkeys(scenario for scenario, _ in CASES)]
    run = msgspec.structs.replace(
        made_run.make().run,
        run_id=RUN_ID,
        ended=START + 260,
        scenarios=scenarios,
        switches={"cache": True, "pooling": True, "retries": True},
    )
    return MadeRun(run, jobs, [], _series(jobs), START + 260 + SETTLE, _calls())


def _scenario(name: str) -> ScenarioRecord:
    cases = [
        CaseRecord(
            name=case,
            model="closed" if count else "idle",
            concurrency=slots,
            planned=count,
            warmup=0,
            started=START + begins,
            ended=ended(scenario, case),
            generator_cpu=0.05,
            loop_lag_p99=0.001,
            switches={**SWITCHES.get(name, {}), **({"pooling": False} if case == "unpooled" else {})},
            prompts={"warm": "repeated", "half_new": "half_new"}.get(case, "unique"),  # type: ignore[arg-type]
        )
        for (scenario, case), (begins, count, slots, _, _) in CASES.items()
        if scenario == name
    ]
    kept = sum(case.planned for case in cases)
    return ScenarioRecord(
        name=name,
        dimension="resources",
        title=name,
        why="why",
        steps=["create", "wait", "content"],
        state=RunState.COMPLETED,
        started=cases[0].started,
        ended=cases[-1].ended,
        cases=cases,
        objectives={},
        store=StoreCount(expected=kept, found=kept, by_status={"completed": kept}, error=None),
        rest=1.1 if name in REST else 0.0,
    )


def _series(jobs: list[JobRecord]) -> Series:
    series = Series(RUN_ID)
    for ended_job in jobs:
        _count(series, ended_job)
    for second in range(262):  # not at whole seconds, like real scrapes
        at = START + second + 0.5
        series.scrape("process_memory_usage_bytes", memory(at), at, job="service", instance="a")
        series.scrape("media_process_memory_usage_bytes", 50 * MB, at, job="service", instance="a")
        for kind, share in (("user", 0.5), ("system", 0.25)):
            series.scrape("process_cpu_time_seconds_total", cpu(at) * share, at, job="service", instance="a", type=kind)
        series.scrape("media_process_cpu_time_seconds_total", cpu(at) * 0.25, at, job="service", instance="a")
        series.scrape("process_open_file_descriptor_count", 30.0, at, job="service", instance="a")
        series.scrape("process_thread_count", 12.0, at, job="service", instance="a")
    series.scraped.sort(key=lambda line: line.split(" ")[0])
    return series


def _count(series: Series, record: JobRecord) -> None:
    place = {"scenario": record.scenario, "case": record.case}
    series.add("video_jobs_total", outcome="completed", job="service", **place)
    series.add("loadgen_jobs_total", outcome="completed", job="loadgen", **place)
    known = record.scenario == "cache_efficiency" and record.index < KNOWN[record.case]
    for cache, calls in zip(("script", "audio", "visual"), CALLS.values(), strict=True):
        result = "hit" if known else "miss"
        series.add("cache_requests_total", calls, cache=cache, result=result, job="service", **place)
        if known:
            series.add("cache_io_saved_bytes_total", 1000.0 * calls, cache=cache, job="service", **place)
            series.add("cache_time_saved_seconds_total", 0.2 * calls, cache=cache, job="service", **place)
    for direction, sizes in (("sent", SENT), ("received", RECEIVED)):
        for dependency, size in sizes.items():
            if not known or dependency == "store":
                labels = {"dependency": dependency, "direction": direction, "job": "service"}
                series.add("dependency_io_bytes_total", size, **labels, **place)
    if not known:
        _call(series, record, place)


def _call(series: Series, record: JobRecord, place: dict[str, str]) -> None:
    for (provider, kind), count in USAGE.items():
        series.add("video_usage_total", count, provider=provider, kind=kind, job="service", **place)
    series.add("video_usage_total", 5, provider="image", kind="images", job="service", **place)
    series.add("video_usage_total", 777, provider="image", kind="input_tokens", job="service", **place)
    for provider, calls in CALLS.items():
        kind = "opened" if record.case == "unpooled" else "reused"
        series.add(f"http_client_connections_{kind}_total", calls, provider=provider, job="service", **place)
        series.add("resilience_retry_calls_total", calls, provider=provider, kind="x", job="service", **place)
        again = 1 if record.scenario == "single_job" and record.index < 5 and provider == "tts" else 0
        series.add("resilience_retry_attempts_total", calls + again, provider=provider, job="service", **place)


def _calls() -> list[CallRecord]:
    calls = []
    for (scenario, case), (begins, count, *_) in CASES.items():
        for index in range(KNOWN.get(case, 0), count):
            for provider, number in CALLS.items():
                for call in range(number):
                    shared = f"10.0.0.1:{call}" if case != "unpooled" else f"10.0.0.1:{index * 10 + call}"
                    at = START + begins + 0.01
                    calls.append(
                        CallRecord(
                            scenario=scenario,
                            case=case,
                            provider=provider,
                            sent=at,
                            arrived=at,
                            outcome="ok",
                            connection=shared,
                        )
                    )
    return calls

"""The catalogue's queries, evaluated by a real Prometheus with a run of known values."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from reelbench.loadgen.record.jobs import Outcome
from reelbench.reporting.catalogue.sli_file import load
from reelbench.reporting.evidence.measurements import Measurement
from reelbench.reporting.evidence.prometheus import Prometheus, QueryError, connect
from reelbench.reporting.evidence.queries import collect, questions
from tests.reporting.made_run import CASES, RUN_ID, START, MadeRun

Found = dict[tuple[str, str, str, str], Measurement]


@pytest.fixture(scope="module")
def client(prometheus_url: str) -> Iterator[Prometheus]:
    client = connect(prometheus_url)
    yield client
    client.close()


@pytest.fixture(scope="module")
def found(made: MadeRun, client: Prometheus) -> Found:
    window = f"{made.instant - START + 1:.0f}s"
    asked = questions(load(), made.run, window)
    measurements = collect(asked, made.run, client, instant=made.instant, window=window)
    return {(m.sli, m.scenario, m.case, m.member): m for m in measurements.measurements}


def times(made: MadeRun, scenario: str, case: str) -> list[float]:
    return [
        job.done - job.due
        for job in made.jobs
        if (job.scenario, job.case, job.outcome, job.warmup) == (scenario, case, Outcome.COMPLETED, False)
    ]


@pytest.mark.parametrize("planned", CASES, ids=lambda planned: f"{planned[0]}-{planned[1]}")
def test_response_time_and_rates_of_every_case(made: MadeRun, found: Found, planned: tuple[str, str, int, int]) -> None:
    scenario, case, slots, count = planned
    exact = times(made, scenario, case)
    failed = sum(1 for index in range(2, count + 2) if slots == 50 and index % 100 == 50)
    assert len(exact) == count - failed
    seconds = next(
        c.ended - c.started  # type: ignore[operator]
        for s in made.run.scenarios
        for c in s.cases
        if (s.name, c.name) == (scenario, case)
    )

    def value(sli: str) -> float | None:
        return found[sli, scenario, case, ""].value

    assert value("response_time_n") == count - failed
    assert value("response_time_avg") == pytest.approx(np.mean(exact))
    assert value("success_n") == count
    assert value("success_rate") == pytest.approx((count - failed) / count)
    assert value("throughput") == pytest.approx((count - failed) / seconds)
    requests = sum(1 for r in made.requests if (r.scenario, r.case, r.warmup) == (scenario, case, False))
    assert value("request_rate") == pytest.approx(requests / seconds)
    for q in (0.5, 0.95, 0.99):
        measurement = found[f"response_time_p{q * 100:.0f}", scenario, case, ""]
        sample = np.quantile(exact, q, method="inverted_cdf")
        assert measurement.value == pytest.approx(sample, rel=0.05)
        assert measurement.bound is not None
        assert measurement.bound.upper is not None
        assert measurement.bound.lower < sample <= measurement.bound.upper
        assert measurement.n == count - failed


def test_operations_of_the_api(made: MadeRun, found: Found) -> None:
    operations = {member for sli, _, _, member in found if sli == "api_latency_p95"}
    assert operations == {"create", "retrieve", "list", "content", "manifest", "delete"}
    for operation, prefix in [*((name, "api_latency") for name in sorted(operations)), ("wait", "wait_latency")]:
        exact = [
            r.duration
            for r in made.requests
            if (r.scenario, r.operation, r.warmup) == ("api_latency", operation, False)
        ]
        assert found[f"{prefix}_n", "api_latency", "", operation].value == len(exact) == 40
        assert found[f"{prefix}_avg", "api_latency", "", operation].value == pytest.approx(np.mean(exact))
        p95 = np.quantile(exact, 0.95, method="inverted_cdf")
        assert found[f"{prefix}_p95", "api_latency", "", operation].value == pytest.approx(p95, rel=0.05)


def test_stages_without_warm_up(made: MadeRun, found: Found) -> None:
    for stage, executions in (("parse", 30), ("script", 30), ("speech", 150), ("visual", 150), ("compose", 30)):
        exact = [
            value
            for (name, labels), values in made.series.observed.items()
            if name == "video_job_stage_duration_seconds"
            and ("stage", stage) in labels
            and ("scenario", "component_speed") in labels
            and ("case", "n01") in labels
            for value in values
        ]
        assert found["stage_n", "component_speed", "", stage].value == len(exact) == executions
        assert found["stage_sum", "component_speed", "", stage].value == pytest.approx(sum(exact))
        assert found["stage_avg", "component_speed", "", stage].value == pytest.approx(np.mean(exact))
        p95 = np.quantile(exact, 0.95, method="inverted_cdf")
        assert found["stage_p95", "component_speed", "", stage].value == pytest.approx(p95, rel=0.05)


def test_absent_series_are_no_data_and_not_zero(found: Found) -> None:
    timeout = found["client_jobs", "concurrent_load", "", "timeout"]
    assert (timeout.value, timeout.no_data) == (None, "no series matched")


def test_a_case_without_a_completed_job_has_success_rate_zero(client: Prometheus, made: MadeRun) -> None:
    sli = load().get("success_rate")
    assert sli.query is not None
    query = sli.fill(sli.query, {"run_id": RUN_ID, "scenario": "throughput", "case": "n50", "window": "1000s"})
    answer = client.vector(query.replace('"completed"', '"never"'), made.instant)
    assert answer[0].value is not None
    assert float(answer[0].value[1]) == 0.0


def test_a_query_with_a_mistake_is_an_error(client: Prometheus) -> None:
    with pytest.raises(QueryError, match=r"Prometheus refused a query \(.*parse error.*\): sum\("):
        client.vector("sum(", START)


def test_without_prometheus_every_value_is_missing(made: MadeRun) -> None:
    asked = questions(load(), made.run, "60s")
    measurements = collect(asked, made.run, None, instant=made.instant, window="60s")
    assert {m.no_data for m in measurements.measurements} == {"there was no Prometheus to ask"}
    assert {m.value for m in measurements.measurements} == {None}

"""Every query of the dashboards, evaluated by the real stack after a run: PromQL, TraceQL and the service map."""

from __future__ import annotations

import json
import math
import re
import time
from typing import Any
from urllib.parse import urlencode

import pytest

from reelbench.loadgen.record.jobs import Outcome
from reelbench.monitoring.boards import dashboards
from reelbench.monitoring.panels import Board, Query, TraceQuery
from reelbench.reporting.catalogue.prices import load_prices
from reelbench.reporting.catalogue.sli_file import load
from reelbench.reporting.evidence.tempo import connect
from reelbench.stack import http
from tests.stack.full.finished import Run, measure
from tests.stack.full.native import NativeStack

pytestmark = pytest.mark.acceptance
BOARDS = dashboards(load(), load_prices())
SCENARIOS = (
    *("single_request", "throughput", "llm_outage", "tts_failures", "partial_failures", "store_outage"),
    *("job_cancellation", "api_latency", "cache_efficiency"),
)
Key = tuple[str, str, str]
"""File of a dashboard, title of a panel, letter of a query."""
SERVICE_GRAPH = (
    "traces_service_graph_request_total",
    "traces_service_graph_request_server_seconds_sum",
    "traces_service_graph_request_failed_total",
)
"""What Grafana's service map asks for."""
QUIET: set[Key] = {
    ("live.json", "Errors by cause", "B"),  # no job was rejected
    ("reliability.json", "Refused jobs", "A"),
    ("pipeline.json", "Jobs by client and server", "D"),
    ("reliability.json", "Jobs of lost instances", "A"),
    # counters that the Collector and Tempo create at the first loss
    *(("pipeline.json", "Refused, failed and dropped", letter) for letter in "CDEF"),
    ("pipeline.json", "Spans received and discarded by Tempo", "B"),
}
"""Queries without an answer when all is well."""
ABOUT_TEMPO: set[Key] = {
    ("pipeline.json", "Spans received and discarded by Tempo", "A"),
    ("pipeline.json", "P95 of a query to Tempo", "A"),
}
FIRING = ("live.json", "Firing alerts", "A")
"""Has an answer or not, by how long a fault of the run happens to last."""
EXPECTED = {
    ("live.json", "Response time"): 3,
    ("live.json", "P95 of the API by operation"): 3,
    ("live.json", "Jobs ended"): 2,
    ("live.json", "CPU"): 4,
    ("reliability.json", "Breaker state"): 3,
    ("reliability.json", "P95 of a provider call"): 3,
    ("resources.json", "Connections"): 6,
    ("resources.json", "Cost per hour"): 6,
    ("traces.json", "P95 by stage"): 5,
    ("traces.json", "Spans by service"): 3,
    ("pipeline.json", "Queues of the exporters"): 2,
    ("pipeline.json", "Accepted"): 2,
    ("pipeline.json", "Samples stored"): 1,
}
"""Panels with the least number of series that they show for the run."""
QUERIES: dict[Key, Query | TraceQuery] = {
    (name, panel.title, chr(ord("A") + number)): query
    for name, board in BOARDS.items()
    for panel in board.panels
    for number, query in enumerate(panel.queries)
}


@pytest.fixture(scope="module")
def run(stack: NativeStack, tmp_path_factory: pytest.TempPathFactory) -> Run:
    measured = measure(stack, tmp_path_factory.mktemp("runs"), *SCENARIOS)
    # The last case's objectives, whose rules run every 30 s; NaN if one export had all of its look-ups.
    last = f'scenario:cache_hit_rate:total{{run_id="{measured.record.run_id}"}}'
    stack.await_value(f"count(slo:cache_hit_rate:error_ratio_rate5m and on () {last})", 1, deadline=90)
    measured.at = math.ceil(time.time())
    if stack.tempo:
        connect(stack.tempo_url, measured.record).settle(len(measured.all_jobs), deadline=20)
    return measured


@pytest.fixture(scope="module")
def found(run: Run) -> dict[Key, int]:
    """Number of series or traces that each query returns for the run; -s prints them."""
    counts = {key: len(ask(run, key)) for key in QUERIES if run.stack.tempo or isinstance(QUERIES[key], Query)}
    print(f"\nrun {run.record.run_id}: {', '.join(SCENARIOS)}")  # noqa: T201 - the list, with -s
    for (name, title, letter), count in counts.items():
        print(f"{name.removesuffix('.json'):12} {title:58} {letter} {count:5}")  # noqa: T201
    return counts


def range_of(run: Run) -> str:
    """Return the range that a dashboard shows for the whole run, however slow the machine was."""
    assert run.at is not None
    return f"{math.ceil(run.at - run.record.started) + 30}s"


def filled(text: str, run: Run, board: Board, **more: str) -> str:
    """Fill in the variables like Grafana: the run, all scenarios, and the defaults of the text variables."""
    typed = {variable.name: variable.value for variable in board.variables}
    values = (
        typed
        | {"run_id": run.record.run_id, "scenario": ".+", "__rate_interval": "20s", "__range": range_of(run)}
        | more
    )
    return re.sub(r"\$\{?(\w+)\}?", lambda match: values[match[1]], text)


def ask(run: Run, key: Key, **more: str) -> list[dict[str, Any]]:
    """The series or traces that a query of a dashboard returns for the run."""
    asked, board = QUERIES[key], BOARDS[key[0]]
    if isinstance(asked, Query):
        return ask_prometheus(run, filled(asked.expr.text, run, board, **more), instant=asked.now)
    if not asked.text:
        return edges(run, "traces_service_graph_request_total")
    query = filled(asked.text, run, board, **more)
    if "_over_time" in query:
        return ask_tempo(run, "/api/metrics/query_range", query, step="5s")["series"]
    return ask_tempo(run, "/api/search", query, limit=asked.limit)["traces"]


def ask_prometheus(run: Run, expr: str, *, instant: bool) -> list[dict[str, Any]]:
    if instant:  # some panels show the time of the run, others series that rules record a little later
        return run.stack.query(expr, run.settled.settled_at) or run.stack.query(expr, run.at)
    assert run.at is not None
    asked = {"query": expr, "start": run.at - math.ceil(run.at - run.record.started), "end": run.at, "step": 1}
    answer = http.get(f"{run.stack.prometheus_url}/api/v1/query_range?{urlencode(asked)}", timeout=10)
    assert answer.ok, answer.body
    return json.loads(answer.body)["data"]["result"]


def ask_tempo(run: Run, path: str, query: str, **more: str | int) -> dict[str, Any]:
    assert run.at is not None
    asked = {"q": query, "start": int(run.record.started), "end": int(run.at) + 1, **more}
    answer = http.get(f"{run.stack.tempo_url}{path}?{urlencode(asked)}", timeout=10)
    assert answer.ok, f"{query}\n{answer.body!r}"
    return json.loads(answer.body)


def edges(run: Run, metric: str) -> list[dict[str, Any]]:
    """The queries of Grafana's service map to Prometheus, for each of its three metrics."""
    return run.stack.query(f"sum by (client, server) (rate({metric}[{range_of(run)}]))")


def with_tempo(run: Run) -> None:
    if run.stack.tempo is None:
        pytest.skip("TEMPO_BIN names no Tempo")


def test_every_query_returns_series_for_what_the_run_did(run: Run, found: dict[Key, int]) -> None:
    quiet = QUIET if run.stack.tempo else QUIET | ABOUT_TEMPO
    assert {key for key, count in found.items() if not count} - {FIRING} == quiet


def test_panels_show_series_of_native_histograms(found: dict[Key, int]) -> None:
    shown = {place: sum(count for key, count in found.items() if key[:2] == place) for place in EXPECTED}
    assert {place: count for place, count in shown.items() if count < EXPECTED[place]} == {}


def test_the_slowest_jobs_panel_lists_all_slower_jobs(run: Run) -> None:
    """The span also covers the download after `done`; 20 ms allow for two clocks."""
    with_tempo(run)
    measured = {job.trace_id: job.done - job.sent for job in run.all_jobs}
    for limit in (0.3, 1.0):
        traces = ask(run, ("traces.json", "Slowest jobs", "A"), slower_than=f"{limit}s")
        shown = {trace["traceID"].zfill(32): trace["durationMs"] / 1000 for trace in traces}
        slower = {job.trace_id for job in run.jobs if measured[job.trace_id] > limit + 0.02}
        assert slower
        assert slower <= shown.keys()
        assert all(seconds >= max(limit, measured[trace_id] - 0.02) for trace_id, seconds in shown.items())


def test_the_failed_jobs_panel_equals_the_client_log(run: Run) -> None:
    with_tempo(run)
    failed = {job.trace_id for job in run.jobs if job.outcome is not Outcome.COMPLETED}
    assert len(failed) > 50
    traces = ask(run, ("traces.json", "Failed jobs", "A"))
    assert {trace["traceID"].zfill(32) for trace in traces} == failed
    fewer = ask(run, ("traces.json", "Failed jobs", "A"), scenario="job_cancellation|partial_failures")
    chosen = {job.trace_id for job in run.jobs if job.scenario in {"job_cancellation", "partial_failures"}} & failed
    assert {trace["traceID"].zfill(32) for trace in fewer} == chosen


def test_stages_of_spans_equal_stages_of_the_metric(run: Run) -> None:
    with_tempo(run)
    spans = ask(run, ("traces.json", "P95 by stage, from spans", "A"))
    named = {label["value"]["stringValue"] for one in spans for label in one["labels"] if label["key"] == "span.stage"}
    metric = ask(run, ("traces.json", "P95 by stage", "A"))
    assert named == {one["metric"]["stage"] for one in metric}


def test_the_service_map_shows_all_calls_between_services(run: Run) -> None:
    with_tempo(run)
    for metric in SERVICE_GRAPH[:2]:
        calls = {(one["metric"]["client"], one["metric"]["server"]) for one in edges(run, metric)}
        assert {("loadgen", "service"), ("service", "providers")} <= calls, metric
    failed = {(one["metric"]["client"], one["metric"]["server"]) for one in edges(run, SERVICE_GRAPH[2])}
    assert ("service", "providers") in failed

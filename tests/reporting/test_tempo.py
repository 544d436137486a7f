"""The client with recorded answers of Tempo 3.0.3 (`tempo_api/` has request, status and body of each)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from requests.adapters import BaseAdapter

from reelbench.loadgen.record.run import read_run
from reelbench.reporting.evidence.prometheus import QueryError
from reelbench.reporting.evidence.tempo import TempoTraces
from reelbench.reporting.evidence.traces import RootKey
from tests.reporting.made_run import RUN_ID

RECORDED = Path(__file__).parent / "tempo_api"
URL = "http://tempo.test"
Answer = Callable[[str, dict[str, str]], tuple[int, Any]]


def recorded(name: str) -> tuple[int, Any]:
    answer = json.loads((RECORDED / f"{name}.json").read_text())
    return answer["status"], answer["body"]


class FakeTempo(BaseAdapter):
    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer
        self.asked: list[tuple[str, dict[str, str]]] = []

    def send(self, request: requests.PreparedRequest, *_: object, **__: object) -> requests.Response:
        parts = urlsplit(str(request.url))
        parameters = {key: values[0] for key, values in parse_qs(parts.query).items()}
        self.asked.append((parts.path, parameters))
        response = requests.Response()
        response.status_code, body = self.answer(parts.path, parameters)
        response._content = (body if isinstance(body, str) else json.dumps(body)).encode()
        return response

    def close(self) -> None:
        pass


def client(run_dir: Path, answer: Answer, **options: int) -> tuple[TempoTraces, FakeTempo]:
    fake, session = FakeTempo(answer), requests.Session()
    session.mount(URL, fake)
    return TempoTraces(f"{URL}/", read_run(run_dir), session, **options), fake


def root(trace: str, case: str = "n01", outcome: str = "completed", *, warmup: bool = False) -> dict[str, Any]:
    attributes = [
        {"key": "loadgen.job.outcome", "value": {"stringValue": outcome}},
        {"key": "loadgen.job.warmup", "value": {"boolValue": warmup}},
        {"key": "case", "value": {"stringValue": case}},
    ]
    return {"traceID": trace, "spanSets": [{"spans": [{"attributes": attributes}], "matched": 1}]}


def test_root_spans_are_searched_by_run_and_scenario(run_dir: Path) -> None:
    def answer(path: str, parameters: dict[str, str]) -> tuple[int, Any]:
        assert path == "/api/search"
        found = [root("a1"), root("a2", outcome="failed"), root("a3", warmup=True)]
        return 200, {"traces": found if '"single_request"' in parameters["q"] else []}

    tempo, fake = client(run_dir, answer)
    assert tempo.root_spans() == Counter(
        {
            RootKey(RUN_ID, "single_request", "n01", "completed"): 1,
            RootKey(RUN_ID, "single_request", "n01", "failed"): 1,
            RootKey(RUN_ID, "single_request", "n01", "completed", warmup=True): 1,
        }
    )
    run = read_run(run_dir)
    assert len(fake.asked) == len(run.scenarios)
    parameters = fake.asked[0][1]
    assert parameters["q"].startswith(f'{{span.run_id="{RUN_ID}" && span.scenario="')
    assert parameters["q"].endswith("| select(span.case, span.loadgen.job.outcome, span.loadgen.job.warmup)")
    assert run.ended is not None
    assert int(parameters["start"]) < run.started < run.ended < int(parameters["end"])


def test_the_recorded_search_is_decoded(run_dir: Path) -> None:
    tempo, _ = client(run_dir, lambda *_: recorded("search_run"))
    assert tempo.root_spans().total() == 6 * len(read_run(run_dir).scenarios)
    tempo, _ = client(run_dir, lambda *_: recorded("search_empty"))
    assert tempo.root_spans() == Counter()


def test_a_search_at_its_limit_is_repeated_in_halves(run_dir: Path) -> None:
    run = read_run(run_dir)
    second = int(run.started)
    born = {f"{number:x}": second + number // 3 for number in range(30)}

    def answer(_: str, parameters: dict[str, str]) -> tuple[int, Any]:
        start, end, limit = (int(parameters[name]) for name in ("start", "end", "limit"))
        here = [root(trace) for trace, at in born.items() if start <= at <= end]
        return 200, {"traces": here[:limit] if '"single_request"' in parameters["q"] else []}

    tempo, fake = client(run_dir, answer, limit=8)
    assert tempo.root_spans().total() == 30
    assert len(fake.asked) > len(run.scenarios)
    crowded, _ = client(run_dir, answer, limit=2)
    with pytest.raises(QueryError, match="2 traces or more in one second"):
        crowded.root_spans()


def test_a_recorded_trace(run_dir: Path) -> None:
    tempo, fake = client(run_dir, lambda *_: recorded("trace_by_id"))
    spans = tempo.trace("AF433328568BE050E48DB15621844ADC")
    assert fake.asked[0][0] == "/api/v2/traces/af433328568be050e48db15621844adc"
    assert Counter(span.service for span in spans) == {"loadgen": 1, "service": 13, "providers": 6}
    first = spans[0]
    assert (first.service, first.name, first.span_id, first.parent_id) == ("loadgen", "job", "af2697d6dc41aaf3", "")
    assert first.ended - first.started == pytest.approx(0.085606, abs=1e-5)
    known = {span.span_id for span in spans}
    assert all(span.parent_id in known for span in spans[1:])


def test_failures_of_a_recorded_trace(run_dir: Path) -> None:
    tempo, _ = client(run_dir, lambda *_: recorded("trace_by_id"))
    failed = [
        (span.service, span.name, span.error) for span in tempo.trace("af433328568be050e48db15621844adc") if span.error
    ]
    assert failed == [("service", "POST /v1/audio/speech", "503"), ("providers", "POST /v1/audio/speech", "error")]


def test_requested_traces_are_fetched_and_missing_ones_left_out(run_dir: Path) -> None:
    here = {f"{number:032x}" for number in range(1, 10)}

    def answer(path: str, _: dict[str, str]) -> tuple[int, Any]:
        if path == "/api/search":
            return 200, {"traces": []}
        return recorded("trace_by_id") if path.rsplit("/", 1)[1] in here else recorded("trace_not_found")

    tempo, fake = client(run_dir, answer)
    gathered = tempo.gather([*here, "f" * 32])
    assert set(gathered.spans) == here
    assert (gathered.roots, gathered.absent, gathered.per_case) == (Counter(), "", 20)
    fetched = [path for path, _ in fake.asked if path.startswith("/api/v2/traces/")]
    assert sorted(fetched) == sorted(f"/api/v2/traces/{trace}" for trace in [*here, "f" * 32])


def test_when_tempo_fails_midway_counts_remain_with_the_reason(run_dir: Path) -> None:
    def answer(path: str, _: dict[str, str]) -> tuple[int, Any]:
        return (200, {"traces": []}) if path == "/api/search" else (500, "overloaded")

    tempo, fake = client(run_dir, answer)
    gathered = tempo.gather([f"{number:032x}" for number in range(200)])
    assert (gathered.roots, gathered.spans) == (Counter(), {})
    assert "answered HTTP 500" in gathered.absent
    assert sum(1 for path, _ in fake.asked if "traces" in path) < 200


def test_an_unknown_trace_has_no_spans(run_dir: Path) -> None:
    for answer in (recorded("trace_not_found"), (404, "trace not found")):
        tempo, _ = client(run_dir, lambda *_, answer=answer: answer)
        assert tempo.trace("0" * 31 + "1") == ()


def test_recorded_traceql_metrics(run_dir: Path) -> None:
    tempo, fake = client(run_dir, lambda *_: recorded("metrics_instant"))
    found = {series.labels: series.value for series in tempo.metrics("{} | count_over_time() by (span.scenario)")}
    assert found == {(("span.scenario", "single_request"),): 3, (("span.scenario", "tts_failures"),): 3}
    assert fake.asked[0][0] == "/api/metrics/query"


def test_polling_ends_when_all_traces_are_stored_or_at_the_deadline(run_dir: Path) -> None:
    shown = 0

    def answer(_: str, parameters: dict[str, str]) -> tuple[int, Any]:
        nonlocal shown
        if '"single_request"' not in parameters["q"]:
            return 200, {"traces": []}
        shown += 1
        return 200, {"traces": [root(f"{number:x}") for number in range(min(shown, 3))]}

    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    tempo, _ = client(run_dir, answer)
    assert (tempo.settle(3, clock=lambda: now, sleep=sleep), now) == (3, 2.0)
    assert (tempo.settle(5, deadline=4, clock=lambda: now, sleep=sleep), now) == (3, 6.0)


def test_errors_name_the_cause(run_dir: Path) -> None:
    tempo, _ = client(run_dir, lambda *_: (400, recorded("search_bad_query")[1]))
    with pytest.raises(QueryError, match="HTTP 400 to /api/metrics/query: invalid TraceQL query: parse error"):
        tempo.metrics("{span.run_id=")
    tempo, _ = client(run_dir, lambda *_: (200, "<html>"))
    with pytest.raises(QueryError, match="does not answer like Tempo"):
        tempo.root_spans()

    def refuse(*_: object) -> tuple[int, Any]:
        raise requests.ConnectionError

    tempo, _ = client(run_dir, refuse)
    with pytest.raises(QueryError, match=r"cannot be reached \(ConnectionError\); start it"):
        tempo.root_spans()

"""Windows on another clock: corrected by value; a scenario in which a clock moved is not judged."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import msgspec
import pytest
import requests

from reelbench.loadgen.record.conditions import ClockRecord, ConditionsRecord
from reelbench.reporting.analysis.clocks import SpanOffset, movements, span_offsets
from reelbench.reporting.analysis.verdicts import Status, analyse
from reelbench.reporting.catalogue.sli_file import load
from reelbench.reporting.document.report import Paragraph, Table
from reelbench.reporting.evidence.measurements import Measurements
from reelbench.reporting.evidence.process_samples import ProcessSamples, process_samples, read_series
from reelbench.reporting.evidence.prometheus import Prometheus
from reelbench.reporting.evidence.queries import questions
from reelbench.reporting.evidence.traces import TraceEvidence
from reelbench.reporting.sections import clocks
from tests.reporting.evidence_of import evidence, measurement, only
from tests.reporting.made_run import MadeRun
from tests.reporting.made_traces import spans

CPU_PER_SECOND = 0.9
"""Cores that the made service uses within the case."""


class Store(requests.Session):
    """A Prometheus with one counter, scraped each second and stamped by its own clock."""

    def __init__(self, began: float, ended: float, ahead: float) -> None:
        super().__init__()
        self.points = []
        for step in range(-20, 60):
            at = began + step
            busy = max(0.0, min(at, ended) - began)
            self.points.append((at + ahead, busy * CPU_PER_SECOND))

    def post(self, *args: object, **kwargs: Any) -> requests.Response:
        query, now = kwargs["data"]["query"], float(kwargs["data"]["time"])
        window = int(re.findall(r"\[(\d+)ms\]$", query)[0]) / 1000
        values = [[at, str(value)] for at, value in self.points if now - window < at <= now]
        result = [{"metric": {"job": "service"}, "values": values}]
        response = requests.Response()
        response.status_code = 200
        response._content = json.dumps(
            {"status": "success", "data": {"resultType": "matrix", "result": result}}
        ).encode()
        return response


def cpu_seconds(found: ProcessSamples) -> float:
    assert found.before is not None
    assert found.after is not None
    return found.after[1] - found.before[1]


@pytest.mark.parametrize(
    ("ahead", "known", "right"), [(0.0, 0.0, True), (-2.0, 0.0, False), (-2.0, -2.0, True), (6.0, 6.0, True)]
)
def test_cpu_of_a_case_is_read_in_its_own_window(
    resources: MadeRun, ahead: float, known: float, *, right: bool
) -> None:
    scenario = next(one for one in resources.run.scenarios if one.dimension == "resources" and one.cases[0].started)
    case = msgspec.structs.replace(scenario.cases[0], started=1_790_000_000.0, ended=1_790_000_010.0)
    scenario = msgspec.structs.replace(scenario, cases=[case], rest=5.0)
    run = msgspec.structs.replace(resources.run, scenarios=[scenario])
    catalogue = load()
    catalogue = msgspec.structs.replace(catalogue, readings=catalogue.readings[:1])
    empty = Measurements(run_id="r", instant=1_790_000_030.0, window="60s", prometheus=True, measurements=())
    prometheus = Prometheus("http://made", Store(1_790_000_000.0, 1_790_000_010.0, ahead), ahead=known)
    measured = read_series(catalogue, run, prometheus, empty)
    found = process_samples(
        replace(evidence(resources, run=run), measurements=measured), catalogue.readings[0].id, scenario.name, case
    )
    assert found is not None
    expected = 10 * CPU_PER_SECOND
    assert (cpu_seconds(found) == pytest.approx(expected)) is right


def test_an_instant_query_is_asked_on_the_clock_of_prometheus() -> None:
    asked = []

    class Vectors(requests.Session):
        def post(self, *args: object, **kwargs: Any) -> requests.Response:
            asked.append(kwargs["data"]["time"])
            response = requests.Response()
            response.status_code = 200
            response._content = b'{"status":"success","data":{"resultType":"vector","result":[]}}'
            return response

    Prometheus("http://made", Vectors(), ahead=-6.0).vector("up", 1000.0)
    assert asked == ["994.000"]


def test_borders_that_a_query_names_are_on_the_clock_of_prometheus(made: MadeRun) -> None:
    run = only(made.run, "single_request")
    sli = msgspec.structs.replace(
        next(one for one in load().slis if one.id == "throughput"), query="x @ $start + y @ $end", scenarios=()
    )
    catalogue = msgspec.structs.replace(load(), slis=(sli,))
    case = run.scenarios[0].cases[0]
    assert case.started is not None
    assert case.ended is not None
    (question,) = questions(catalogue, run, "60s", ahead=6.0)
    assert question.query == f"x @ {case.started + 6:.3f} + y @ {case.ended + 6:.3f}"


def reading(source: str, when: str, offset: float, error: float = 0.001, scenario: str = "single_request") -> Any:
    return msgspec.convert(
        {"source": source, "scenario": scenario, "when": when, "at": 0.0, "offset": offset, "error": error}, ClockRecord
    )


@pytest.mark.parametrize(
    ("readings", "moved"),
    [
        ([reading("prometheus", "before", -6.0), reading("prometheus", "after", -6.0)], []),
        ([reading("prometheus", "before", 0.0), reading("prometheus", "after", 0.5)], []),
        ([reading("prometheus", "before", 0.0), reading("prometheus", "after", 0.6)], [("prometheus", 0.6)]),
        ([reading("prometheus", "before", 0.0), reading("prometheus", "after", 0.6, 0.2)], []),
        ([reading("this machine", "before", 3.0), reading("this machine", "after", 3.0)], []),
        ([reading("this machine", "before", 0.0), reading("this machine", "after", -3.0)], [("this machine", -3.0)]),
        ([reading("target (Date)", "before", 0.0, 1.0), reading("target (Date)", "after", 9.0, 1.0)], []),
        (
            # Stepped between two scenarios: this one is not where the correction of the run is.
            [
                reading("service", "before", 0.0, scenario="other"),
                reading("service", "after", 0.0, scenario="other"),
                reading("service", "before", 4.0),
                reading("service", "after", 4.0),
                reading("service", "before", 0.0, scenario="third"),
            ],
            [("service", 4.0)],
        ),
    ],
)
def test_a_clock_that_moved_in_a_scenario(made: MadeRun, readings: list[Any], moved: list[Any]) -> None:
    run = evidence(
        made,
        run=only(made.run, "single_request"),
        measurements=[
            measurement("client_jobs", "single_request", "", "completed", value=100),
            measurement("service_jobs", "single_request", "", "completed", value=100),
            measurement("response_time_p95", "single_request", "n01", value=0.1),
        ],
    )
    run = replace(run, conditions=ConditionsRecord(others_limit=None, clocks=tuple(readings)))
    found = movements(run, "performance")
    assert [(one.source, pytest.approx(one.seconds)) for one in found] == moved
    (verdict,) = analyse(run, "performance").verdicts
    assert verdict.status is (Status.INCONCLUSIVE if moved else Status.PASS)
    assert verdict.reason == (found[0].reason if found else "")


def test_the_spans_of_a_request_bound_the_clock_of_the_server(made: MadeRun) -> None:
    # The service is 2 s ahead: 10 ms to it and 10 ms back in the best case.
    first = spans("""
        a - 100.000 100.900 loadgen loadgen.job
        b a 100.000 100.100 loadgen POST
        c b 102.010 102.090 service POST
        d a 100.200 100.400 loadgen GET
        e d 102.250 102.300 service GET
    """)
    run = replace(evidence(made), traces=TraceEvidence(spans={"t": first}))
    (found,) = span_offsets(run)
    assert (found.caller, found.process, found.pairs) == ("loadgen", "service", 2)
    assert (found.offset, found.error) == (pytest.approx(2.0), pytest.approx(0.01))
    assert isinstance(found, SpanOffset)


def test_the_report_shows_each_clock_and_its_correction(made: MadeRun) -> None:
    readings = (reading("this machine", "before", 0.0), reading("prometheus", "before", -6.0, 0.002))
    run = replace(evidence(made), conditions=ConditionsRecord(clocks=readings))
    lead, table = clocks.section(run, "performance").blocks
    assert lead == Paragraph("No clock moved.")
    assert isinstance(table, Table)
    assert table.rows == (
        ("this machine", "0.000", "0.000", "0.001", "1", "no"),
        ("prometheus", "-6.000", "-6.000", "0.002", "1", "by -6.000 s: times of samples and queries"),
    )
    assert clocks.section(evidence(made), "performance").blocks == (
        Paragraph("The clocks of the run were not compared."),
    )

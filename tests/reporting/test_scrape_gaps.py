"""Samples that Prometheus lacks: values on made series."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from reelbench.loadgen.record.stack import PrometheusRecord
from reelbench.reporting.analysis.scrape_gaps import gap_in, scrape_gaps, without_samples
from reelbench.reporting.analysis.verdicts import Status, analyse
from reelbench.reporting.evidence.evidence import Evidence
from reelbench.reporting.evidence.measurements import SampleSeries
from tests.reporting import made_resources
from tests.reporting.evidence_of import CATALOGUE, evidence, measurement, only
from tests.reporting.made_run import START

NAME, CASE = "memory_leak", "n02"


def test_seconds_without_samples() -> None:
    whole = [float(second) for second in range(101)]
    assert without_samples(whole, 0.5, 99.5, 1.0) == 0
    assert without_samples([at for at in whole if not 20 < at < 32], 0.5, 99.5, 1.0) == 11
    assert without_samples([at for at in whole if at > 10], 0.0, 100.0, 1.0) == 10
    assert without_samples([at for at in whole if at <= 90], 0.0, 100.0, 1.0) == pytest.approx(9)
    assert without_samples([], 0.0, 100.0, 1.0) == 99
    assert without_samples([at for at in whole if at % 2 == 0], 0.5, 99.5, 1.0) == 0  # one scrape was late


def resources(missing: dict[str, bool]) -> Evidence:
    """The run of the leak, with scrapes of two jobs of which some miss a third."""
    made = made_resources.make()
    run = only(made.run, NAME)
    (scenario,) = run.scenarios
    case = scenario.cases[0]
    assert case.started is not None
    assert case.ended is not None
    length = case.ended - case.started
    times = [START + second + 0.5 for second in range(262)]
    gap = (case.started + length / 3, case.started + 2 * length / 3)
    series = []
    for job, gone in missing.items():
        kept = tuple(at for at in times if not (gone and gap[0] < at < gap[1]))
        series.append(
            SampleSeries(
                reading="memory",
                scenario=NAME,
                case=case.name,
                labels={"job": job},
                query="q",
                instant=1.0,
                times=kept,
                values=tuple(1e8 for _ in kept),
            )
        )
    found = evidence(
        made,
        run=run,
        measurements=[
            measurement("memory_growth", NAME, value=1.0),
            *(
                measurement(one, NAME, member="completed", value=case.planned)
                for one in ("client_jobs", "service_jobs")
            ),
        ],
    )
    assert found.stack is not None
    stack = msgspec.structs.replace(
        found.stack,
        prometheus=PrometheusRecord(
            url="http://127.0.0.1:1", version="3.0.0", data_dir="prometheus", scrape_interval=1.0
        ),
    )
    return replace(found, stack=stack, measurements=msgspec.structs.replace(found.measurements, series=tuple(series)))


@pytest.mark.extended
@pytest.mark.parametrize(
    ("missing", "jobs"),
    [
        ({"service": False, "loadgen": False}, None),
        ({"service": True, "loadgen": True}, ()),
        ({"service": True, "loadgen": False}, ("service",)),
        ({"service": False, "loadgen": True}, ("loadgen",)),
    ],
)
def test_who_made_no_scrapes(missing: dict[str, bool], jobs: tuple[str, ...] | None) -> None:
    found = scrape_gaps(resources(missing), "resources")
    assert [gap.jobs for gap in found] == ([] if jobs is None else [jobs])
    assert all(0.25 < gap.share < 0.4 for gap in found)
    assert all(gap.of_service is (jobs == ("service",)) for gap in found)


def test_only_what_needs_samples_is_not_judged() -> None:
    found = resources({"service": True, "loadgen": True})
    (gap,) = scrape_gaps(found, "resources")
    places = {(gap.scenario, gap.case)}
    assert gap_in(found, "resources", CATALOGUE.get("memory_growth"), places) == gap
    assert gap_in(found, "resources", CATALOGUE.get("success_rate"), places) is None
    analysis = analyse(found, "resources")
    assert analysis.status is Status.INCONCLUSIVE
    assert gap.sentence in analysis.problems

from __future__ import annotations

import msgspec

from reelbench.loadgen.record.run import RunState
from reelbench.reporting.analysis.verdicts import Status, analyse
from reelbench.reporting.document.grafana_links import live_run
from reelbench.reporting.results.annotations import regions
from tests.reporting.evidence_of import evidence, measurement
from tests.reporting.made_run import MadeRun


def test_runs_scenarios_and_faults_are_tagged_regions(outages: MadeRun) -> None:
    found = {region.key: region for region in regions(outages.run)}
    run = outages.run
    assert found["run"].text == f"Run {run.run_id}, profile standard: completed"
    assert (found["run"].started, found["run"].ended) == (run.started, run.ended)
    scenario = next(one for one in run.scenarios if one.name == "llm_outage")
    assert found["scenario llm_outage"].tags == ("reelbench", "scenario", run.run_id, "llm_outage")
    assert (found["scenario llm_outage"].started, found["scenario llm_outage"].ended) == (
        scenario.started,
        scenario.ended,
    )
    assert found["fault 0"].text == "Fault tts error, rate 0.3, hit 87 of 290 calls"
    assert found["fault 0"].tags == ("reelbench", "fault", run.run_id, "tts_failures", "tts")
    assert len(found) == 1 + len(run.scenarios) + len(run.faults)


def test_regions_need_a_start_and_may_lack_an_end(made: MadeRun) -> None:
    first, *others = made.run.scenarios
    waiting = [msgspec.structs.replace(one, started=None, ended=None) for one in others]
    running = msgspec.structs.replace(
        made.run,
        state=RunState.RUNNING,
        ended=None,
        scenarios=[msgspec.structs.replace(first, ended=None), *waiting],
    )
    found = regions(running)
    assert [(region.key, region.ended) for region in found] == [("run", None), (f"scenario {first.name}", None)]
    assert found[0].text == f"Run {made.run.run_id}, profile standard"


def test_verdicts_are_added_at_the_end(made: MadeRun) -> None:
    good = [measurement("response_time_p95", "single_request", "n01", value=1.0)]
    verdicts = analyse(evidence(made, measurements=good), "performance").verdicts
    text = {region.key: region.text for region in regions(made.run, verdicts, Status.FAIL)}
    assert text["run"].endswith(": FAIL")
    assert text["scenario single_request"] == "Scenario single_request: 1 INCONCLUSIVE"


def test_the_live_dashboard_shows_the_run_with_what_was_exported_around_it() -> None:
    assert live_run("http://g", "r-1", 100.0, None) == (
        "http://g/d/reelbench-live/live-run?var-run_id=r-1&from=90000&to=now"
    )
    assert live_run("http://g", "r-1", 100.0, 200.5).endswith("&from=90000&to=210500")

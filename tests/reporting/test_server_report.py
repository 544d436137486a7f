"""Figures, counts and sections of a server of another maker, from evidence that is known."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from scipy import stats

from reelbench.loadgen.record.jobs import ServerTimes
from reelbench.loadgen.record.run import CaseRecord, ServerRecord
from reelbench.loadgen.record.stack import MetricsSourceRecord
from reelbench.loadgen.record.videos import VideoRecord
from reelbench.reporting.analysis import server_figures as figures
from reelbench.reporting.analysis import server_slis
from reelbench.reporting.analysis.reconciliation import Count, reconcile
from reelbench.reporting.analysis.verdicts import Status, analyse
from reelbench.reporting.catalogue.server_metrics import ServerRole
from reelbench.reporting.document.report import Bullets, Chart, Section, Table
from reelbench.reporting.evidence.buckets import Bound
from reelbench.reporting.evidence.dimension import Dimension
from reelbench.reporting.evidence.evidence import Evidence
from reelbench.reporting.evidence.server_evidence import ServerCount, ServerEvidence, ServerGauge, ServerPlace
from reelbench.reporting.sections import server_sources
from reelbench.reporting.sections.build import build_report
from reelbench.reporting.sections.performance import server, server_answers
from reelbench.reporting.sections.reliability import server as counts_of_the_server
from reelbench.reporting.sections.resources import server as resources
from reelbench.reporting.sections.resources import server_energy, server_key
from reelbench.reporting.statistics.association import association
from tests.reporting.evidence_of import evidence, measurement
from tests.reporting.made_run import RUN_ID, MadeRun

SCENARIO, CASE = "concurrent_load", "n10"
SOURCE = MetricsSourceRecord(
    url="http://server/metrics", selector="{}", names=("vllm_omni", "dcgm"), scraped=True, interval=1.0
)
OTHERS = ServerRecord(name="vllm_omni", title="vLLM-Omni", ours=False, model="m")


def case_of(made: MadeRun) -> CaseRecord:
    return next(c for s in made.run.scenarios if s.name == SCENARIO for c in s.cases if c.name == CASE)


def count(made: MadeRun, role: str, value: float | None, **changes: Any) -> ServerCount:
    case = case_of(made)
    assert case.started is not None
    assert case.ended is not None
    fields: dict[str, Any] = {
        "source": 1, "set": "vllm_omni", "role": role, "metric": role, "labels": {}, "result": "",
        "scenario": SCENARIO, "case": CASE, "before": case.started - 0.5, "after": case.ended + 0.5, "value": value,
    }  # fmt: skip
    return ServerCount(**(fields | changes))


def gauge(made: MadeRun, role: str, *values: float, **changes: Any) -> ServerGauge:
    """A gauge with these samples, evenly through the case."""
    case = case_of(made)
    assert case.started is not None
    assert case.ended is not None
    step = (case.ended - case.started) / len(values)
    fields: dict[str, Any] = {
        "source": 1, "set": "dcgm", "role": role, "metric": role, "labels": {"gpu": "0"}, "scenario": SCENARIO,
        "case": CASE, "n": len(values), "mean": sum(values) / len(values), "least": min(values), "most": max(values),
        "before": 0.0, "after": 0.0, "times": tuple(case.started + step * (n + 0.5) for n in range(len(values))),
        "values": values,
    }  # fmt: skip
    return ServerGauge(**(fields | changes))


def foreign(made: MadeRun, *parts: ServerCount | ServerGauge, restarted: bool = False, **stack: Any) -> Evidence:
    """Evidence of a run against a server of another maker with these parts."""
    found = evidence(made, run=msgspec.structs.replace(made.run, server=OTHERS), service=False)
    place = ServerPlace(
        source=1, scenario=SCENARIO, case=CASE, scrapes=20, failed=3 if restarted else 0, restarted=restarted,
        before=0.5, after=0.5,
    )  # fmt: skip
    said = ServerEvidence(
        run_id=RUN_ID,
        sources=(SOURCE,),
        counts=tuple(one for one in parts if isinstance(one, ServerCount)),
        gauges=tuple(one for one in parts if isinstance(one, ServerGauge)),
        places=(place,),
    )
    assert found.stack is not None
    return dataclasses.replace(found, server=said, stack=msgspec.structs.replace(found.stack, **stack))


def tables(section: Section | None) -> list[Table]:
    assert section is not None
    return [block for block in section.blocks if isinstance(block, Table)]


def cells(table: Table, place: str = f"{SCENARIO} / {CASE}") -> dict[str, str]:
    return next(dict(zip(table.columns, row, strict=True)) for row in table.rows if row[0] == place)


def sentences(section: Section | None) -> str:
    assert section is not None
    return "\n".join(item for block in section.blocks if isinstance(block, Bullets) for item in block.items)


def test_latency_queue_and_stages_stand_next_to_the_clients_view(made: MadeRun) -> None:
    histogram = {"count": 100.0, "buckets": ((0.5, 40.0), (0.6, 97.0), (0.7, 100.0))}
    found = foreign(
        made,
        count(made, "latency", 50.0, **histogram),
        count(made, "queue_time", 20.0, count=100.0, buckets=((0.1, 10.0), (1.0, 100.0))),
        count(made, "stage_time", 30.0, count=100.0, labels={"stage": "denoise"}),
        count(made, "stage_time", 10.0, count=50.0, labels={"stage": "decode"}),
    )
    times, stages = tables(server.section(found))
    row = cells(times)
    client = [
        job.done - job.sent for job in made.jobs if (job.scenario, job.case, job.warmup) == (SCENARIO, CASE, False)
    ]
    mean = sum(client) / len(client)
    assert row["Client: mean [s]"] == f"{mean:.3f}"
    assert (row["Server: n"], row["Server: mean [s]"], row["Queue: mean [s]"]) == ("100", "0.500", "0.200")
    assert row["Client - server [s]"] == f"{mean - 0.5:.3f}"
    assert row["Server: P95 [s]"] == f"{0.5 + 0.1 * 55 / 57:.3f} (0.500 to 0.600)"
    assert row["Queue: P95 [s]"] == "0.100 to 1.000"
    assert "Per step: mean [s]" not in times.columns
    assert [(r[1], r[2], r[3], r[6]) for r in stages.rows] == [
        ("denoise", "100", "0.300", "75.0"),
        ("decode", "50", "0.200", "25.0"),
    ]


def test_a_p95_above_the_last_bucket_is_a_lower_limit(made: MadeRun) -> None:
    found = foreign(made, count(made, "latency", 900.0, count=10.0, buckets=((1.0, 1.0), (60.0, 9.0))))
    timing = figures.timing(found, ServerRole.LATENCY, SCENARIO, CASE)
    assert timing is not None
    assert (timing.mean, timing.bound) == (90.0, Bound(60.0, None))
    assert cells(tables(server.section(found))[0])["Server: P95 [s]"] == "> 60.000"


def test_differences_across_a_restart_are_said_and_not_shown(made: MadeRun) -> None:
    found = foreign(
        made, count(made, "latency", None), count(made, "queue_time", 1.0, count=1.0, case="n20"), restarted=True
    )
    assert f"{SCENARIO} / {CASE}: the server was started again" in sentences(server.section(found))
    trouble = sentences(server_sources.section(found, Dimension.PERFORMANCE))
    assert "was started again, or a counter fell; its differences are not used" in trouble
    assert "3 of 20 scrapes of source 1 got no page" in trouble


def requests(made: MadeRun, value: float | None, result: str = "completed", **changes: Any) -> ServerCount:
    return count(made, "requests", value, result=result, **({"before": case_of(made).started} | changes))


def of_server(found: Evidence) -> dict[str, Count]:
    (one,) = (r for r in reconcile(found, "performance") if r.scenario == SCENARIO)
    return {c.what.split()[1]: c for c in one.counts if c.source == "server, vLLM-Omni"}


@pytest.mark.parametrize(
    ("value", "agrees", "note"),
    [
        (100.0, True, ""),
        (104.0, True, "4 more: requests of other clients cannot be distinguished"),
        (99.0, False, ""),
        (None, True, "not available: the server was started again, or no sample lies on one side of the case"),
    ],
)
def test_fewer_requests_than_the_client_saw_contradict_and_more_do_not(
    made: MadeRun, value: float | None, agrees: Any, note: str
) -> None:
    found = of_server(foreign(made, requests(made, value)))["completed"]
    assert (found.low, found.high, found.agrees, found.note) == (100, 100, agrees, note)


def test_a_contradiction_makes_the_verdicts_of_the_scenario_inconclusive(made: MadeRun) -> None:
    held = measurement("success_rate", SCENARIO, CASE, value=1.0)
    ends = Counter(job.outcome for job in made.jobs if job.scenario == SCENARIO and not job.warmup)
    counted = [measurement("client_jobs", SCENARIO, "", end, value=number) for end, number in ends.items()]
    for value, status in ((100.0, Status.PASS), (99.0, Status.INCONCLUSIVE)):
        found = foreign(made, requests(made, value))
        found = dataclasses.replace(
            found, measurements=msgspec.structs.replace(found.measurements, measurements=(held, *counted))
        )
        (verdict,) = (v for v in analyse(found, "performance").verdicts if v.scenario == SCENARIO)
        assert verdict.status is status


def test_a_job_that_may_have_ended_at_a_border_widens_the_count(made: MadeRun) -> None:
    last = max(j.done for j in made.jobs if (j.scenario, j.case) == (SCENARIO, CASE))
    found = of_server(foreign(made, requests(made, 99.0, after=last - 0.001)))["completed"]
    assert found.low < 100 <= found.high
    assert found.agrees


def test_requests_of_any_kind_are_not_compared_with_jobs(made: MadeRun) -> None:
    found = of_server(foreign(made, requests(made, 500.0, of="requests")))
    assert (found["completed"].found, found["completed"].note) == (
        None,
        "not compared: counts requests of any kind: 500",
    )


def test_the_counts_of_the_service_of_this_project_are_not_expected_of_others(made: MadeRun) -> None:
    sources = {c.source for r in reconcile(foreign(made), "performance") for c in r.counts}
    assert not any("video_jobs_total" in source for source in sources)


def idle(made: MadeRun, joules: float, seconds: float) -> tuple[MadeRun, ServerCount]:
    """A made run whose first case sends nothing, and its energy."""
    first = made.run.scenarios[0]
    case = msgspec.structs.replace(first.cases[0], model="idle", started=100.0, ended=100.0 + seconds)
    scenarios = [msgspec.structs.replace(first, cases=[case]), *made.run.scenarios[1:]]
    changed = dataclasses.replace(made, run=msgspec.structs.replace(made.run, scenarios=scenarios))
    place: dict[str, Any] = {"scenario": first.name, "case": case.name, "before": 99.0, "after": 101.0 + seconds}
    return changed, count(made, "gpu_energy", joules, labels={"gpu": "0"}, **place)


def test_energy_of_a_video_is_without_what_idle_gpus_use(made: MadeRun) -> None:
    changed, rest = idle(made, joules=100.0 * 12, seconds=10.0)
    case = case_of(made)
    assert case.started is not None
    assert case.ended is not None
    length = case.ended - case.started
    busy = count(made, "gpu_energy", 100.0 * (length + 1) + 5000.0, labels={"gpu": "0"}, step=0.0)
    found = foreign(changed, rest, busy, gpu_hour_price=3.6)
    energy = figures.energy(found, SCENARIO, case)
    assert energy is not None
    assert (energy.idle_watts, energy.counted, energy.error) == (100.0, True, 0.0)
    assert energy.above_idle == pytest.approx(5000.0)
    assert energy.within == pytest.approx(100.0 * length + 5000.0)
    (table,) = tables(server_energy.section(found))
    row = cells(table)
    assert (row["Videos"], row["Per video above idle [J]"]) == ("100", "50")
    assert row["Per video [J]"] == f"{length + 50:.0f}"
    assert row["GPU seconds per video"] == f"{length / 100:.2f}"
    assert float(row["Cost per video [USD]"]) == pytest.approx(length / 100 * 0.001, abs=1e-6)
    assert "Length of a video [s]" not in table.columns


def test_without_an_energy_counter_power_is_used_and_without_an_idle_case_nothing_is_subtracted(made: MadeRun) -> None:
    found = foreign(made, gauge(made, "gpu_power", 300.0, 500.0))
    energy = figures.energy(found, SCENARIO, case_of(made))
    assert energy is not None
    assert energy.joules == pytest.approx(400.0 * energy.length)
    assert (energy.counted, energy.above_idle) == (False, None)
    text = sentences(server_energy.section(found))
    assert "Energy is mean power by the length of the case" in text
    assert "There was no case without load" in text
    assert "Cost is not known: give the price of a GPU hour" in text


def test_the_lag_of_an_energy_counter_is_said(made: MadeRun) -> None:
    case = case_of(made)
    assert case.started is not None
    assert case.ended is not None
    span = case.ended - case.started + 1
    found = foreign(made, count(made, "gpu_energy", 100.0 * span, labels={"gpu": "0"}, step=span / 10))
    energy = figures.energy(found, SCENARIO, case)
    assert energy is not None
    assert energy.error == pytest.approx(10.0 * span)
    assert "an error of ≤ 10.0 %" in sentences(server_energy.section(found))


def test_gpus_that_are_not_seen_are_those_of_the_user_or_one(made: MadeRun) -> None:
    unseen = foreign(made, gpu_hour_price=3.6)
    assert figures.gpus(unseen) is None
    assert "so **one** is assumed" in sentences(server_energy.section(unseen))
    assert figures.gpus(foreign(made, gpus=8)) == 8
    two = foreign(made, gauge(made, "gpu_power", 1.0), gauge(made, "gpu_power", 1.0, labels={"gpu": "1"}))
    assert figures.gpus(two) == 2


def test_a_price_without_gpus_in_the_metrics_is_that_of_one_gpu_in_the_key_metrics(made: MadeRun) -> None:
    cost, *_ = server_key.items(foreign(made, requests(made, 100.0), gpu_hour_price=36.0))
    assert "USD** at 36 USD for a GPU hour (one GPU assumed, " in cost
    assert server_key.items(foreign(made, requests(made, 100.0))) == [
        "The server's metrics show nothing of its memory, its CPU or its GPUs."
    ]


def test_cost_of_a_second_of_video_follows_from_the_decoded_files(made: MadeRun) -> None:
    video = VideoRecord(
        scenario=SCENARIO, case=CASE, index=1, bytes=1, container="mp4", codec="h264", width=1, height=1, seconds=5.0,
        frames=80, fps=16.0, audio=False,
    )  # fmt: skip
    found = dataclasses.replace(foreign(made, gauge(made, "gpu_power", 1.0), gpu_hour_price=36.0), videos=(video,))
    row = cells(tables(server_energy.section(found))[0])
    assert row["Length of a video [s]"] == "5.00"
    assert float(row["Cost per second of video [USD]"]) == pytest.approx(
        float(row["Cost per video [USD]"]) / 5, abs=1e-6
    )


def test_an_error_of_a_gpu_within_the_case_is_named(made: MadeRun) -> None:
    found = foreign(made, gauge(made, "gpu_errors", 43.0, 43.0, 79.0, before=43.0))
    assert "**XID 79** on GPU 0 in concurrent_load / n10." in sentences(resources.gpu(found))


def test_memory_that_stays_after_a_case_is_growth(made: MadeRun) -> None:
    values = tuple(1000.0 + n for n in range(20))
    found = foreign(made, gauge(made, "resident_memory", *values, before=1000.0, after=1100.0, labels={}))
    growth = figures.memory_growth(found, SCENARIO, case_of(made))
    assert growth is not None
    assert (growth.share, growth.n, growth.jobs) == (pytest.approx(0.1), 20, 100)
    assert growth.trend is not None
    assert growth.trend.slope == pytest.approx(0.2)


def test_what_is_missing_is_said(made: MadeRun) -> None:
    text = sentences(resources.unknown(foreign(made, gauge(made, "gpu_power", 1.0))))
    assert "no `process_cpu_seconds_total`" in text
    assert "Energy: no power" not in text
    assert resources.unknown(evidence(made)) is None


def test_the_service_of_this_project_has_none_of_these_sections(made: MadeRun) -> None:
    ours = evidence(made)
    for section in (
        server.section, server_answers.section, resources.process, resources.gpu, server_energy.section,
        counts_of_the_server.section,
    ):  # fmt: skip
        assert section(ours) is None
    assert server_sources.section(ours, Dimension.PERFORMANCE) is None


def test_running_and_waiting_are_drawn_with_the_jobs_in_flight(made: MadeRun) -> None:
    found = foreign(
        made,
        gauge(made, "running", 2.0, 2.0, 2.0, 2.0, labels={}),
        gauge(made, "waiting", 8.0, 7.0, 8.0, 6.0, labels={}),
    )
    section = server.section(found)
    assert section is not None
    (chart,) = (block for block in section.blocks if isinstance(block, Chart))
    assert [(s.name, len(s.xs)) for s in chart.series] == [("in flight", 4), ("running", 4), ("waiting", 4)]
    assert set(chart.series[0].ys) <= {float(n) for n in range(11)}
    assert "From concurrent_load / n10 on, requests wait (7.25 on average)" in sentences(section)


def test_times_of_the_answers_are_shown_with_their_number(made: MadeRun) -> None:
    times = [
        ServerTimes(created=100.0, started=103.0, completed=110.0 + n, inference=7.0 + n, stages={"denoise": 5.0})
        for n in range(3)
    ]
    jobs = [j for j in made.jobs if (j.scenario, j.case, j.warmup) == (SCENARIO, CASE, False)]
    with_times = [msgspec.structs.replace(j, server=times[n] if n < 3 else None) for n, j in enumerate(jobs)]
    found = evidence(made, jobs=with_times)
    rows = {row[1]: row[2:4] for row in tables(server_answers.section(found))[0].rows}
    assert rows == {
        "inference_time_s": ("3", "8.000"),
        "created to started": ("3", "3.000"),
        "started to completed": ("3", "8.000"),
        "created to completed": ("3", "11.000"),
        "Server-Timing: denoise": ("3", "5.000"),
    }


def test_the_rank_correlation_is_that_of_scipy() -> None:
    xs = [1.0, 2.0, 2.0, 4.0, 5.0, 3.0, 7.0, 8.0, 9.0, 1.0, 4.0, 6.0]
    ys = [2.0, 1.0, 4.0, 3.0, 6.0, 5.0, 5.0, 9.0, 7.0, 2.0, 8.0, 6.0]
    found, expected = association(xs, ys), stats.spearmanr(xs, ys)
    assert found is not None
    assert (found.rho, found.p, found.n) == (pytest.approx(expected.statistic), pytest.approx(expected.pvalue), 12)
    assert found.interval.lower is not None
    assert found.interval.upper is not None
    assert found.interval.lower < found.rho < found.interval.upper
    assert association(xs[:9], ys[:9]) is None
    assert association([1.0] * 12, ys) is None


def test_a_run_without_resources_scenarios_shows_gpus_and_energy_in_its_performance_report(made: MadeRun) -> None:
    found = foreign(made, gauge(made, "gpu_power", 300.0), gauge(made, "resident_memory", 1e9, labels={}))
    titles = [s.title for s in build_report(found, analyse(found, "performance"), Dimension.PERFORMANCE).sections]
    assert [title for title in titles if "server" in title or title in {"GPUs", "Energy and cost"}] == [
        "CPU and memory of the server", "GPUs", "Energy and cost",
    ]  # fmt: skip


def test_indicators_of_the_service_are_not_asked_of_others(made: MadeRun) -> None:
    found = foreign(made, gauge(made, "gpu_errors", 0.0))
    of_others = {sli.id for sli in server_slis.of_target(found, Path("nowhere")).slis}
    of_ours = {sli.id for sli in server_slis.of_target(evidence(made), Path("nowhere")).slis}
    assert {"memory_leaked", "cache_hit_rate", "cpu_utilisation", "mttr"} & of_others == set()
    assert {"response_time_p95", "success_rate", "jobs_lost", "server_memory_growth"} <= of_others
    assert {sli for sli in of_ours if sli.startswith("server_")} == set()
    judged = dataclasses.replace(found, catalogue=server_slis.of_target(found, Path("nowhere")))
    there = {sli.id for sli in server_slis.that_exist(judged).slis if sli.id.startswith("server_")}
    assert there == {"server_gpu_errors"}
    unseen = {sli.id for sli in server_slis.that_exist(dataclasses.replace(judged, server=None)).slis}
    assert {sli for sli in unseen if sli.startswith("server_")} == {"server_memory_growth"}

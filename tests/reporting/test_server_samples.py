"""Differences at the borders of a case, from samples that are known."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec
import pytest

from reelbench.loadgen.record.run import RunRecord
from reelbench.loadgen.record.stack import MetricsSourceRecord
from reelbench.reporting.evidence.prometheus import Line, Matrix, Prometheus
from reelbench.reporting.evidence.server_evidence import ServerCount, ServerEvidence, ServerGauge
from reelbench.reporting.evidence.server_samples import read_server
from tests.data_helper import job
from tests.reporting.made_run import MadeRun

STARTED, ENDED = 1000.0, 1010.0


class Stored(Prometheus):
    """A Prometheus that holds these series."""

    def __init__(self, *lines: Line) -> None:
        self._lines = lines

    def matrices(self, asked: Sequence[tuple[str, float]]) -> list[Matrix]:
        found = []
        for query, instant in asked:
            names, window = re.fullmatch(r'\{.*__name__=~"(.*)"\}\[(\d+)ms\]', query).groups()
            begun = instant - int(window) / 1000
            found.append(
                tuple(
                    Line(line.metric, tuple(p for p in line.values if begun < p[0] <= instant))
                    for line in self._lines
                    if re.fullmatch(names, line.metric["__name__"])
                    and any(begun < at <= instant for at, _ in line.values)
                )
            )
        return found


def line(name: str, values: dict[float, float], **labels: str) -> Line:
    return Line({"__name__": name, **labels}, tuple((at, repr(value)) for at, value in values.items()))


@pytest.fixture
def run(made: MadeRun) -> RunRecord:
    """A run of one case, from 1000 to 1010."""
    scenario = next(s for s in made.run.scenarios if s.name == "single_request")
    case = msgspec.structs.replace(scenario.cases[0], name="n01", started=STARTED, ended=ENDED)
    return msgspec.structs.replace(made.run, scenarios=[msgspec.structs.replace(scenario, cases=[case])])


def read(run: RunRecord, names: tuple[str, ...], *lines: Line, sent: float | None = None) -> ServerEvidence:
    source = MetricsSourceRecord(
        url="http://server/metrics", selector='{reelbench_source="1"}', names=names, scraped=True, interval=1.0
    )
    jobs = [job(0, due=1001.0)] + ([] if sent is None else [job(1, due=sent - 0.001)])
    return read_server(run, jobs, [source], Stored(*lines), None)


def count(found: ServerEvidence, role: str, result: str = "") -> ServerCount:
    (one,) = (c for c in found.counts if (c.role, c.result) == (role, result))
    return one


def gauge(found: ServerEvidence, role: str) -> ServerGauge:
    (one,) = (g for g in found.gauges if g.role == role)
    return one


UP = line("up", {990.5 + n: 1.0 for n in range(30)})


def histogram(name: str, before: dict[str, float], after: dict[str, float], **labels: str) -> list[Line]:
    at = (999.5, 1012.5)
    lines = [
        line(f"{name}_{part}", dict(zip(at, (before[part], after[part]), strict=True)), **labels)
        for part in ("sum", "count")
    ]
    bounds = [part for part in before if part not in {"sum", "count"}]
    return lines + [
        line(f"{name}_bucket", dict(zip(at, (before[le], after[le]), strict=True)), le=le, **labels) for le in bounds
    ]


@pytest.mark.parametrize("prefix", ["vllm_omni:", "vllm:omni_"])
def test_a_histogram_is_the_difference_of_the_samples_around_the_case(run: RunRecord, prefix: str) -> None:
    lines = histogram(
        f"{prefix}e2e_request_latency_s",
        {"sum": 10.0, "count": 4.0, "1.0": 1.0, "5.0": 4.0, "+Inf": 4.0},
        {"sum": 31.5, "count": 14.0, "1.0": 3.0, "5.0": 13.0, "+Inf": 14.0},
        model_name="m",
    )
    found = count(read(run, ("vllm_omni",), UP, *lines), "latency")
    assert (found.value, found.count, found.buckets) == (21.5, 10.0, ((1.0, 2.0), (5.0, 9.0)))
    assert (found.before, found.after) == (999.5, 1012.5)


def test_what_grows_with_jobs_ends_before_others_are_sent_and_what_grows_with_time_at_the_first_sample(
    run: RunRecord,
) -> None:
    done = line("vllm_omni:requests_success_total", {999.5: 1.0, 1010.5: 3.0, 1012.5: 4.0, 1015.5: 9.0})
    cpu = line("process_cpu_seconds_total", {999.5: 1.0, 1010.5: 3.0, 1012.5: 4.0, 1015.5: 9.0})
    found = read(run, ("process", "vllm_omni"), UP, done, cpu, sent=1014.0)
    assert count(found, "requests", "completed").value == 3.0
    assert count(found, "cpu_seconds").value == 2.0


def test_a_series_that_begins_within_the_case_begins_at_zero(run: RunRecord) -> None:
    failed = line("vllm_omni:requests_failed_total", {1005.5: 1.0, 1010.5: 2.0}, reason="stage_error")
    cancelled = line("vllm_omni:requests_failed_total", {1005.5: 1.0, 1010.5: 5.0}, reason="client_abort")
    found = read(run, ("vllm_omni",), UP, failed, cancelled)
    assert count(found, "requests", "failed").value == 2.0
    assert count(found, "requests", "cancelled").value == 5.0


def test_warm_up_is_left_out_where_it_is_labelled(run: RunRecord) -> None:
    name = "sglang:diffusion_requests_total"
    lines = [
        line(name, {999.5: 0.0, 1010.5: 7.0}, status="success", is_warmup="false"),
        line(name, {999.5: 0.0, 1010.5: 3.0}, status="error", is_warmup="false"),
        line(name, {999.5: 0.0, 1010.5: 50.0}, status="success", is_warmup="true"),
    ]
    found = read(run, ("sglang_diffusion",), UP, *lines)
    assert count(found, "requests", "completed").value == 7.0
    assert count(found, "requests", "failed").value == 3.0


def test_sums_in_microseconds_have_a_number_of_their_own(run: RunRecord) -> None:
    lines = [
        line("nv_inference_queue_duration_us", {999.5: 1e6, 1010.5: 4e6}, model="m"),
        line("nv_inference_request_success", {999.5: 2.0, 1010.5: 8.0}, model="m"),
    ]
    found = count(read(run, ("triton",), UP, *lines), "queue_time")
    assert (found.value, found.count) == (3.0, 6.0)


def test_units_of_gpus_are_converted(run: RunRecord) -> None:
    labels = {"gpu": "0", "Hostname": "h", "UUID": "u"}
    lines = [
        line("DCGM_FI_DEV_GPU_UTIL", {999.5: 0.0, 1002.5: 50.0, 1003.5: 100.0, 1011.5: 0.0}, **labels),
        line("DCGM_FI_DEV_FB_USED", {1002.5: 2048.0}, **labels),
        line("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", {999.5: 5000.0, 1005.5: 9000.0, 1010.5: 12500.0}, **labels),
    ]
    found = read(run, ("dcgm",), UP, *lines)
    used = gauge(found, "gpu_utilisation")
    assert (used.n, used.mean, used.least, used.most, used.before, used.after) == (2, 0.75, 0.5, 1.0, 0.0, 0.0)
    assert gauge(found, "gpu_memory").most == 2048 * 1024**2
    assert count(found, "gpu_energy").value == 7.5
    assert used.labels == {"gpu": "0", "Hostname": "h"}


def test_differences_across_a_restart_are_not_used(run: RunRecord) -> None:
    done = line("vllm_omni:requests_success_total", {999.5: 4.0, 1004.5: 9.0, 1006.5: 0.0, 1010.5: 5.0})
    started = line("process_start_time_seconds", {999.5: 900.0, 1006.5: 1005.0, 1010.5: 1005.0})
    for lines in ((done,), (started, line("vllm_omni:requests_success_total", {999.5: 1.0, 1010.5: 5.0}))):
        found = read(run, ("process", "vllm_omni"), UP, *lines)
        assert found.places[0].restarted
        assert count(found, "requests", "completed").value is None


def test_without_a_sample_on_one_side_nothing_is_subtracted(run: RunRecord) -> None:
    done = line("vllm_omni:requests_success_total", {1004.5: 9.0, 1010.5: 12.0})
    found = read(run, ("vllm_omni",), done)
    (place,) = found.places
    assert (place.restarted, place.before, place.after) == (False, None, 0.5)
    assert count(found, "requests", "completed").value is None


def test_failed_scrapes_are_counted(run: RunRecord) -> None:
    up = line("up", {999.5 + n: 0.0 if n in {3, 4} else 1.0 for n in range(14)})
    (place,) = read(run, ("vllm_omni",), up, line("vllm_omni:num_requests_running", {999.5: 0.0, 1010.5: 0.0})).places
    assert (place.scrapes, place.failed, place.before, place.after) == (10, 2, 0.5, 0.5)


def test_the_time_in_which_an_energy_counter_stands_still_is_kept(run: RunRecord) -> None:
    name = "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"
    still = line(name, {999.5 + n: 1000.0 * (n // 4) for n in range(14)}, gpu="0")
    moving = line(name, {999.5 + n: 1000.0 * n for n in range(14)}, gpu="0")
    assert count(read(run, ("dcgm",), UP, still), "gpu_energy").step == 4.0
    assert count(read(run, ("dcgm",), UP, moving), "gpu_energy").step == 0.0


def test_gauges_of_several_processes_are_added(run: RunRecord) -> None:
    lines = [
        line("vllm_omni:num_requests_running", {999.5: 0.0, 1001.5: 2.0, 1002.5: 2.0}, model_name="a"),
        line("vllm_omni:num_requests_running", {999.5: 0.0, 1001.5: 3.0, 1002.5: 1.0}, model_name="b"),
    ]
    found = gauge(read(run, ("vllm_omni",), UP, *lines), "running")
    assert (found.n, found.mean, found.most) == (2, 4.0, 5.0)


def test_values_and_bounds_that_are_no_numbers_harm_nothing(run: RunRecord) -> None:
    lines = [
        *histogram(
            "vllm_omni:e2e_request_latency_s",
            {"sum": 1.0, "count": 1.0, "x": 1.0},
            {"sum": 3.0, "count": 2.0, "x": 2.0},
        ),
        line(
            "vllm_omni:num_requests_running", {1001.5: float("inf"), 1002.5: 1e300, 1003.5: float("nan"), 1004.5: 2.0}
        ),
    ]
    found = read(run, ("vllm_omni",), UP, *lines)
    assert (count(found, "latency").value, count(found, "latency").buckets) == (2.0, ())
    assert (gauge(found, "running").n, gauge(found, "running").mean) == (1, 2.0)
    assert msgspec.json.decode(msgspec.json.encode(found), type=ServerEvidence) == found

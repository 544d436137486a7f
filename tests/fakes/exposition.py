"""`/metrics` of a fake: the names of real servers and exporters, with values that follow from the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal

import msgspec

from tests.fakes.figures import (
    CELSIUS_AT_FULL,
    IDLE_CELSIUS,
    OPEN_FDS,
    STAGES,
    SUBMIT_SECONDS,
    WARMUP_REQUESTS,
    WARMUP_SECONDS,
    Figures,
    figures,
)
from tests.fakes.generation import Load
from tests.fakes.truth import Truth

BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
SGLANG_STAGES: Final = ("TextEncodingStage", "DenoisingStage", "DecodingStage")

Labels = Mapping[str, str]


class Sample(msgspec.Struct, frozen=True):
    """One value under a name."""

    labels: Labels
    value: float


class Family(msgspec.Struct, frozen=True):
    """One name with its type and samples; a histogram has its observations in place of samples."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    samples: tuple[Sample, ...] = ()
    observations: tuple[tuple[Labels, tuple[float, ...]], ...] = ()

    def lines(self) -> Iterable[str]:
        """Return the family in the text format."""
        yield f"# HELP {self.name} {self.name} of a fake server."
        yield f"# TYPE {self.name} {self.kind}"
        for sample in self.samples:
            yield _line(self.name, sample.labels, sample.value)
        for labels, values in self.observations:
            for bound in BUCKETS:
                count = sum(value <= bound for value in values)
                yield _line(f"{self.name}_bucket", {**labels, "le": f"{bound}"}, count)
            yield _line(f"{self.name}_bucket", {**labels, "le": "+Inf"}, len(values))
            yield _line(f"{self.name}_sum", labels, sum(values))
            yield _line(f"{self.name}_count", labels, len(values))


class Context(msgspec.Struct, frozen=True):
    """What a family is made from."""

    now: Figures
    load: Load
    model: str


def exposition(names: frozenset[str], truth: Truth, load: Load, model: str) -> str:
    """Return the text of the families selected."""
    context = Context(figures(truth, load), load, model)
    lines = [line for name in sorted(names) for family in FAMILIES[name](context) for line in family.lines()]
    return "\n".join(lines) + "\n"


def _line(name: str, labels: Labels, value: float) -> str:
    inner = ",".join(f'{label}="{text}"' for label, text in labels.items())
    return f"{name}{{{inner}}} {value!r}" if inner else f"{name} {value!r}"


def _one(name: str, kind: Literal["counter", "gauge"], value: float, labels: Labels | None = None) -> Family:
    return Family(name, kind, (Sample(labels or {}, value),))


def _histogram(name: str, values: Iterable[float], labels: Labels | None = None) -> Family:
    return Family(name, "histogram", observations=((labels or {}, tuple(values)),))


def _sglang(context: Context) -> list[Family]:
    now, labels = context.now, {"role": "monolithic", "replica": "0"}
    warm = (WARMUP_SECONDS,) * WARMUP_REQUESTS
    counts = {("success", "false"): now.completed, ("error", "false"): now.failed, ("success", "true"): WARMUP_REQUESTS}
    return [
        _one("sglang:diffusion_num_queue_reqs", "gauge", now.waiting, labels),
        _one("sglang:diffusion_num_running_reqs", "gauge", now.running, labels),
        Family(
            "sglang:diffusion_requests_total",
            "counter",
            tuple(
                Sample({**labels, "status": status, "is_warmup": warmup}, count)
                for (status, warmup), count in counts.items()
            ),
        ),
        Family(
            "sglang:diffusion_request_latency_seconds",
            "histogram",
            observations=(
                ({**labels, "status": "success", "is_warmup": "false"}, now.latencies_of("completed")),
                ({**labels, "status": "error", "is_warmup": "false"}, now.latencies_of("failed")),
                ({**labels, "status": "success", "is_warmup": "true"}, warm),
            ),
        ),
        Family(
            "sglang:diffusion_queue_time_seconds",
            "histogram",
            observations=(
                ({**labels, "is_warmup": "false"}, now.queue_times),
                ({**labels, "is_warmup": "true"}, (0.0,) * WARMUP_REQUESTS),
            ),
        ),
        Family(
            "sglang:diffusion_stage_host_latency_seconds",
            "histogram",
            observations=tuple(
                ({**labels, "stage": stage}, tuple(time * share for time in (*warm, *now.generation_times)))
                for stage, share in zip(SGLANG_STAGES, STAGES.values(), strict=True)
            ),
        ),
        _histogram("sglang:diffusion_generation_batch_size", [1.0] * len(now.latencies), labels),
    ]


def _vllm_omni(context: Context, prefix: str = "vllm_omni:") -> list[Family]:
    now, labels = context.now, {"model_name": context.model}
    stage = {**labels, "stage": "0"}
    replica = {**stage, "replica": "0"}
    denoise = [time * STAGES["denoise"] for time in now.generation_times]
    per_step = [time / steps for time, steps in zip(denoise, now.steps, strict=True)]
    return [
        _one(f"{prefix}num_requests_running", "gauge", now.running, labels),
        _one(f"{prefix}num_requests_waiting", "gauge", now.waiting, labels),
        Family(
            f"{prefix}requests_success_total",
            "counter",
            (
                Sample({**labels, "finished_reason": "stop"}, now.completed),
                Sample({**labels, "finished_reason": "abort"}, now.cancelled),
            ),
        ),
        _one(f"{prefix}requests_failed_total", "counter", now.failed, {**labels, "reason": "stage_error"}),
        _histogram(f"{prefix}e2e_request_latency_s", now.latencies, labels),
        _histogram(f"{prefix}request_queue_wait_s", now.queue_times, labels),
        _histogram(f"{prefix}stage_gen_time_s", now.generation_times, {**stage, "stage_type": "diffusion"}),
        _histogram(f"{prefix}diffusion_exec_s", denoise, replica),
        _histogram(f"{prefix}diffusion_exec_per_step_s", per_step, replica),
        _histogram(f"{prefix}vae_decode_s", [time * STAGES["vae_decode"] for time in now.generation_times], replica),
        _histogram(f"{prefix}num_inference_steps", now.steps, labels),
        _one(f"{prefix}peak_memory_mb", "gauge", context.load.peak_memory_mb, stage),
    ]


def _tensorrt_llm(context: Context, prefix: str = "trtllm_") -> list[Family]:
    now, labels = context.now, {"model_name": context.model, "engine_type": "diffusion"}
    return [
        _one(f"{prefix}request_success_total", "counter", now.completed, {**labels, "finished_reason": "stop"}),
        _histogram(f"{prefix}e2e_request_latency_seconds", now.latencies, labels),
        _histogram(f"{prefix}request_queue_time_seconds", now.queue_times, labels),
        _histogram(f"{prefix}request_inference_time_seconds", now.generation_times, labels),
        _one(f"{prefix}num_requests_running", "gauge", now.running, labels),
        _one(f"{prefix}num_requests_waiting", "gauge", now.waiting, labels),
        _one(f"{prefix}gpu_memory_usage_bytes", "gauge", now.gpu_mib * 1024**2, labels),
    ]


def _dynamo(context: Context) -> list[Family]:
    now, labels = context.now, {"model": context.model}
    video = {**labels, "endpoint": "videos", "request_type": "unary"}
    return [
        Family(
            "dynamo_frontend_requests_total",
            "counter",
            (Sample({**video, "status": "success"}, now.completed), Sample({**video, "status": "error"}, now.failed)),
        ),
        _one("dynamo_frontend_inflight_requests", "gauge", now.running + now.waiting, labels),
        _one("dynamo_frontend_queued_requests", "gauge", now.waiting, labels),
        _histogram("dynamo_frontend_request_duration_seconds", now.latencies, labels),
    ]


def _triton(context: Context) -> list[Family]:
    now, labels, gpu = context.now, {"model": context.model, "version": "1"}, {"gpu_uuid": "GPU-fake-0"}
    return [
        _one("nv_inference_request_success", "counter", now.completed, labels),
        _one("nv_inference_request_failure", "counter", now.failed, {**labels, "reason": "OTHER"}),
        _one("nv_inference_queue_duration_us", "counter", sum(now.queue_times) * 1e6, labels),
        _one("nv_inference_compute_infer_duration_us", "counter", sum(now.generation_times) * 1e6, labels),
        _one("nv_gpu_utilization", "gauge", now.utilisation, gpu),
        _one("nv_gpu_memory_used_bytes", "gauge", now.gpu_mib * 1024**2, gpu),
        _one("nv_energy_consumption", "counter", now.joules, gpu),
    ]


def _litellm(context: Context) -> list[Family]:
    now, labels = context.now, {"requested_model": context.model, "route": "/v1/videos"}
    return [
        _one("litellm_proxy_total_requests_metric_total", "counter", now.requests, labels),
        _one("litellm_proxy_failed_requests_metric_total", "counter", now.refused, labels),
        _histogram("litellm_llm_api_latency_metric", [SUBMIT_SECONDS] * (now.requests - now.refused), labels),
    ]


def _dcgm(context: Context) -> list[Family]:
    now = context.now
    labels = {"gpu": "0", "UUID": "GPU-fake-0", "device": "nvidia0", "modelName": "Fake GPU", "Hostname": "fake"}
    celsius = IDLE_CELSIUS + (CELSIUS_AT_FULL - IDLE_CELSIUS) * now.utilisation
    return [
        _one("DCGM_FI_DEV_GPU_UTIL", "gauge", 100 * now.utilisation, labels),
        _one("DCGM_FI_DEV_FB_USED", "gauge", now.gpu_mib, labels),
        _one("DCGM_FI_DEV_POWER_USAGE", "gauge", now.watts, labels),
        _one("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "counter", now.joules * 1000, labels),
        _one("DCGM_FI_DEV_GPU_TEMP", "gauge", celsius, labels),
        _one("DCGM_FI_DEV_XID_ERRORS", "gauge", 0, labels),
    ]


def _process(context: Context) -> list[Family]:
    now = context.now
    return [
        _one("process_cpu_seconds_total", "counter", now.cpu_seconds),
        _one("process_resident_memory_bytes", "gauge", now.resident_bytes),
        _one("process_open_fds", "gauge", OPEN_FDS),
        _one("process_start_time_seconds", "gauge", now.process_started),
    ]


FAMILIES: Final[dict[str, Callable[[Context], list[Family]]]] = {
    "sglang": _sglang,
    "vllm_omni": _vllm_omni,
    "vllm_omni_older": lambda context: _vllm_omni(context, "vllm:omni_"),
    "tensorrt_llm": _tensorrt_llm,
    "tensorrt_llm_colon": lambda context: _tensorrt_llm(context, "trtllm:"),
    "dynamo": _dynamo,
    "triton": _triton,
    "litellm": _litellm,
    "dcgm": _dcgm,
    "process": _process,
}
"""Families of names that can be selected."""

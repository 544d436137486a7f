"""What the fakes have around their manners: load, files, telemetry, a command line, and real clients."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import urllib.request
from typing import Any

import aiohttp
import av
import pytest
from openai import AsyncOpenAI, AuthenticationError, NotFoundError

from tests.fakes.clip import BAD_FILES, ClipSpec, file
from tests.fakes.exposition import FAMILIES
from tests.fakes.figures import FULL_WATTS, IDLE_WATTS
from tests.fakes.generation import Load
from tests.fakes.hostile import HOSTILITIES, hostile
from tests.fakes.manners import SERVERS, SWITCHES, manner
from tests.fakes.plain_client import client, measured
from tests.fakes.server import Fake
from tests.fakes.serving import child, serving


@pytest.mark.parametrize("switch", SWITCHES)
def test_a_switch_changes_a_server(switch: str) -> None:
    changed = [name for name in SERVERS if manner(name, [switch]) != SERVERS[name]]
    assert len(changed) >= 4


@pytest.mark.extended
@pytest.mark.filterwarnings("ignore:The Sora API is scheduled:DeprecationWarning")
@pytest.mark.parametrize("server", ["openai", "vllm_omni", "litellm"])
async def test_the_official_client_library_drives_a_fake(server: str) -> None:
    fake = Fake(manner(server), Load(seconds=0.2, fail_every=2))
    async with serving(fake), AsyncOpenAI(base_url=fake.base, api_key=fake.key, max_retries=0) as openai:
        good = await openai.videos.create_and_poll(
            model=fake.model, prompt="a cat", seconds="4", size="720x1280", poll_interval_ms=50
        )
        bad = await openai.videos.create_and_poll(model=fake.model, prompt="a cat", seconds="4", poll_interval_ms=50)
        assert (good.status, bad.status) == ("completed", "failed")
        assert bad.error is not None
        assert bad.error.message == "The generator ran out of memory."
        content = await openai.videos.download_content(good.id)
        assert measured(content.read()) == ClipSpec(720, 1280, 64, 16)
        if server != "litellm":
            assert [video.id async for video in openai.videos.list(limit=1)] == [bad.id, good.id]
        if server == "openai":
            with pytest.raises(AuthenticationError):
                await openai.with_options(api_key="sk-other").videos.retrieve(bad.id)
            thumbnail = await openai.videos.download_content(good.id, variant="thumbnail")
            assert thumbnail.read()[8:12] == b"WEBP"
        if server != "litellm":
            assert (await openai.videos.delete(good.id)).deleted is True
            with pytest.raises(NotFoundError):
                await openai.videos.retrieve(good.id)
    assert fake.truth.ends == {"completed": 1, "failed": 1}


async def test_slots_steps_and_scale_decide_when_a_job_ends() -> None:
    load = Load(seconds=10, seconds_per_step=1, time_scale=0.03, slots=2)
    async with client(manner("fastvideo"), load) as fake:
        for _ in range(4):
            await fake.create(num_inference_steps=10)
        summary = (await fake.ask("GET", "/truth", base=fake.fake.origin))[2]
        assert (summary["running"], summary["waiting"]) == (2, 2)
        last = fake.fake.truth.jobs[3]
        await fake.ended(last.id)
        first, third = fake.fake.truth.jobs[0], fake.fake.truth.jobs[2]
        assert first.started is not None
        assert first.ended is not None
        assert third.started is not None
        assert last.ended is not None
        assert 0.59 < first.ended - first.started < 10  # a busy machine adds to 0.6 s; without the scale it is 20 s
        assert third.started >= first.ended
        assert 2.36 < fake.fake.truth.busy_seconds(last.ended) < 40


async def test_a_server_that_forgets_ended_jobs() -> None:
    async with client(manner("fastvideo"), Load(seconds=0.01, forget_after=0.2)) as fake:
        identity = (await fake.create())[2]["id"]
        await fake.ended(identity)
        await asyncio.sleep(0.4)
        assert (await fake.ask("GET", f"/{identity}"))[0] == 404
        assert (await fake.ask("GET", ""))[2]["data"] == []
        assert (fake.fake.truth.forgotten, fake.fake.truth.deleted) == (1, 0)


async def test_a_server_that_loses_jobs() -> None:
    async with client(manner("fastvideo"), Load(seconds=0.1, lose_every=2)) as fake:
        kept, gone = [(await fake.create())[2]["id"] for _ in range(2)]
        await fake.ended(kept)
        await fake.fake.generation.until_over(fake.fake.truth.jobs[1])
        assert (await fake.ask("GET", f"/{gone}"))[0] == 404
        assert [video["id"] for video in (await fake.ask("GET", ""))[2]["data"]] == [kept]
        assert (fake.fake.truth.lost, fake.fake.truth.ends) == (1, {"completed": 1})


@pytest.mark.parametrize("bad", BAD_FILES)
async def test_a_bad_file_is_bad(bad: Any) -> None:
    spec = ClipSpec(64, 48, 16, 8)
    async with client(manner("fastvideo"), Load(seconds=0.01, bad_file=bad, bad_every=2)) as fake:
        answers = []
        for _ in range(2):
            identity = (await fake.create(num_frames=16))[2]["id"]
            await fake.ended(identity)
            answers.append(await fake.ask("GET", f"/{identity}/content"))
    (_, _, good), (_, headers, data) = answers
    assert measured(good) == spec
    assert data == file(spec, bad)
    expected = {"wrong_length": ClipSpec(64, 48, 8, 8), "wrong_size": ClipSpec(32, 24, 16, 8)}
    if bad in expected:
        assert measured(data) == expected[bad]
    else:
        with pytest.raises((av.FFmpegError, IndexError)):
            measured(data)
    assert headers["content-type"] == ("text/html" if bad == "html" else "video/mp4")


def samples(text: str) -> dict[str, float]:
    """Values by name and by the labels that tell them apart, without buckets."""
    values: dict[str, float] = {}
    for name, inner, value in re.findall(r"^([^#{ ]+)(?:{(.*)})? (\S+)$", text, re.MULTILINE):
        labels = dict(re.findall(r'(\w+)="([^"]*)"', inner))
        if "le" not in labels:
            kept = [labels[label] for label in ("stage", "status", "is_warmup", "finished_reason") if label in labels]
            values[" ".join([name, *kept])] = float(value)
    return values


async def test_telemetry_agrees_with_the_truth_to_the_digit() -> None:
    made = manner("fastvideo", metrics=frozenset(FAMILIES))
    async with client(made, Load(seconds=0.1, fail_every=3, slots=1)) as fake:
        identities = [(await fake.create(num_inference_steps=5))[2]["id"] for _ in range(3)]
        for identity in identities:
            await fake.ended(identity)
        shown = samples((await fake.ask("GET", "/metrics", base=fake.fake.origin))[2].decode())
        jobs = fake.fake.truth.jobs
        latency = sum((job.ended or 0) - job.created for job in jobs)
        generation = sum((job.ended or 0) - (job.started or 0) for job in jobs)
        queue = sum((job.started or 0) - job.created for job in jobs)
        assert shown["vllm_omni:requests_success_total stop"] == 2
        assert shown["vllm_omni:requests_failed_total"] == 1
        assert shown["vllm_omni:e2e_request_latency_s_sum"] == pytest.approx(latency, rel=1e-12)
        assert shown["vllm_omni:e2e_request_latency_s_count"] == 3
        assert shown["vllm:omni_request_queue_wait_s_sum"] == pytest.approx(queue, rel=1e-12)
        assert shown["vllm_omni:diffusion_exec_per_step_s_sum 0"] == pytest.approx(generation * 0.8 / 5, rel=1e-12)
        assert shown["vllm_omni:stage_gen_time_s_sum 0"] == pytest.approx(generation, rel=1e-12)
        assert shown["sglang:diffusion_requests_total success false"] == 2
        assert shown["sglang:diffusion_requests_total error false"] == 1
        assert shown["sglang:diffusion_requests_total success true"] == 2
        assert shown["sglang:diffusion_queue_time_seconds_sum false"] == pytest.approx(queue, rel=1e-12)
        assert shown["sglang:diffusion_stage_host_latency_seconds_sum DenoisingStage"] == pytest.approx(
            (generation + 6) * 0.8, rel=1e-12
        )
        assert shown["trtllm_request_success_total stop"] == shown["trtllm:request_success_total stop"] == 2
        assert shown["trtllm_request_inference_time_seconds_sum"] == pytest.approx(generation, rel=1e-12)
        assert shown["dynamo_frontend_requests_total success"] == 2
        assert shown["nv_inference_request_failure"] == 1
        assert shown["nv_inference_compute_infer_duration_us"] == pytest.approx(generation * 1e6, rel=1e-12)
        assert shown["litellm_proxy_total_requests_metric_total"] == 3
        assert shown["process_cpu_seconds_total"] == pytest.approx(generation / 2, rel=1e-12)
        assert shown["DCGM_FI_DEV_GPU_UTIL"] == 0


async def test_energy_follows_the_busy_slots() -> None:
    made = manner("fastvideo", metrics=frozenset({"dcgm", "process"}))
    async with client(made, Load(seconds=0.5, slots=2)) as fake:
        base = fake.fake.origin

        async def now() -> tuple[dict[str, float], dict[str, float]]:
            text = (await fake.ask("GET", "/metrics", base=base))[2].decode()
            return samples(text), (await fake.ask("GET", "/truth", base=base))[2]["figures"]

        alone = (await fake.ask("GET", "/metrics/dcgm", base=base))[2].decode()
        assert {name.partition("_")[0] for name in samples(alone)} == {"DCGM"}
        before, _ = await now()
        identity = (await fake.create())[2]["id"]
        during, _ = await now()
        assert during["DCGM_FI_DEV_GPU_UTIL"] == 50
        assert during["DCGM_FI_DEV_POWER_USAGE"] == (IDLE_WATTS + FULL_WATTS) / 2
        assert during["DCGM_FI_DEV_FB_USED"] == before["DCGM_FI_DEV_FB_USED"] + 1024
        await fake.ended(identity)
        after, figures = await now()
        job = fake.fake.truth.jobs[0]
        joules = figures["at"] - figures["process_started"]
        joules = IDLE_WATTS * joules + (FULL_WATTS - IDLE_WATTS) / 2 * ((job.ended or 0) - (job.started or 0))
        assert figures["joules"] == pytest.approx(joules, rel=1e-12)
        assert after["DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"] == pytest.approx(joules * 1000, rel=0.02)


@pytest.mark.extended
def test_a_fake_runs_alone_and_can_be_paused() -> None:
    options = ("--server", "vllm_omni", "--seconds", "0.1", "--fail-every", "5", "--metrics", "dcgm")
    with child(*options) as fake:
        body = b"prompt=a+cat&size=64x48&num_frames=4"
        with urllib.request.urlopen(f"{fake.origin}/v1/videos", body, timeout=10) as answer:  # noqa: S310
            assert answer.status == 200
        assert fake.truth()["created"] == 1
        os.kill(fake.pid, signal.SIGSTOP)
        with pytest.raises(TimeoutError):
            urllib.request.urlopen(f"{fake.origin}/health", timeout=0.3)  # noqa: S310
        os.kill(fake.pid, signal.SIGCONT)
        with urllib.request.urlopen(f"{fake.origin}/metrics", timeout=10) as answer:  # noqa: S310
            assert b"DCGM_FI_DEV_GPU_UTIL{" in answer.read()


@pytest.mark.parametrize("name", HOSTILITIES)
async def test_a_hostile_server_sends_what_it_promises(name: str) -> None:
    operation = {"create": "POST", "list": "GET"}.get(name.partition("-")[0], "GET")
    path = {"create": "", "list": "", "content": "/video_1/content"}.get(name.partition("-")[0], "/video_1")
    async with hostile(HOSTILITIES[name]()) as server, aiohttp.ClientSession() as session:
        url = f"{server.origin}/v1/videos{path}"
        try:
            async with asyncio.timeout(0.5), session.request(operation, url, allow_redirects=False) as answer:
                async for _ in answer.content.iter_chunked(65536):
                    if server.sent > 8 * 1024**2:
                        break
        except (TimeoutError, aiohttp.ClientError):
            pass
        assert server.requests == [f"{operation} /v1/videos{path} HTTP/1.1"]
        if "1gb" in name or "endless" in name:
            assert server.sent > 8 * 1024**2
        else:
            assert server.sent <= 300_000

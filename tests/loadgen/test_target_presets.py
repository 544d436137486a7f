"""Every preset drives a server of its kind, and single manners of servers are read without one."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from reelbench.loadgen.drive.job_integrity import count_store
from reelbench.loadgen.http.credentials import Credentials
from reelbench.loadgen.record.jobs import Outcome
from reelbench.loadgen.target.target_error import TargetError
from reelbench.loadgen.target.target_file import load_preset, presets
from tests.fakes.generation import Load
from tests.fakes.manners import SERVERS, SWITCHES, manner
from tests.fakes.server import KEY, MODEL, Fake
from tests.fakes.serving import serving
from tests.fakes.shapes import REASON
from tests.loadgen.certificates import authority, certificate
from tests.loadgen.harness import Bench, bench, case, scenario
from tests.loadgen.raw_server import Asked, Peer, raw

QUICK = Load(seconds=0.05, fail_every=3)
FAILURES = {"fails-cancelled": "cancelled", "fails-expired": "expired", "fails-deleted": "deleted"}
"""Switch -> how the server ends the jobs that fail."""


def key_for(fake: Fake) -> Credentials:
    return Credentials(origin=fake.origin, headers={"Authorization": f"Bearer {KEY}"} if fake.manner.key else {})


def spec(**changes: Any) -> Any:
    values: dict[str, Any] = {
        "steps": ["create", "wait", "content", "delete"],
        "encoding": "multipart",
        "poll_interval": 0.02,
        "time_limit": 60,  # the first clip of a size is encoded, which takes seconds on a busy machine
        "cases": [case(iterations=3)],
    }
    return scenario(**values | changes)


@asynccontextmanager
async def driving(fake: Fake, name: str | None = None, ending: str = "") -> AsyncIterator[Bench]:
    """Serve a fake and yield a client for it, by a preset or by none."""
    file = load_preset(name) if name is not None else None
    async with serving(fake), bench(fake.base + ending, None, server=file, model=MODEL, credentials=key_for(fake)) as b:
        yield b


def test_there_is_a_preset_for_each_kind_of_server() -> None:
    assert set(presets()) == {*SERVERS, "reelbench"}
    for name in SERVERS:
        assert load_preset(name).pace.time_limit == 3600


@pytest.mark.parametrize("ending", ["", pytest.param("/videos", marks=pytest.mark.extended)])
@pytest.mark.parametrize("name", SERVERS)
async def test_a_preset_drives_its_server(name: str, ending: str) -> None:
    fake = Fake(manner(name), QUICK)
    async with driving(fake, name, ending) as b:
        await b.target.check()
        jobs = [await b.run(spec(), index) for index in range(3)]
        left = {job.job_id for job in jobs if job.job_id is not None and not job.deleted}
        count = await count_store(b.target, left, 0.0)
    truth = fake.truth.jobs
    assert [job.outcome for job in jobs] == [Outcome.COMPLETED, Outcome.COMPLETED, Outcome.FAILED]
    assert [job.job_id for job in jobs] == [made.id for made in truth]
    assert jobs[2].error == REASON
    assert all(job.bytes > 1000 for job in jobs[:2])
    assert {made.model for made in truth} == {MODEL}
    assert [bool(made.deleted) for made in truth] == [job.deleted for job in jobs]
    assert count.found == len(left) or not count.offered
    assert [job.reported for job in jobs[:2]] == [fake.manner.words.completed] * 2
    synchronous = fake.manner.synchronous
    assert [job.poll_gap is not None and job.poll_gap < 2 for job in jobs] == [not synchronous] * 3


async def test_the_request_has_the_fields_of_the_server() -> None:
    asked = {}
    for name in ("openai", "vllm_omni", "tensorrt_llm", "sglang", "openrouter", "dynamo"):
        fake = Fake(manner(name), QUICK)
        async with driving(fake, name) as b:
            await b.run(spec())
        asked[name] = {key: value for key, value in fake.truth.jobs[0].fields.items() if key != "prompt"}
    assert asked == {
        "openai": {"model": MODEL, "seconds": "4", "size": "720x1280"},
        "vllm_omni": {"model": MODEL, "width": "720", "height": "1280", "num_frames": "64", "fps": "16"},
        "tensorrt_llm": {"model": MODEL, "seconds": "4.0", "size": "720x1280"},
        "sglang": {"model": MODEL, "seconds": "4", "size": "720x1280"},
        "openrouter": {"model": MODEL, "duration": "4", "size": "720x1280"},
        "dynamo": {"model": MODEL, "seconds": "4", "size": "720x1280"},
    }


@pytest.mark.extended
@pytest.mark.parametrize("preset", [None, "openai"])
@pytest.mark.parametrize("switch", [switch for switch in SWITCHES if switch != "moved-308"])
async def test_a_single_manner_breaks_nothing(switch: str, preset: str | None) -> None:
    async with serving(Fake(manner("openai", [switch], retry_after="0.05"), QUICK)) as fake:
        file = load_preset(preset) if preset is not None else None
        if file is not None and ("url" in switch or switch == "content-base64"):
            file = file.model_copy(update={"content": file.content.model_copy(update={"source": None})})
        async with bench(fake.base, None, server=file, model=MODEL, credentials=key_for(fake)) as b:
            await b.target.check()
            jobs = [await b.run(spec(), index) for index in range(3)]
            left = {job.job_id for job in jobs if job.job_id is not None and not job.deleted}
            count = await count_store(b.target, left, 0.0)
        truth = fake.truth
    assert [job.outcome for job in jobs] == [Outcome.COMPLETED, Outcome.COMPLETED, Outcome.FAILED]
    assert all(job.bytes > 1000 for job in jobs[:2])
    how = FAILURES.get(switch)
    assert jobs[2].error == (f"the server reports the job as {how}: {REASON}" if how else REASON)
    assert count.found == len(left) or not count.offered or count.error is not None
    assert [bool(made.deleted) for made in truth.jobs] == [job.deleted for job in jobs]
    elsewhere = [
        seen for seen in truth.requests if seen.path.startswith("/files/") and seen.host.startswith("localhost")
    ]
    assert all(not seen.authorization and "traceparent" not in seen.headers for seen in elsewhere)
    assert bool(elsewhere) == (
        switch in {"content-redirect", "content-url-elsewhere", "content-unsigned-urls-elsewhere"}
    )


async def test_a_redirect_of_the_api_to_another_host_is_not_followed() -> None:
    fake = Fake(manner("openai", ["moved-308"]), QUICK)
    async with driving(fake) as b:
        with pytest.raises(TargetError, match=r"give the address of that server as --target$"):
            await b.target.check()
        job = await b.run(spec())
        seen = [request for request in fake.truth.requests if request.host.startswith("localhost")]
    assert (job.outcome, seen) == (Outcome.ERROR, [])


@pytest.mark.parametrize(("retry_after", "outcome", "throttled"), [("0.05", "completed", 1), ("", "rejected", 0)])
async def test_a_throttled_create_is_sent_again_when_the_server_says_when(
    retry_after: str, outcome: str, throttled: int
) -> None:
    fake = Fake(manner("openai", create_429_every=2, retry_after=retry_after), QUICK)
    async with driving(fake, "openai") as b:
        jobs = [await b.run(spec(), index) for index in range(2)]
        recorded = await b.run(spec(refused="record"))
    assert [(job.outcome, job.throttled) for job in jobs] == [("completed", 0), (outcome, throttled)]
    assert recorded.outcome == ("rejected" if retry_after else "completed")
    if retry_after:
        assert (recorded.error, recorded.throttled) == ("HTTP 429: too many videos at the same time", 0)


@pytest.mark.parametrize("retry_after", ["0.05", "soon", ""])
async def test_throttled_polls_never_end_a_job(retry_after: str) -> None:
    fake = Fake(manner("openai", poll_429=4, retry_after=retry_after), Load(seconds=0.1))
    async with driving(fake, "openai") as b:
        job = await b.run(spec())
    assert (job.outcome, job.throttled, job.poll_gap is not None) == (Outcome.COMPLETED, 4, True)


@pytest.mark.parametrize(
    ("growing", "throttled", "least", "most"), [(True, 0, 6, 11), (False, 0, 2, 2), (True, 1, 2, 3)]
)
async def test_the_time_between_polls_grows_up_to_the_pace_of_the_preset(
    *, growing: bool, throttled: int, least: int, most: int
) -> None:
    fake = Fake(manner("openai", poll_429=throttled, retry_after="0.05"), Load(seconds=0.9))
    async with serving(fake):
        about: dict[str, Any] = {"server": load_preset("openai"), "model": MODEL, "credentials": key_for(fake)}
        async with bench(fake.base, None, growing_polls=growing, **about) as b:
            job = await b.run(spec(poll_interval=2, steps=["create", "wait"]))
        polls = len(fake.truth.requests) - 1
    assert job.outcome is Outcome.COMPLETED, job.error
    assert least <= polls <= most
    assert job.poll_gap is not None
    assert (job.poll_gap < 0.5) == (growing and not throttled)


async def test_a_throttled_job_ends_at_its_time_limit() -> None:
    fake = Fake(manner("openai", create_429_every=1, retry_after="60"), QUICK)
    async with driving(fake, "openai") as b:
        job = await b.run(spec(time_limit=0.2))
    assert (job.outcome, job.throttled, job.given_up) == (Outcome.TIMEOUT, 1, "not_cancelled")
    assert job.error == "not accepted (refused with Retry-After once) after 0.2 s"


@pytest.mark.parametrize(
    ("name", "given_up", "deleted"),
    [
        ("openai", "cancelled", True),
        ("sglang", "cancelled", True),
        ("vllm_omni", "not_offered", False),
        ("litellm", "not_offered", False),
        ("dynamo", "not_offered", False),
    ],
)
async def test_a_job_that_is_given_up_is_cancelled_where_that_is_possible(
    name: str, given_up: str, *, deleted: bool
) -> None:
    fake = Fake(manner(name), Load(seconds=30))
    async with driving(fake, name) as b:
        job = await b.run(spec(time_limit=0.3))
        await asyncio.sleep(0.1)
        made = fake.truth.jobs[0]
    assert (job.outcome, job.given_up, job.deleted) == (Outcome.TIMEOUT, given_up, deleted)
    assert job.error == "not finished after 0.3 s" if name != "dynamo" else job.error is not None
    assert made.end == ("cancelled" if deleted or name == "dynamo" else None)


async def test_what_a_list_lacks_is_unknown_where_the_server_forgets() -> None:
    fake = Fake(manner("openai"), Load(seconds=0.01, forget_after=0.05))
    async with driving(fake, "openai") as b:
        job = await b.run(spec(steps=["create", "wait", "content"]))
        await asyncio.sleep(0.2)
        assert job.job_id is not None
        count = await count_store(b.target, {job.job_id}, 0.0)
    assert (count.expected, count.found, count.offered) == (1, 0, False)
    assert count.error == "the list lacks 1 jobs: the server removes jobs that have ended, or it lost them"


@pytest.mark.extended
async def test_a_list_without_has_more_is_read_to_its_end() -> None:
    for switch in ("list-no-has-more", "list-oldest-first", "list-everything"):
        fake = Fake(manner("openai", [switch]), Load(seconds=0.01))
        async with driving(fake, "openai") as b:
            jobs = await asyncio.gather(*(b.run(spec(steps=["create", "wait", "content"])) for _ in range(130)))
            left = {job.job_id for job in jobs if job.job_id is not None}
            count = await count_store(b.target, left, 0.0)
        assert (count.found, count.offered, count.error) == (130, True, None), switch


async def test_a_cancelled_job_leaves_nothing_running() -> None:
    cancelling = scenario(
        steps=["create", "cancel"], cancel_after={"earliest": 0.05, "latest": 0.05}, poll_interval=0.02
    )
    for name in ("openai", "sglang", "tensorrt_llm"):
        fake = Fake(manner(name), Load(seconds=30))
        async with driving(fake, name) as b:
            job = await b.run(cancelling)
            assert (job.outcome, job.leftover, fake.truth.jobs[0].end) == (Outcome.CANCELLED, False, "cancelled"), name
    fake = Fake(manner("litellm"), Load(seconds=30))
    async with driving(fake, "litellm") as b:
        job = await b.run(cancelling)
    assert (job.outcome, job.error) == (Outcome.ERROR, "the server cannot cancel jobs")


@pytest.mark.parametrize(("status", "asked"), [(308, 1), (307, 5)])
async def test_a_move_from_http_to_https_is_followed_with_the_key(tmp_path: Path, status: int, asked: int) -> None:
    ca = authority(tmp_path)
    chain, key = certificate(tmp_path, "server")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(chain, key)
    fake = Fake(manner("openai"), Load(seconds=0.05))
    async with serving(fake, tls=context):

        async def move(peer: Peer, request: Asked) -> None:
            place = f"{fake.origin}{request.line.split()[1]}"
            await peer.say(f"HTTP/1.1 {status} Moved\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n".encode())

        async with raw(move) as front:
            credentials = Credentials(origin=front.url, headers={"Authorization": f"Bearer {KEY}"}, ca_file=ca)
            async with bench(front.url, server=load_preset("openai"), credentials=credentials) as b:
                jobs = [await b.run(spec(poll_interval=0.2, steps=["create", "wait", "content"])) for _ in range(2)]
    assert [job.outcome for job in jobs] == [Outcome.COMPLETED] * 2
    assert len(front.asked) == asked if status == 308 else len(front.asked) >= asked
    assert {made.authorization for made in fake.truth.requests} == {f"Bearer {KEY}"}


async def test_a_wrong_model_is_answered_in_the_words_of_the_server() -> None:
    fake = Fake(manner("vllm_omni"), QUICK)
    async with serving(fake), bench(fake.base, server=load_preset("vllm_omni"), model="sora-9") as b:
        job = await b.run(spec())
    assert job.outcome is Outcome.REJECTED
    assert job.error == "HTTP 404: the model 'sora-9' does not exist (--model names the model)"

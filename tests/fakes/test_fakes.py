"""The fakes themselves: each answers in the shape of the table of manners, and its truth is exact."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import aiohttp
import pytest

from tests.fakes.clip import ClipSpec, clip
from tests.fakes.generation import Load
from tests.fakes.manners import SERVERS, manner
from tests.fakes.plain_client import Client, client, measured
from tests.fakes.server import Fake
from tests.fakes.serving import serving

ASYNCHRONOUS = [name for name, made in SERVERS.items() if not made.synchronous]

CREATED = {
    "openai": (200, "queued"),
    "vllm_omni": (200, "queued"),
    "sglang": (200, "queued"),
    "tensorrt_llm": (202, "queued"),
    "litellm": (200, "queued"),
    "fastvideo": (200, "queued"),
    "openrouter": (202, "pending"),
    "new_api": (200, "NOT_START"),
}
ENDED = {"openrouter": "completed", "new_api": "SUCCESS"}
FAILED = {"new_api": "FAILURE"}
ERRORS: dict[str, Any] = {
    "vllm_omni": {"code": 500, "message": "The generator ran out of memory."},
    "tensorrt_llm": "The generator ran out of memory.",
    "openrouter": "The generator ran out of memory.",
    "new_api": None,
}
LISTED = {"litellm": 400, "openrouter": 404, "new_api": 404}
DELETED: dict[str, tuple[int, dict[str, Any]]] = {
    "sglang": (200, {"status": "deleted"}),
    "tensorrt_llm": (200, {"deleted": True}),
    "litellm": (405, {"detail": "Method Not Allowed"}),
    "openrouter": (404, {}),
    "new_api": (404, {"code": "not_found", "data": None}),
}


@pytest.mark.parametrize("server", ASYNCHRONOUS)
async def test_a_job_goes_its_way_in_the_words_of_the_server(server: str) -> None:
    async with client(manner(server)) as fake:
        length = {} if server != "openai" else {"seconds": "4"}
        status, _, body = await fake.create(**length)
        assert (status, body["status"]) == CREATED[server]
        assert ("object" in body, "created_at" in body) == ((False, False) if server == "openrouter" else (True, True))
        video = await fake.ended(body["id"])
        assert video["status"] == ENDED.get(server, "completed")
        address = video.get("unsigned_urls", [f"/{video['id']}/content"])[0]
        status, headers, data = await fake.ask("GET", address)
        assert (status, headers["content-type"], measured(data)) == (200, "video/mp4", ClipSpec(64, 48, 4, 8))
        status, _, listed = await fake.ask("GET", "?limit=1")
        assert status == LISTED.get(server, 200)
        if status == 200:
            assert [entry["id"] for entry in listed["data"]] == [video["id"]]
            assert ("has_more" in listed) == (server not in {"sglang", "tensorrt_llm"})
        status, _, answer = await fake.ask("DELETE", f"/{video['id']}")
        expected, fields = DELETED.get(server, (200, {"id": video["id"], "deleted": True}))
        assert status == expected
        assert {name: answer[name] for name in fields} == fields
        assert ("id" in answer) == (server not in {"tensorrt_llm", "litellm", "openrouter", "new_api"})
        assert fake.fake.truth.deleted == (status == 200)
        assert fake.fake.truth.ends == {"completed": 1}


@pytest.mark.parametrize("server", ASYNCHRONOUS)
async def test_every_second_job_fails_with_the_error_of_the_server(server: str) -> None:
    async with client(manner(server), Load(seconds=0.05, fail_every=2)) as fake:
        ends = []
        for _ in range(4):
            _, _, body = await fake.create()
            ends.append(await fake.ended(body["id"]))
        good, bad = ENDED.get(server, "completed"), FAILED.get(server, "failed")
        assert [video["status"] for video in ends] == [good, bad, good, bad]
        message = {"code": "generation_failed", "message": "The generator ran out of memory."}
        assert ends[1].get("error") == ERRORS.get(server, message)
        assert ends[1].get("fail_reason") == ("The generator ran out of memory." if server == "new_api" else None)
        assert fake.fake.truth.ends == {"completed": 2, "failed": 2}
        assert fake.fake.truth.created == 4


async def test_dynamo_answers_once_the_video_is_made() -> None:
    async with client(manner("dynamo"), Load(seconds=0.2, fail_every=2)) as fake:
        fields = {"num_frames": 4, "fps": 8, "num_inference_steps": 7}
        status, _, body = await fake.create(seconds=1, nvext=fields)
        job = fake.fake.truth.jobs[0]
        assert (status, body["status"], body["object"], job.steps) == (200, "completed", "video", 7)
        assert body["inference_time_s"] == pytest.approx((job.ended or 0) - (job.started or 0))
        status, _, data = await fake.ask("GET", body["data"][0]["url"])
        assert (status, measured(data)) == (200, ClipSpec(64, 48, 4, 8))
        assert (await fake.create(seconds=1))[2]["error"] == "The generator ran out of memory."
        assert (await fake.create(seconds="1"))[0] == 400
        assert (await fake.ask("POST", "/generations", json={"prompt": "x", "model": fake.fake.model}))[0] == 200
        assert [(await fake.ask(method, path))[0] for method, path in (("GET", ""), ("GET", "/x"))] == [405, 404]
        assert fake.fake.truth.ends == {"completed": 2, "failed": 1}


async def test_a_client_that_leaves_a_blocking_create_stops_the_job() -> None:
    async with client(manner("dynamo"), Load(seconds=30)) as fake:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await fake.create()
        await asyncio.wait_for(fake.fake.generation.until_over(fake.fake.truth.jobs[0]), 5)
        assert fake.fake.truth.ends == {"cancelled": 1}


@pytest.mark.parametrize(
    ("server", "without", "wrong"),
    [("openai", 401, 401), ("litellm", 401, 400), ("openrouter", 401, 403), ("new_api", 401, 403)],
)
async def test_a_key_is_required(server: str, without: int, wrong: int) -> None:
    async with client(manner(server), key="sk-wrong") as fake:
        assert (await fake.create())[0] == wrong
    bare = Fake(manner(server))
    async with serving(bare), aiohttp.ClientSession() as session:
        status, headers, body = await Client(bare, session).create()
        assert (status, headers["www-authenticate"]) == (without, "Bearer")
        assert "key" in str(body)
        assert bare.truth.created == 0
        assert bare.truth.keys(bare.origin.removeprefix("http://")) == {""}


@pytest.mark.parametrize(
    ("server", "missing", "other"),
    [("openai", 200, 404), ("vllm_omni", 200, 404), ("sglang", 200, 200), ("litellm", 400, 400), ("dynamo", 400, 404)],
)
async def test_a_model_is_required_or_must_match(server: str, missing: int, other: int) -> None:
    async with client(manner(server)) as fake:
        assert [(await fake.create(model=""))[0], (await fake.create(model="sora-9"))[0]] == [missing, other]


@pytest.mark.parametrize(
    ("server", "shape"),
    [
        ("openai", {"error": {"message": str, "type": str, "param": type(None), "code": str}}),
        ("vllm_omni", {"error": {"message": str, "type": str, "param": type(None), "code": int}}),
        ("sglang", {"detail": str}),
        ("tensorrt_llm", {"object": str, "message": str, "type": str, "param": type(None), "code": int}),
        ("litellm", {"error": {"message": str, "type": str, "param": type(None), "code": str}}),
        ("new_api", {"code": str, "message": str, "data": type(None)}),
        ("dynamo", {"message": str, "type": str, "code": int}),
    ],
)
async def test_a_refusal_has_the_shape_of_the_server(server: str, shape: dict[str, Any]) -> None:
    def types(value: Any) -> Any:
        return {name: types(part) for name, part in value.items()} if isinstance(value, dict) else type(value)

    async with client(manner(server)) as fake:
        status, _, body = await fake.create(prompt="")
        assert (status, types(body)) == (400, shape)


async def test_vllm_omni_takes_forms_only_and_references_that_are_images_or_videos() -> None:
    async with client(manner("vllm_omni")) as fake:
        assert (await fake.ask("POST", "", json={"prompt": "x"}))[0] == 400
        for media_type, expected in (("image/png", 200), ("video/mp4", 200), ("application/pdf", 400)):
            form = aiohttp.FormData({"prompt": "x"})
            form.add_field("input_reference", b"data", filename="file", content_type=media_type)
            assert (await fake.ask("POST", "", data=form))[0] == expected


async def test_a_running_job_is_cancelled_in_the_manner_of_the_server() -> None:
    async with client(manner("sglang"), Load(seconds=30)) as fake:
        identity = (await fake.create())[2]["id"]
        assert (await fake.ask("DELETE", f"/{identity}"))[2]["status"] == "cancelling"
        assert (await fake.ask("GET", f"/{identity}"))[2]["status"] == "cancelled"
        assert (fake.fake.truth.cancelled, fake.fake.truth.deleted) == (1, 0)
    async with client(manner("vllm_omni"), Load(seconds=30)) as fake:
        identity = (await fake.create())[2]["id"]
        assert (await fake.ask("DELETE", f"/{identity}"))[0] == 409
        assert fake.fake.truth.cancelled == 0
    async with client(manner("fastvideo", ["delete-409-always"])) as fake:
        video = await fake.ended((await fake.create())[2]["id"])
        assert (await fake.ask("DELETE", f"/{video['id']}"))[0] == 409
        assert fake.fake.truth.deleted == 0
    async with client(manner("fastvideo"), Load(seconds=30)) as fake:
        identity = (await fake.create())[2]["id"]
        assert (await fake.ask("DELETE", f"/{identity}"))[0] == 200
        assert (await fake.ask("GET", f"/{identity}"))[0] == 404
        assert (fake.fake.truth.cancelled, fake.fake.truth.deleted) == (1, 0)


async def test_content_by_redirect_leads_to_another_host_that_records_keys() -> None:
    async with client(manner("fastvideo", ["content-redirect", "key"])) as fake:
        identity = (await fake.create())[2]["id"]
        await fake.ended(identity)
        status, headers, _ = await fake.ask("GET", f"/{identity}/content")
        assert (status, headers["location"]) == (302, f"{fake.fake.elsewhere}/files/{identity}.mp4")
        async with aiohttp.ClientSession() as bare:
            assert (await Client(fake.fake, bare).ask("GET", headers["location"]))[0] == 200
        other = fake.fake.elsewhere.removeprefix("http://")
        assert fake.fake.truth.keys(other) == {""}
        await fake.ask("GET", headers["location"])
        assert fake.fake.truth.keys(other) == {"", f"Bearer {fake.fake.key}"}


async def test_content_comes_late_or_in_another_form() -> None:
    whole = clip(ClipSpec(64, 48, 4, 8))
    expected = {
        "content-202": [(202, "application/json"), (202, "application/json"), (200, "video/mp4")],
        "content-404-first": [(404, "application/json"), (404, "application/json"), (200, "video/mp4")],
        "octet-stream": [(200, "application/octet-stream")],
        "binary-octet-stream": [(200, "binary/octet-stream")],
        "content-base64": [(200, "application/json")],
    }
    for switch, answers in expected.items():
        async with client(manner("fastvideo", [switch])) as fake:
            identity = (await fake.create())[2]["id"]
            await fake.ended(identity)
            got = [await fake.ask("GET", f"/{identity}/content") for _ in answers]
            assert [(status, headers["content-type"].partition(";")[0]) for status, headers, _ in got] == answers
            body = got[-1][2]
            assert (base64.b64decode(body["data"][0]["b64_json"]) if switch == "content-base64" else body) == whole


@pytest.mark.parametrize("switch", ["content-url", "content-url-elsewhere", "content-unsigned-urls-elsewhere"])
async def test_content_by_address_has_no_path_of_its_own(switch: str) -> None:
    async with client(manner("fastvideo", [switch])) as fake:
        video = await fake.ended((await fake.create())[2]["id"])
        address = video["url"] if "unsigned" not in switch else video["unsigned_urls"][0]
        assert address.startswith(fake.fake.elsewhere if "elsewhere" in switch else fake.fake.origin)
        assert (await fake.ask("GET", f"/{video['id']}/content"))[0] == 404
        assert (await fake.ask("GET", address))[2] == clip(ClipSpec(64, 48, 4, 8))


async def test_retrieve_is_throttled_or_late() -> None:
    async with client(manner("fastvideo", ["poll-429"])) as fake:
        identity = (await fake.create())[2]["id"]
        got = [await fake.ask("GET", f"/{identity}") for _ in range(5)]
        assert [status for status, _, _ in got] == [200, 429, 429, 429, 200]
        assert [headers.get("retry-after") for _, headers, _ in got] == [None, "1", "1", "1", None]
    async with client(manner("fastvideo", ["retrieve-404-first"])) as fake:
        identity = (await fake.create())[2]["id"]
        assert [(await fake.ask("GET", f"/{identity}"))[0] for _ in range(3)] == [404, 404, 200]
    async with client(manner("openrouter")) as fake:
        identity = (await fake.create())[2]["id"]
        statuses = [(await fake.ask("GET", f"/{identity}"))[0] for _ in range(7)]
        assert statuses == [200] * 5 + [429] * 2


async def test_create_is_throttled_or_blocks() -> None:
    async with client(manner("fastvideo", ["create-429"], retry_after="7")) as fake:
        got = [await fake.create() for _ in range(6)]
        assert [status for status, _, _ in got] == [200, 200, 429, 200, 200, 429]
        assert got[2][1]["retry-after"] == "7"
        assert fake.fake.truth.created == 4
        assert fake.fake.truth.count("POST /v1/videos", 429) == 2
    async with client(manner("fastvideo", ["create-blocks"])) as fake:
        assert (await fake.create())[2]["status"] == "completed"


async def test_unknown_paths_are_answered_as_some_gateways_do() -> None:
    expected = {"unknown-html": (200, "text/html"), "unknown-403": (403, "application/json")}
    for switch, answer in {**expected, "unknown-detail": (404, "application/json")}.items():
        async with client(manner("fastvideo", [switch])) as fake:
            for path in ("/x/wait", "/x/manifest"):
                status, headers, _ = await fake.ask("GET", path)
                assert (status, headers["content-type"].partition(";")[0]) == answer
            identity = (await fake.create())[2]["id"]
            await fake.ask("GET", f"/{identity}/wait")
            assert fake.fake.truth.count("GET /v1/videos/{id}/wait") == 1


async def test_a_server_below_a_path_or_moved() -> None:
    async with client(manner("fastvideo", ["below-a-path"])) as fake:
        assert fake.fake.base.endswith("/team/video/v1")
        assert (await fake.create())[0] == 200
        assert (await fake.ask("GET", "/v1/videos", base=fake.fake.origin))[0] == 404
    async with client(manner("fastvideo", ["moved-308"])) as fake:
        status, headers, _ = await fake.ask("GET", "?limit=1")
        assert (status, headers["location"]) == (308, f"{fake.fake.elsewhere}/v1/videos?limit=1")
        assert (await fake.ask("GET", headers["location"]))[0] == 200


async def test_lists_in_each_order() -> None:
    async def listed(*switches: str, query: str = "?limit=2&order=desc") -> tuple[list[int], bool | None]:
        async with client(manner("fastvideo", switches)) as fake:
            made = [(await fake.create())[2]["id"] for _ in range(3)]
            _, _, body = await fake.ask("GET", query.replace("LAST", made[1]))
            return [made.index(video["id"]) for video in body["data"]], body.get("has_more")

    assert await listed() == ([2, 1], True)
    assert await listed(query="?limit=2&after=LAST&order=desc") == ([0], False)
    assert await listed(query="?limit=2&order=asc") == ([0, 1], True)
    assert await listed("list-no-has-more") == ([2, 1], None)
    assert await listed("list-oldest-first") == ([0, 1], True)
    assert await listed("list-everything") == ([0, 1, 2], None)


async def test_words_dates_and_deletions_by_switch() -> None:
    ends = {
        "fails-cancelled": "cancelled",
        "fails-expired": "expired",
        "fails-deleted": "deleted",
        "fails-error": "error",
    }
    for switch, word in {**ends, "ends-succeeded": "succeeded"}.items():
        load = Load(seconds=0.02, fail_every=0 if switch == "ends-succeeded" else 1)
        async with client(manner("fastvideo", [switch]), load) as fake:
            assert (await fake.ended((await fake.create())[2]["id"]))["status"] == word
    async with client(manner("fastvideo", ["words-tensorrt", "dates-text"]), Load(seconds=0.5)) as fake:
        _, _, body = await fake.create()
        assert body["created_at"].endswith("+00:00")
        words = []
        for _ in range(30):
            words.append((await fake.ask("GET", f"/{body['id']}"))[2]["status"])
            await asyncio.sleep(0.03)
        assert list(dict.fromkeys(words)) == ["generating", "postprocessing", "completed"]
    async with client(manner("fastvideo", ["delete-204"])) as fake:
        video = await fake.ended((await fake.create())[2]["id"])
        status, _, body = await fake.ask("DELETE", f"/{video['id']}")
        assert (status, body) == (204, b"")

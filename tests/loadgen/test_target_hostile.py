"""A hostile target harms nothing: bounded answers, harmless lines, no files of this machine, no private addresses."""

from __future__ import annotations

import asyncio
import base64
import resource
from typing import Any

import pytest
from aiohttp import web

from reelbench.loadgen.record.jobs import Outcome
from reelbench.loadgen.target import wire as wires
from reelbench.loadgen.target.inline import decoded
from reelbench.loadgen.target.links import Address, LinkError, Reach, address, joined, split_base
from reelbench.loadgen.target.target_file import load_preset
from tests.fakes.hostile import HOSTILITIES, hostile
from tests.loadgen.fake_target import CONTENT, FakeTarget, serving
from tests.loadgen.harness import bench, scenario
from tests.loadgen.test_job import answering, text

ENDS: dict[str, tuple[set[Outcome], str]] = {
    "create-1gb": ({Outcome.ERROR}, "answer of more than 16777216 bytes"),
    "create-endless": ({Outcome.ERROR}, "answer of more than 16777216 bytes"),
    "poll-1gb": ({Outcome.ERROR}, "answer of more than 16777216 bytes"),
    "poll-endless": ({Outcome.ERROR}, "answer of more than 16777216 bytes"),
    "create-html": ({Outcome.ERROR}, "HTTP 200, but no Video object: no JSON"),
    "poll-html": ({Outcome.ERROR}, "HTTP 200, but no Video object: no JSON"),
    "content-html": ({Outcome.ERROR}, "content is text/html, not a video"),
    "strange-id": ({Outcome.ERROR}, "HTTP 200, but no Video object: the id of the video has control characters"),
    "strange-message": ({Outcome.FAILED}, "<script>alert(1)</script>"),
    "strange-refusal": ({Outcome.REJECTED}, "HTTP 400: <script>alert(1)</script>"),
    "strange-status": ({Outcome.TIMEOUT}, "not finished after 2 s"),
    "nested": ({Outcome.ERROR}, "HTTP 200, but no Video object: "),
    "poll-nested": ({Outcome.ERROR}, "HTTP 200, but no Video object: "),
    "length-too-long": ({Outcome.ERROR}, "ClientPayloadError: "),
    "poll-length-too-short": ({Outcome.ERROR}, "HTTP 200, but no Video object: no JSON"),
    "redirect-loop": ({Outcome.ERROR}, "more than 5 redirects"),
    "poll-redirect-loop": ({Outcome.ERROR}, "more than 5 redirects"),
    "redirect-to-file": ({Outcome.ERROR}, "'file:///etc/passwd' is no address with http or https"),
    "not-utf8": ({Outcome.ERROR}, "HTTP 200, but no Video object: no JSON"),
    "create-drip": ({Outcome.TIMEOUT}, "not finished after 2 s"),
    "poll-drip": ({Outcome.TIMEOUT}, "not finished after 2 s"),
    "content-drip": ({Outcome.TIMEOUT}, "not downloaded after 2 s"),
    "content-endless": ({Outcome.ERROR}, "content is application/octet-stream"),
}
"""Hostility -> how its job ends, and how the error begins; others complete, or break off."""


@pytest.mark.extended
@pytest.mark.parametrize("name", HOSTILITIES)
async def test_a_hostile_server_harms_nothing(name: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with hostile(HOSTILITIES[name]()) as server, bench(server.origin) as b:
        job = await b.run(scenario(time_limit=2, poll_interval=0.05))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    outcomes, error = ENDS.get(name, (set(Outcome), ""))
    if name == "content-endless" and job.outcome is Outcome.TIMEOUT:
        error, outcomes = "not downloaded after 2 s", {Outcome.TIMEOUT}
    assert job.outcome in outcomes
    assert (job.error or "").startswith(error)
    assert grown < 200 * 1024  # KiB
    for line in (job.error, job.reported, job.job_id):
        assert line is None or line.isprintable()
        assert len(line or "") <= 256


async def test_an_id_that_is_too_long_is_refused() -> None:
    body = f'{{"id": "{"x" * 1100}", "status": "queued"}}'
    fake = FakeTarget(faults={"create": answering(then=text(body, 200, "application/json"))})
    async with serving(fake), bench(fake.url) as b:
        job = await b.run(scenario())
    assert (job.outcome, job.job_id) == (Outcome.ERROR, None)
    assert (job.error or "").endswith("the id of the video has 1100 characters; at most 1024 are accepted")


def moved(location: str, status: int = 302) -> Any:
    return lambda: web.Response(status=status, headers={"Location": location})


@pytest.mark.parametrize(
    ("location", "error"),
    [
        ("file:///etc/passwd", "'file:///etc/passwd' is no address with http or https"),
        ("gopher://127.0.0.1/", "'gopher://127.0.0.1/' is no address with http or https"),
        ("http://[::1", "'http://[::1' is no URL"),
        (
            "http://169.254.169.254/latest/meta-data",
            "the file is at 169.254.169.254, a more private address than that ",
        ),
        ("http://0.0.0.0:1/", "the file is at 0.0.0.0, a more private address than that of the target"),
    ],
)
async def test_a_file_is_not_fetched_from_everywhere(location: str, error: str) -> None:
    fake = FakeTarget(faults={"content": answering(then=moved(location))})
    async with serving(fake), bench(fake.url) as b:
        job = await b.run(scenario())
    assert job.outcome is Outcome.ERROR
    assert (job.error or "").startswith(error)


async def test_the_address_of_a_file_is_not_more_private_than_the_target() -> None:
    outside = Reach("8.8.8.8")
    for host in (
        "127.0.0.1",
        "10.0.0.1",
        "192.168.1.1",
        "::1",
        "::ffff:127.0.0.1",
        "fe80::1",
        "169.254.1.1",
        "localhost",
    ):
        with pytest.raises(LinkError, match="a more private address"):
            await outside.check(Address("http", host, 80))
    await outside.check(Address("https", "1.1.1.1", 443))
    lab = Reach("10.0.0.1")
    await lab.check(Address("http", "192.168.1.1", 9000))
    with pytest.raises(LinkError, match="a more private address"):
        await lab.check(Address("http", "127.0.0.1", 80))
    await Reach("127.0.0.1").check(Address("http", "10.0.0.1", 9000))


async def test_files_of_many_servers_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wires, "MAX_SERVERS", 1)
    fake, store = FakeTarget(), FakeTarget(faults={"content": answering(then=text("gone", 410))})
    async with serving(fake), serving(store) as one, serving(FakeTarget()) as two, bench(fake.url) as b:
        fake.faults["content"] = answering(moved(f"{one.url}/v1/videos/x/content"), moved(f"{two.url}/b"))
        jobs = [await b.run(scenario()) for _ in range(2)]
    assert [job.error for job in jobs] == ["HTTP 410", "files are on more than 1 servers"]


async def test_base64_is_decoded_in_parts_and_checked() -> None:
    film = CONTENT * 200
    chunks: list[int] = []

    class Sink:
        def begin(self) -> None:
            chunks.clear()

        def write(self, chunk: bytes) -> None:
            chunks.append(len(chunk))

    whole = base64.b64encode(film).decode()
    for form in (
        whole,
        whole.rstrip("="),
        base64.urlsafe_b64encode(film).decode(),
        "\n".join((whole[:76], whole[76:])),
    ):
        reply = await decoded(form, checksum=True, sink=Sink())
        assert reply.value is not None
        assert reply.value.bytes == sum(chunks) == len(film)
    assert max(chunks) <= 192 * 1024
    assert (await decoded("<html>", checksum=False)).value is None
    assert (await decoded("é" * 8, checksum=False)).error is not None
    assert (await decoded(base64.b64encode(b"<html>").decode(), checksum=False)).error == (
        "content is markup of type application/octet-stream, not a video"
    )


async def test_a_key_in_an_error_of_the_server_is_hidden() -> None:
    from reelbench.loadgen.http.credentials import Credentials  # noqa: PLC0415

    secret = "sk-very-secret-1234567890"
    said = {"error": {"message": f"{'x' * 190} {secret} is wrong", "code": None}}
    fake = FakeTarget(faults={"create": answering(lambda: web.json_response(said, status=400))})
    async with serving(fake):
        credentials = Credentials(origin=fake.url, headers={"Authorization": f"Bearer {secret}"})
        async with bench(fake.url, credentials=credentials) as b:
            job = await b.run(scenario())
    assert job.outcome is Outcome.REJECTED
    assert "sk-" not in (job.error or "")


@pytest.mark.parametrize(
    ("url", "path", "origin", "root"),
    [
        ("http://h", "/v1/videos", "http://h", "/v1/videos"),
        ("http://h/", "/v1/videos", "http://h", "/v1/videos"),
        ("http://h:80/v1", "/v1/videos", "http://h:80", "/v1/videos"),
        ("http://h/v1/", "/v1/videos", "http://h", "/v1/videos"),
        ("http://h/v1/videos", "/v1/videos", "http://h", "/v1/videos"),
        ("https://h/team/a/v1", "/v1/videos", "https://h", "/team/a/v1/videos"),
        ("https://h/api", "/api/v1/videos", "https://h", "/api/v1/videos"),
        ("https://h/api/v1", "/api/v1/videos", "https://h", "/api/v1/videos"),
        ("https://h/v1/x", "/v1/videos", "https://h", "/v1/x/v1/videos"),
    ],
)
def test_a_path_in_the_base_url_counts_once(url: str, path: str, origin: str, root: str) -> None:
    assert split_base(url, path) == (origin, root)


def test_links_are_read_as_a_browser_would() -> None:
    base = address("https://h.example:8443/v1/videos/x")
    assert joined(base, "/files/a b.mp4?sig=x%2Fy") == Address("https", "h.example", 8443, "/files/a%20b.mp4?sig=x%2Fy")
    assert joined(base, "//cdn.example/f").origin == "https://cdn.example"
    assert joined(base, "http://[::1]:9/f").origin == "http://[::1]:9"


async def test_a_preset_with_links_only_needs_them() -> None:
    fake = FakeTarget()
    file = load_preset("openrouter")
    file = file.model_copy(update={"create": file.create.model_copy(update={"path": "/v1/videos"})})
    async with serving(fake), bench(fake.url, server=file) as b:
        job = await asyncio.wait_for(b.run(scenario(poll_interval=0.01)), 5)
    assert (job.outcome, job.error) == (Outcome.ERROR, "the answers of the server do not say where the file is")

"""Slow, endless, malformed and too many requests, over real connections."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from reelbench.service.api.app import create_app
from reelbench.service.http_limits import MAX_HEAD, Bodies, BoundedHttp
from reelbench.service.json_keys import repeated_key
from reelbench.service.providers import exchange
from reelbench.service.providers.app import Settings as ProviderSettings
from reelbench.service.providers.app import create_app as create_providers
from reelbench.service.settings import Settings

CREATE = b"POST /v1/videos HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
SPEECH = CREATE.replace(b"/v1/videos", b"/v1/audio/speech")


class Hasty(BoundedHttp):
    """The protocol with short limits."""

    head_seconds = 0.05
    body_seconds = 0.05


@asynccontextmanager
async def serve(app: Any, *, keep_alive: float = 60, protocol: type[BoundedHttp] = Hasty) -> AsyncIterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, http=protocol, log_config=None, timeout_keep_alive=keep_alive)  # type: ignore[arg-type]
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await serving


async def asked(port: int, *pieces: bytes) -> tuple[int, dict[str, Any]]:
    """Send pieces, and return status and body of the answer when the server closes the connection; 0: no answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0.01)
    answer = await reader.read()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return (int(head.split()[1]), json.loads(body)) if answer else (0, {})


def code(answer: dict[str, Any]) -> str:
    assert sorted(answer["error"]) == ["code", "message", "param", "type"]
    return str(answer["error"]["code"])


@pytest.mark.parametrize("name", ["service", "providers"])
async def test_slow_and_malformed_requests_get_an_answer_and_lose_their_connection(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    providers = name == "providers"
    app = create_providers(ProviderSettings()) if providers else create_app(Settings(data_dir=tmp_path / "data"))
    async with serve(app, keep_alive=0.05) as port:
        await check_answers(port, SPEECH if providers else CREATE, CREATE if providers else SPEECH)
    assert [record for record in caplog.records if record.exc_info] == []


async def check_answers(port: int, known: bytes, unknown: bytes) -> None:
    for pieces, status, name in [
        ((b"",), 0, ""),  # no request at all
        ((b"\r\n", b"\r\n"), 0, ""),
        ((b"GET /health HTTP/1.1\r\nHost: a\r\nX-Slow:", b" 1"), 408, "request_timeout"),
        ((known + b'{"prompt"',), 408, "request_timeout"),
        ((unknown + b'{"prompt"',), 404, None),  # answered before its body: no second answer
        ((b"GET /health HTTP/1.1\r\nX: " + b"a" * MAX_HEAD, b"a" * MAX_HEAD), 431, "headers_too_large"),
        ((b"NONSENSE\r\n\r\n",), 400, "invalid_http"),
        ((b"GET /\xff HTTP/1.1\r\n\r\n",), 400, "invalid_http"),
        ((b"\x16\x03\x01\x02\x00",), 400, "invalid_http"),
    ]:
        found, body = await asked(port, *pieces)
        assert (found, code(body) if body and status != 404 else name) == (status, name), pieces


async def test_many_requests_on_one_connection_start_no_timer(tmp_path: Path) -> None:
    timed: list[float] = []

    class Watched(Hasty):
        def _start_timer(self) -> None:
            timed.append(1)
            super()._start_timer()

    async with serve(create_app(Settings(data_dir=tmp_path / "data")), protocol=Watched) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(3):
            writer.write(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
            assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
            assert await reader.readexactly(15) == b'{"status":"ok"}'
        assert timed == []
        # A request in two pieces has one for its head, which ends with the request.
        writer.write(b"GET /health HTTP/1.1\r\nHo")
        await writer.drain()
        await asyncio.sleep(0.01)
        writer.write(b"st: a\r\n\r\n")
        await reader.readuntil(b'{"status":"ok"}')
        await asyncio.sleep(0.1)
        writer.write(b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 200 OK")
        writer.close()


async def test_clients_that_go_away_leave_no_traceback(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    service = create_app(Settings(data_dir=tmp_path / "data", admin=True, faults=True))
    providers = create_providers(ProviderSettings(faults=True))
    for app, paths in (
        (service, ("POST /v1/videos", "PUT /faults", "PUT /v1/admin/switches")),
        (providers, ("POST /v1/audio/speech", "PUT /faults")),
    ):
        async with serve(app, protocol=BoundedHttp) as port:
            for path in paths:
                request = CREATE.replace(b"POST /v1/videos", path.encode()).replace(b"Host: a", b"Host: localhost")
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(request + b'{"a')
                await writer.drain()
                await asyncio.sleep(0.05)
                writer.transport.abort()
            await asyncio.sleep(0.05)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.extended
async def test_unfinished_uploads_are_refused_before_they_take_more_than_the_limit(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data", max_upload_bytes=300_000, max_pending_bytes=1_500_000)
    async with serve(create_app(settings), protocol=BoundedHttp) as port:
        part = b'--b\r\nContent-Disposition: form-data; name="input_reference"; filename="a"\r\n\r\n' + b"x" * 290_000
        head = b"POST /v1/videos HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(8)]
        try:
            for _, writer in opened:
                writer.write(head + b"Content-Length: 300000\r\n\r\n" + part)
                await writer.drain()
            waiting = {asyncio.ensure_future(reader.readuntil(b"\r\n\r\n")) for reader, _ in opened}
            answers: list[bytes] = []
            while len(answers) < 3:  # of 8 * 290,000 bytes, 1,500,000 are held: at least 3 uploads have no room,
                # and how many more depends on whose bytes arrive first
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                answers += [task.result() for task in done]
            assert all(answer.startswith(b"HTTP/1.1 503") and b"retry-after: 1" in answer.lower() for answer in answers)
            for task in waiting:
                task.cancel()
        finally:
            for _, writer in opened:
                writer.transport.abort()
        # The room of connections that end is free again.
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            files = {"input_reference": ("a.bin", b"x" * 290_000, "application/x-unknown")}
            for _ in range(1_000):  # the service sees the ends of the connections one after the other
                answer = await client.post("/v1/videos", data={"prompt": "x"}, files=files)
                if answer.status_code != 503:
                    break
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unsupported_document")


async def test_providers_bound_the_body_of_a_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    del tmp_path
    monkeypatch.setattr(exchange, "MAX_BYTES", 1000)
    transport = httpx.ASGITransport(create_providers(ProviderSettings()))
    async with httpx.AsyncClient(transport=transport, base_url="http://a") as client:
        for size, status, name in ((900, 400, "invalid_json"), (1001, 413, "request_too_large")):
            answer = await client.post("/v1/audio/speech", content=b" " * size)
            assert (answer.status_code, answer.json()["error"]["code"]) == (status, name)


def test_room_for_bodies_is_given_back() -> None:
    bodies = Bodies(10)
    assert [bodies.take(6), bodies.take(5), bodies.take(4), bodies.take(1)] == [True, False, True, False]
    bodies.release(6)
    assert (bodies.held, bodies.take(6)) == (4, True)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (b'{"a":1,"b":2}', None),
        (b'{"a":1,"a":1}', "a"),
        (b'{"a":1,"\\u0061":2}', "a"),
        (b'{"a":{"b":1},"c":[{"b":1,"b":2}]}', "b"),
        (b"[" * 100_000, None),
        (b"{", None),
        (b"\xff", None),
    ],
)
def test_a_name_that_occurs_twice_is_found(text: bytes, name: str | None) -> None:
    assert repeated_key(text) == name


def test_bodies_with_a_name_twice_are_refused(start: Callable[..., Any]) -> None:
    url = start(admin=True, faults=True).url
    for method, path, text, name in [
        ("POST", "/v1/videos", b'{"prompt":"a","prompt":"b"}', "duplicate_parameter"),
        ("PUT", "/v1/admin/switches", b'{"cache":true,"cache":false}', "invalid_switches"),
        ("PUT", "/faults", b'{"seed":1,"seed":2,"rules":[]}', "invalid_fault_plan"),
    ]:
        answer = httpx.request(method, url + path, content=text, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, name)


def test_head_answers_like_get_and_405_names_all_methods(start: Callable[..., Any]) -> None:
    url = start(admin=True, faults=True).url
    for path in ("/health", "/ready", "/v1/videos", "/v1/models", "/openapi.json", "/v1/admin/state", "/faults"):
        head, get = httpx.head(url + path), httpx.get(url + path)
        assert (head.status_code, head.content) == (200, b""), path
        assert head.headers["content-length"] == get.headers["content-length"], path
    assert httpx.head(f"{url}/v1/videos/video_{0:032x}").status_code == 404
    for path, allowed in [
        ("/v1/videos", "GET, HEAD, POST"),
        (f"/v1/videos/video_{0:032x}", "DELETE, GET, HEAD"),
        (f"/v1/videos/video_{0:032x}/remix", "POST"),
        ("/v1/admin/switches", "DELETE, GET, HEAD, PUT"),
        ("/faults", "DELETE, GET, HEAD, PUT"),
        ("/health", "GET, HEAD"),
    ]:
        answer = httpx.patch(url + path)
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed), path


@pytest.mark.extended
def test_forwarded_addresses_are_not_believed_by_the_processes(launch: Callable[..., Any]) -> None:
    with_admin = launch(SERVICE_ADMIN="true")
    for address in ("203.0.113.7", "127.0.0.1"):
        headers = {"X-Forwarded-For": address, "X-Forwarded-Proto": "https"}
        # Were the header believed, the first request would be one of another machine.
        assert httpx.get(f"{with_admin.url}/v1/admin/state", headers=headers).status_code == 200

"""The floor of the comparison: the requests of a job in a bare loop of an HTTP client for Python.

No plan, records, metrics, traces or time limits; answers are read as far as the next request needs it. Run as a module
with the name of the client; the environment is that of `peers/k6.js`. Only the standard library is imported at first,
as a client can be in an environment of its own.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

Fetch = Callable[[str, str, bytes], Awaitable[bytes]]
"""Sends a request (method, path below the base URL, body), and returns the body of an answer with the status 200."""

_TRACE: Final = {"traceparent": f"00-{'1' * 32}-{'2' * 16}-01"}
_JSON: Final = {"Content-Type": "application/json", **_TRACE}
_BODY: Final = b'{"prompt":"Explain a survey of tail latency in queueing networks.","seconds":"4","size":"720x1280"}'


@asynccontextmanager
async def http1(target: str, users: int) -> Any:
    """Use the load generator's own transport."""
    from reelbench.loadgen.http.http1 import Http1Transport  # noqa: PLC0415 - see the module
    from reelbench.loadgen.http.transport import Request, header_line  # noqa: PLC0415

    class Body:
        """Keeps the body of an answer."""

        def __init__(self) -> None:
            self.parts: list[bytes] = []

        def head(self, status: int, media_type: str, headers: object) -> None:
            """Check the status."""
            del media_type, headers
            assert status == 200  # noqa: PLR2004 - HTTP's OK

        def data(self, chunk: bytes) -> None:
            """Keep the next bytes."""
            self.parts.append(chunk)

        def whole(self, media_type: str, data: bytes, start: int, /) -> None:
            """Keep the body of an answer with the status 200."""
            del media_type
            self.parts.append(data[start:])

    transport = Http1Transport(target, users)
    lines = ["".join(header_line(*one) for one in headers.items()) for headers in (_TRACE, _JSON)]

    async def fetch(method: Any, path: str, body: bytes) -> bytes:
        received = Body()
        await transport.exchange(Request(method, path, lines[bool(body)], (body,) if body else ()), received)
        return b"".join(received.parts)

    yield fetch
    await transport.close()


@asynccontextmanager
async def aiohttp(target: str, users: int) -> Any:
    """Use aiohttp."""
    import aiohttp as library  # noqa: PLC0415 - see the module

    async with library.ClientSession(connector=library.TCPConnector(limit=users)) as session:

        async def fetch(method: str, path: str, body: bytes) -> bytes:
            headers = _JSON if body else _TRACE
            async with session.request(method, target + path, data=body or None, headers=headers) as response:
                assert response.status == 200  # noqa: PLR2004 - HTTP's OK
                return await response.read()

        yield fetch


@asynccontextmanager
async def pyreqwest(target: str, users: int) -> Any:
    """Use pyreqwest, a client in Rust."""
    from pyreqwest.client import ClientBuilder  # type: ignore[import-not-found] # noqa: PLC0415 - see the module

    async with ClientBuilder().pool_max_idle_per_host(users).build() as client:

        async def fetch(method: str, path: str, body: bytes) -> bytes:
            request = client.post(target + path).body_bytes(body) if method == "POST" else client.get(target + path)
            response = await request.headers(_JSON if body else _TRACE).build().send()
            assert response.status == 200  # noqa: PLR2004 - HTTP's OK
            return bytes(await response.bytes())

        yield fetch


CLIENTS: Final = {"http1": http1, "aiohttp": aiohttp, "pyreqwest": pyreqwest}


async def run(client: str, target: str, users: int, jobs: int) -> list[float]:
    """Run the jobs in closed loops of users; return the seconds of each job."""
    left, took = iter(range(jobs)), list[float]()
    async with CLIENTS[client](target, users) as fetch, asyncio.TaskGroup() as group:
        for _ in range(users):
            group.create_task(_user(fetch, left, took))
    return took


async def _user(fetch: Fetch, left: Iterator[int], took: list[float]) -> None:
    for _ in left:
        begun = time.monotonic()
        video = json.loads(await fetch("POST", "/v1/videos", _BODY))["id"]
        waited = json.loads(await fetch("GET", f"/v1/videos/{video}/wait?timeout=10.000", b""))
        assert waited["status"] == "completed"
        await fetch("GET", f"/v1/videos/{video}/content", b"")
        took.append(time.monotonic() - begun)


def main(client: str) -> None:
    """Run the jobs and write the figures."""
    import uvloop  # noqa: PLC0415 - see the module

    work = run(client, os.environ["TARGET"], int(os.environ["USERS"]), int(os.environ["JOBS"]))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        took = sorted(runner.run(work))
    figures = {"requests": 3 * len(took), "p95": took[int(0.95 * (len(took) - 1))], "dropped": 0}
    Path(os.environ["REPORT"]).write_text(json.dumps(figures), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])

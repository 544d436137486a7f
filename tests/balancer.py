"""A small load balancer: each request goes to the next server. ``python -m tests.balancer PORT URL URL``."""

from __future__ import annotations

import itertools
import sys
from collections.abc import AsyncIterator

import aiohttp
from aiohttp import web

_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "host"})
_TIMEOUT = aiohttp.ClientTimeout(total=120)


def balancer(upstreams: list[str]) -> web.Application:
    turns = itertools.cycle(upstreams)

    async def session(app: web.Application) -> AsyncIterator[None]:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False, timeout=_TIMEOUT) as opened:
            app["session"] = opened
            yield

    async def forward(request: web.Request) -> web.StreamResponse:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
        headers["Host"] = request.headers["Host"]
        async with request.app["session"].request(
            request.method,
            next(turns) + request.raw_path,
            headers=headers,
            data=await request.read(),
            allow_redirects=False,
        ) as found:
            kept = {name: value for name, value in found.headers.items() if name.lower() not in _HOP}
            answer = web.StreamResponse(status=found.status, headers=kept)
            await answer.prepare(request)
            async for part in found.content.iter_any():
                await answer.write(part)
            await answer.write_eof()
            return answer

    app = web.Application(client_max_size=1 << 26)
    app.cleanup_ctx.append(session)
    app.router.add_route("*", "/{path:.*}", forward)
    return app


if __name__ == "__main__":
    web.run_app(balancer(sys.argv[2:]), host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)

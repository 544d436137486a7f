"""A fake target that asks for a header and for a key or a password, and repeats both in its refusals."""

from __future__ import annotations

import asyncio
import sys

from aiohttp import web
from aiohttp.typedefs import Handler

from tests.loadgen.fake_target import FakeTarget, error, serving


class GuardedTarget(FakeTarget):
    """A target behind a guard; every fifth job fails with a message that repeats the secrets."""

    def __init__(self, authorizations: frozenset[str], header: str) -> None:
        super().__init__(seconds=0.05)
        self.authorizations = authorizations
        self.header = header
        self.creates = 0

    def app(self) -> web.Application:
        app = super().app()

        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            given, header = request.headers.get("Authorization", ""), request.headers.get("X-Api-Token", "")
            said = f"{given} and {header} are wrong"
            if given not in self.authorizations or header != self.header:
                return error(401, said, "wrong_key")
            self.creates += request.method == "POST"
            return error(500, said) if request.method == "POST" and self.creates % 5 == 0 else await handler(request)

        app.middlewares.append(guard)
        return app


async def main() -> None:
    """Serve until killed; arguments: the header, then what is accepted as Authorization."""
    async with serving(GuardedTarget(frozenset(sys.argv[2:]), sys.argv[1])) as fake:
        print(fake.url, flush=True)  # noqa: T201 - tells the parent process
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())

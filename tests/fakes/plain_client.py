"""A plain client for tests of the fakes: it takes answers as they are, and measures files."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import av

from tests.fakes.clip import ClipSpec
from tests.fakes.generation import Load
from tests.fakes.manner import Manner
from tests.fakes.server import Fake
from tests.fakes.serving import serving

Answer = tuple[int, dict[str, str], Any]

SHORT = {"size": "64x48", "num_frames": 4, "fps": 8}


class Client:
    """One session with a fake."""

    def __init__(self, fake: Fake, session: aiohttp.ClientSession) -> None:
        self.fake = fake
        self.session = session

    async def ask(self, method: str, path: str, *, base: str | None = None, **options: Any) -> Answer:
        url = path if path.startswith("http") else (base or f"{self.fake.base}/videos") + path
        async with self.session.request(method, url, allow_redirects=False, **options) as answer:
            json = answer.content_type == "application/json"
            body = await answer.json() if json else await answer.read()
            return answer.status, {name.lower(): value for name, value in answer.headers.items()}, body

    async def create(self, **fields: Any) -> Answer:
        values = {"prompt": "a cat", "model": self.fake.model, **SHORT, **fields}
        if "json" in self.fake.manner.bodies:
            return await self.ask("POST", "", json=values)
        return await self.ask("POST", "", data={name: str(value) for name, value in values.items()})

    async def ended(self, identity: str) -> dict[str, Any]:
        """Poll, as patiently as the server asks, until the job has ended."""
        async with asyncio.timeout(10):
            while True:
                over = next(job for job in self.fake.truth.jobs if job.id == identity).end is not None
                status, _, body = await self.ask("GET", f"/{identity}")
                if status == 200 and over:
                    return body
                await asyncio.sleep(0.3 if self.fake.manner.polls_per_second else 0.03)


@asynccontextmanager
async def client(made: Manner, load: Load | None = None, *, key: str | None = None) -> AsyncIterator[Client]:
    fake = Fake(made, load or Load(seconds=0.1))
    headers = {"Authorization": f"Bearer {key or fake.key}"} if made.key or key else {}
    async with serving(fake), aiohttp.ClientSession(headers=headers) as session:
        yield Client(fake, session)


def measured(data: bytes) -> ClipSpec:
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        frames = len(list(container.decode(stream)))
        return ClipSpec(stream.width, stream.height, frames, int(stream.average_rate or 0))

"""One exchange with a provider: decode, take the provider's time, answer, count."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec
from fastapi import Request, Response

from service.providers.errors import Refusal, envelope, from_decoding
from service.providers.latency import Latency
from service.providers.metrics import Metrics
from service.providers.reply import Reply

T = TypeVar("T", bound=msgspec.Struct)
_NO_WAIT = 0.0005
"""Below this a sleep would only cost a turn of the loop."""


@dataclass(frozen=True, slots=True)
class Provider(Generic[T]):
    """One provider: its request, and how it is answered."""

    name: str
    """llm, tts or image."""
    request: type[T]
    answer: Callable[[T], Awaitable[Reply]]
    content: Callable[[T], bytes]
    scale: Callable[[T], float]
    latency: Latency


class Exchange(Generic[T]):
    """The endpoint of one provider: every request passes through `__call__`."""

    def __init__(self, provider: Provider[T], metrics: Metrics) -> None:
        self._provider = provider
        self._metrics = metrics
        self._decoder = msgspec.json.Decoder(provider.request)

    async def __call__(self, request: Request) -> Response:
        """Answer one request, as late as the latency distribution says; making the answer is part of that time."""
        started = time.perf_counter()
        name = self._provider.name
        try:
            decoded = self._decode(await request.body())
            reply = await self._provider.answer(decoded)
        except Refusal as refusal:
            self._metrics.requests.add(1, {"provider": name, "outcome": "invalid"})
            body = envelope(refusal.status, str(refusal), param=refusal.param, code=refusal.code)
            return Response(body, refusal.status, media_type="application/json")
        due = started + self._provider.latency.next(self._provider.content(decoded), self._provider.scale(decoded))
        left = due - time.perf_counter()
        if left > _NO_WAIT:
            await asyncio.sleep(left)
        self._count(name, reply)
        return Response(reply.body, media_type=reply.media_type)

    def _decode(self, body: bytes) -> T:
        try:
            return self._decoder.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise from_decoding(error) from error

    def _count(self, name: str, reply: Reply) -> None:
        self._metrics.requests.add(1, {"provider": name, "outcome": "ok"})
        self._metrics.tokens.add(reply.input_tokens, {"provider": name, "type": "input"})
        self._metrics.tokens.add(reply.output_tokens, {"provider": name, "type": "output"})
        self._metrics.response_bytes.add(len(reply.body), {"provider": name})

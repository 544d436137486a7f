"""One request to a provider: decode it, wait for the latency, apply the fault plan or answer, and count it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import msgspec
from fastapi import Request, Response
from starlette.requests import ClientDisconnect

from reelbench.service.faults.faults import ActivePlan, Fault, Faults
from reelbench.service.faults.plan import KINDS, Offer
from reelbench.service.http_limits import Bodies
from reelbench.service.providers.calls import Arrival, CallLog
from reelbench.service.providers.latency import Latency
from reelbench.service.providers.metrics import Metrics
from reelbench.service.providers.reply import Refusal, Reply, from_decoding, refused

T = TypeVar("T", bound=msgspec.Struct)
OFFER = Offer(("llm", "tts", "image"), KINDS)
"""Targets and kinds that the providers' fault plan accepts."""
ON_ARRIVAL = ("outage", "stall")
"""Kinds that apply before the request is decoded, and so to invalid requests too."""
ON_ANSWER = ("error", "corrupt", "latency")
"""Kinds that apply after a successful answer was produced."""
MAX_BYTES = 1024 * 1024
"""Bytes of the body of a call."""
MAX_PENDING = 64 * MAX_BYTES
"""Bytes of all bodies that are being received or answered."""
_NO_WAIT = 0.0005
"""Shortest sleep in seconds; a shorter one would take more time than it waits."""
_GARBAGE = bytes(byte ^ 0xA5 for byte in range(256))
"""Maps every ASCII character to another byte, which breaks file signatures and JSON."""


@dataclass(frozen=True, slots=True)
class Provider(Generic[T]):
    """One provider: its request and its answer."""

    name: str
    """llm, tts or image"""
    request: type[T]
    answer: Callable[[T], Awaitable[Reply]]
    content: Callable[[T], bytes]
    scale: Callable[[T], float]
    latency: Latency
    rewritten: Callable[[bytes, Callable[[bytes], bytes]], bytes]
    """changes the content of a body (script, sound, pictures) and keeps the rest"""


class Exchange(Generic[T]):
    """The endpoint of one provider."""

    def __init__(
        self,
        provider: Provider[T],
        metrics: Metrics,
        faults: Faults,
        log: CallLog,
        clock: Callable[[], float],
        *,
        bodies: Bodies,
    ) -> None:
        self._provider = provider
        self._metrics = metrics
        self._faults = faults
        self._log = log
        self._clock = clock
        self._bodies = bodies
        self._decoder = msgspec.json.Decoder(provider.request)

    async def __call__(self, request: Request) -> Response:
        """Answer one request after its drawn latency, which includes the time to make the answer."""
        started = time.perf_counter()
        name = self._provider.name
        start, peer = request.headers.get("x-request-start"), request.client
        call = self._log.arrived(name, start, self._clock(), peer and f"{peer.host}:{peer.port}")
        # The body comes also before a rejection: a client that is still sending cannot read the answer.
        body = bytearray()
        try:
            refusal = await self._receive(request, body)
            if refusal is not None:
                return refused(refusal)  # not counted: the call has not arrived
            return await self._handle(request, call, bytes(body), started)
        finally:
            self._bodies.release(len(body))

    async def _receive(self, request: Request, body: bytearray) -> Refusal | None:
        """Add the parts of the body, for which there is room, to `body`; return why the request is refused."""
        try:
            async for chunk in request.stream():
                if len(body) + len(chunk) > MAX_BYTES:
                    return Refusal(f"A body may have {MAX_BYTES} bytes at most.", code="request_too_large", status=413)
                if not self._bodies.take(len(chunk)):
                    return Refusal("Too many bodies arrive at present; try again later.", code="busy", status=503)
                body += chunk
        except ClientDisconnect:
            return Refusal("The request ended before its body was complete.", code="incomplete_body")
        return None

    async def _handle(self, request: Request, call: Arrival, body: bytes, started: float) -> Response:
        name = self._provider.name
        plan = self._faults.arrived(name)
        if fault := plan.draw(name, ON_ARRIVAL):
            return await self._withheld(request, call, fault, plan)
        try:
            decoded = self._decode(body)
            reply = await self._provider.answer(decoded)
        except Refusal as refusal:
            self._count(call, "invalid")
            return refused(refusal)
        target = started + self._provider.latency.next(self._provider.content(decoded), self._provider.scale(decoded))
        fault = plan.draw(name, ON_ANSWER)
        left = target - time.perf_counter()
        if fault and fault.rule.kind == "latency":
            await wait(request, max(left, 0) + (fault.rule.seconds or 0))
        elif left > _NO_WAIT:
            await asyncio.sleep(left)
        return self._answered(call, reply, fault)

    def _decode(self, body: bytes) -> T:
        try:
            return self._decoder.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise from_decoding(error) from error

    async def _withheld(self, request: Request, call: Arrival, fault: Fault, plan: ActivePlan) -> Response:
        """Reject the call at once or after the stall; count it first, because a stalled client may disconnect."""
        self._count(call, fault.rule.kind)
        if fault.rule.kind == "outage":
            return refused(Refusal("The provider is down, as the fault plan says.", code="outage", status=503))
        await wait(request, min(fault.rule.seconds or 0, plan.left()), plan.lifted)
        answer = refused(Refusal("The provider stalled, as the fault plan says.", code="stall", status=503))
        answer.headers["connection"] = "close"
        return answer

    def _answered(self, call: Arrival, reply: Reply, fault: Fault | None) -> Response:
        if fault and fault.rule.kind == "error":
            self._count(call, "error")
            status = fault.rule.status or 500
            return refused(Refusal("The provider failed, as the fault plan says.", code="error", status=status))
        if fault and fault.rule.kind == "corrupt":
            number = fault.number
            reply = replace(reply, body=self._provider.rewritten(reply.body, lambda data: damage(data, number)))
            self._count(call, "corrupt")
        else:
            self._count(call, "ok")
        name = self._provider.name
        self._metrics.tokens.record(reply.input_tokens, name, "input")
        self._metrics.tokens.record(reply.output_tokens, name, "output")
        self._metrics.response_bytes.record(len(reply.body), name)
        return Response(reply.body, media_type=reply.media_type)

    def _count(self, call: Arrival, outcome: str) -> None:
        call.outcome = outcome
        self._metrics.requests.record(1, self._provider.name, outcome)


def damage(data: bytes, number: int) -> bytes:
    """Return the first half of the data at odd hits of the rule, garbage of the same length at even hits."""
    return data[: len(data) // 2] if number % 2 else data.translate(_GARBAGE)


async def wait(request: Request, seconds: float, over: asyncio.Event | None = None) -> None:
    """Sleep for `seconds`, or until the client disconnects or `over` is set; the body must have been read already."""
    ends = [asyncio.create_task(_disconnected(request))]
    if over is not None:
        ends.append(asyncio.create_task(over.wait()))
    try:
        await asyncio.wait(ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for end in ends:
            end.cancel()
        await asyncio.gather(*ends, return_exceptions=True)


async def _disconnected(request: Request) -> bool:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    return True

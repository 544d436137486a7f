"""Clients of the AI providers: pooled and unpooled sessions, every call through one method, measured on the spot."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import partial
from http import HTTPStatus
from time import perf_counter, time
from typing import Any, Generic, Literal, TypeVar

import aiohttp
import orjson
from opentelemetry import propagate
from opentelemetry.trace import SpanKind, StatusCode, Tracer
from yarl import URL

from reelbench.service.clock import Clock
from reelbench.service.jobs.correlation import Correlation
from reelbench.service.jobs.job import ProviderError
from reelbench.service.metrics import Metrics
from reelbench.service.provider_client.connections import trace_config
from reelbench.service.provider_client.resilience import Resilience
from reelbench.service.toggles import Switches

Provider = Literal["llm", "tts", "image"]
Operation = Literal["chat", "text_to_speech", "image_generation"]
_Value = TypeVar("_Value")

MAX_ANSWER_BYTES = 32 * 1024 * 1024
_KEEP_ALIVE = 4.0
"""Seconds an idle connection is kept: less than common servers do, so that none is closed under a call on its way."""
_TRANSIENT = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})
_INLINE_BYTES = 256 * 1024
"""Answers above this size are read in a thread, so that the event loop stays free."""


@dataclass(frozen=True, slots=True)
class Call(Generic[_Value]):
    """What to ask: `read` turns the body of a good answer into an `Answer`, or raises ValueError."""

    operation: Operation
    path: str
    model: str
    payload: dict[str, Any]
    read: Callable[[bytes], Answer[_Value]]
    usage: dict[str, int] = field(default_factory=dict)
    """What a good answer is charged for beside its tokens, by kind: characters, images."""


@dataclass(frozen=True, slots=True)
class Answer(Generic[_Value]):
    """A good answer; token counts are None where the provider gives none."""

    value: _Value
    input_tokens: int | None = None
    output_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Fetched(Generic[_Value]):
    """A good answer and what its last attempt cost: seconds, and bytes of the bodies in both directions."""

    value: _Value
    seconds: float
    size: int


class ProviderClient:
    """The client of one provider. Make it inside the event loop; close it there."""

    def __init__(
        self,
        provider: Provider,
        base_url: str,
        resilience: Resilience,
        switches: Switches,
        *,
        connections: int,
        timeout: float,
        api_key: str,
        tracer: Tracer,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._provider = provider
        self._resilience = resilience
        self._switches = switches
        self._base = base_url.rstrip("/")
        self._timeout = timeout
        self._tracer = tracer
        self._metrics = metrics
        self._clock = clock
        self._headers = {"Content-Type": "application/json"}
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"
        url = URL(self._base)
        self._address: dict[str, str | int] = {"server.address": url.host or "", "server.port": url.port or 0}
        session = partial(
            aiohttp.ClientSession,
            trace_configs=[trace_config(provider, metrics)],
            timeout=aiohttp.ClientTimeout(total=timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        self._pooled = session(connector=aiohttp.TCPConnector(limit=connections, keepalive_timeout=_KEEP_ALIVE))
        self._unpooled = session(connector=aiohttp.TCPConnector(limit=connections, force_close=True))

    async def call(self, call: Call[_Value], correlation: Correlation) -> _Value:
        """The answer, after as many attempts as it takes and as are allowed; raises ProviderError."""
        return (await self.fetch(call, correlation)).value

    async def fetch(self, call: Call[_Value], correlation: Correlation) -> Fetched[_Value]:
        """The answer as `call` gives it, with what it cost."""
        session = self._pooled if self._switches.pooling else self._unpooled
        return await self._resilience.call(partial(self._attempt, session, call, correlation), correlation)

    async def _attempt(
        self, session: aiohttp.ClientSession, call: Call[_Value], correlation: Correlation, number: int
    ) -> Fetched[_Value]:
        """One attempt: its span, its metrics, its answer."""
        attributes: dict[str, str | int] = {
            "gen_ai.operation.name": call.operation,
            "gen_ai.provider.name": self._provider,
            "gen_ai.request.model": call.model,
            **self._address,
        }
        if number > 1:
            attributes["http.request.resend_count"] = number - 1
        error_type: str | None = None
        started = perf_counter()
        with self._tracer.start_as_current_span(
            f"{call.operation} {call.model}",
            kind=SpanKind.CLIENT,
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                answer, size = await self._send(session, call, correlation)
                for kind, count in (("input", answer.input_tokens), ("output", answer.output_tokens)):
                    if count is not None:
                        span.set_attribute(f"gen_ai.usage.{kind}_tokens", count)
                        self._metrics.tokens(call.operation, self._provider, kind, count)
                        self._metrics.usage(self._provider, f"{kind}_tokens", count, correlation)
                for kind, count in call.usage.items():
                    self._metrics.usage(self._provider, kind, count, correlation)
            except ProviderError as error:
                error_type = error.error_type
                span.set_attribute("error.type", error_type)
                span.set_status(StatusCode.ERROR, error.message)
                raise
            except asyncio.CancelledError:
                error_type = "cancelled"
                span.set_attribute("error.type", error_type)
                raise
            else:
                return Fetched(answer.value, perf_counter() - started, size)
            finally:
                self._metrics.call(call.operation, self._provider, call.model, perf_counter() - started, error_type)

    async def close(self) -> None:
        """Close all connections."""
        await self._pooled.close()
        await self._unpooled.close()

    async def _send(
        self, session: aiohttp.ClientSession, call: Call[_Value], correlation: Correlation
    ) -> tuple[Answer[_Value], int]:
        """The answer, and the bytes of the request's and the answer's body."""
        headers = dict(self._headers)
        propagate.inject(headers)
        payload = orjson.dumps(call.payload)
        headers["X-Request-Start"] = f"t={self._clock.now():.6f}"
        try:
            async with session.post(
                self._base + call.path,
                data=payload,
                headers=headers,
                allow_redirects=False,
                trace_request_ctx=correlation,
            ) as response:
                try:
                    if response.status != HTTPStatus.OK:
                        raise self._refused(response)
                    body = await self._body(response)
                finally:
                    self._metrics.io(self._provider, "received", _arrived(response), correlation)
        except TimeoutError as error:
            raise ProviderError(
                "provider_timeout",
                f"The {self._provider} provider did not answer in {self._timeout:g} s.",
                "timeout",
                transient=True,
            ) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise ProviderError(
                "provider_unavailable",
                f"The {self._provider} provider could not be reached.",
                type(error).__name__,
                transient=True,
            ) from error
        try:
            answer = await asyncio.to_thread(call.read, body) if len(body) > _INLINE_BYTES else call.read(body)
        except (ValueError, RecursionError) as error:  # RecursionError: JSON that is nested too deeply
            raise self._invalid(str(error)) from error
        return answer, len(payload) + len(body)

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        # The declared length may be absent or a lie: the bound holds for what arrives.
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > MAX_ANSWER_BYTES:
                raise self._invalid(f"more than {MAX_ANSWER_BYTES} bytes")
        return bytes(body)

    def _refused(self, response: aiohttp.ClientResponse) -> ProviderError:
        return ProviderError(
            "provider_error",
            f"The {self._provider} provider answered with status {response.status}.",
            str(response.status),
            transient=response.status in _TRANSIENT or response.status >= HTTPStatus.INTERNAL_SERVER_ERROR,
            retry_after=_retry_after(response.headers.get("Retry-After")),
        )

    def _invalid(self, reason: str) -> ProviderError:
        return ProviderError(
            "provider_invalid_response",
            f"The {self._provider} provider gave an answer that cannot be used: {reason[:300]}.",
            "invalid_response",
            transient=True,
        )


def _arrived(response: aiohttp.ClientResponse) -> int:
    """Bytes of the body on the wire up to now; the stand-in for an empty body cannot tell (AttributeError)."""
    return 0 if response.content is aiohttp.EMPTY_PAYLOAD else response.content.total_raw_bytes


def _retry_after(value: str | None) -> float | None:
    """Seconds of a ``Retry-After`` header; None when there is none, or none that can be read."""
    if value is None:
        return None
    try:
        return float(value) if value.isdecimal() else max(0.0, parsedate_to_datetime(value).timestamp() - time())
    except (ValueError, OverflowError):
        return None

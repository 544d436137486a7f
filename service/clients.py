"""Clients of the AI providers: one session each, every call through one method, measured on the spot."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
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

from service.clock import Clock
from service.correlation import Correlation
from service.job import ProviderError
from service.metrics import Metrics
from service.resilience import Resilience

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


@dataclass(frozen=True, slots=True)
class Answer(Generic[_Value]):
    """A good answer; token counts are None where the provider gives none."""

    value: _Value
    input_tokens: int | None = None
    output_tokens: int | None = None


class ProviderClient:
    """The client of one provider. Make it inside the event loop; close it there."""

    def __init__(
        self,
        provider: Provider,
        base_url: str,
        resilience: Resilience,
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
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections, keepalive_timeout=_KEEP_ALIVE),
            timeout=aiohttp.ClientTimeout(total=timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def call(self, call: Call[_Value], correlation: Correlation) -> _Value:
        """The answer, after as many attempts as it takes and as are allowed; raises ProviderError."""
        return await self._resilience.call(partial(self._attempt, call), correlation)

    async def _attempt(self, call: Call[_Value], number: int) -> _Value:
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
                answer = await self._send(call)
                for kind, count in (("input", answer.input_tokens), ("output", answer.output_tokens)):
                    if count is not None:
                        span.set_attribute(f"gen_ai.usage.{kind}_tokens", count)
                        self._metrics.tokens(call.operation, self._provider, kind, count)
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
                return answer.value
            finally:
                self._metrics.call(call.operation, self._provider, call.model, perf_counter() - started, error_type)

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def _send(self, call: Call[_Value]) -> Answer[_Value]:
        headers = dict(self._headers)
        propagate.inject(headers)
        payload = orjson.dumps(call.payload)
        headers["X-Request-Start"] = f"t={self._clock.now():.6f}"
        try:
            async with self._session.post(
                self._base + call.path, data=payload, headers=headers, allow_redirects=False
            ) as response:
                if response.status != HTTPStatus.OK:
                    raise ProviderError(
                        "provider_error",
                        f"The {self._provider} provider answered with status {response.status}.",
                        str(response.status),
                        transient=response.status in _TRANSIENT or response.status >= HTTPStatus.INTERNAL_SERVER_ERROR,
                        retry_after=_retry_after(response.headers.get("Retry-After")),
                    )
                body = await self._body(response)
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
            return await asyncio.to_thread(call.read, body) if len(body) > _INLINE_BYTES else call.read(body)
        except ValueError as error:
            raise self._invalid(str(error)) from error

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        # The declared length may be absent or a lie: the bound holds for what arrives.
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > MAX_ANSWER_BYTES:
                raise self._invalid(f"more than {MAX_ANSWER_BYTES} bytes")
        return bytes(body)

    def _invalid(self, reason: str) -> ProviderError:
        return ProviderError(
            "provider_invalid_response",
            f"The {self._provider} provider gave an answer that cannot be used: {reason[:300]}.",
            "invalid_response",
            transient=True,
        )


def _retry_after(value: str | None) -> float | None:
    """Seconds of a ``Retry-After`` header; None when there is none, or none that can be read."""
    if value is None:
        return None
    try:
        return float(value) if value.isdecimal() else max(0.0, parsedate_to_datetime(value).timestamp() - time())
    except (ValueError, OverflowError):
        return None

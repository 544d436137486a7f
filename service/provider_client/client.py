"""Clients of the AI providers: pooled and unpooled sessions, with spans and metrics for every attempt."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import partial
from http import HTTPStatus
from time import perf_counter, time
from types import SimpleNamespace
from typing import Any, Generic, Literal, TypeVar, cast

import aiohttp
import orjson
from opentelemetry import propagate
from opentelemetry.trace import SpanKind, StatusCode, Tracer
from yarl import URL

from reelbench.service.domain.clock import Clock
from reelbench.service.domain.correlation import Correlation
from reelbench.service.domain.errors import ProviderError
from reelbench.service.metrics import Metrics
from reelbench.service.provider_client.requests import ProviderAnswer, ProviderRequest
from reelbench.service.provider_client.resilience import Resilience
from reelbench.service.settings import Settings, Toggles

Provider = Literal["llm", "tts", "image"]
_Value = TypeVar("_Value")

MAX_ANSWER_BYTES = 32 * 1024 * 1024
_KEEP_ALIVE = 4.0
"""Seconds before an idle connection is closed: shorter than common servers, which could close it during a request."""
_TRANSIENT = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})
_INLINE_BYTES = 256 * 1024
"""Answers above this size are decoded in a thread, so that they do not block the event loop."""


@dataclass(frozen=True, slots=True)
class Fetched(Generic[_Value]):
    """A good answer, with the seconds of its last attempt and the bytes of its request and response bodies."""

    value: _Value
    seconds: float
    size: int


class ProviderClient:
    """The client of one provider. Create and close it inside the event loop."""

    def __init__(
        self,
        provider: Provider,
        base_url: str,
        resilience: Resilience,
        settings: Settings,
        toggles: Toggles,
        *,
        tracer: Tracer,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._provider = provider
        self._resilience = resilience
        self._toggles = toggles
        self._base = base_url.rstrip("/")
        self._timeout = settings.provider_timeout
        self._tracer = tracer
        self._metrics = metrics
        self._clock = clock
        self._headers = {"Content-Type": "application/json"}
        if api_key := settings.provider_api_key.get_secret_value():
            self._headers["Authorization"] = f"Bearer {api_key}"
        url = URL(self._base)
        self._address: dict[str, str | int] = {"server.address": url.host or "", "server.port": url.port or 0}
        session = partial(
            aiohttp.ClientSession,
            trace_configs=[_trace_config(provider, metrics)],
            timeout=aiohttp.ClientTimeout(total=self._timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        limit = settings.provider_connections
        self._pooled = session(connector=aiohttp.TCPConnector(limit=limit, keepalive_timeout=_KEEP_ALIVE))
        self._unpooled = session(connector=aiohttp.TCPConnector(limit=limit, force_close=True))

    async def call(self, request: ProviderRequest[_Value], correlation: Correlation) -> _Value:
        """Return the answer, after retries if necessary; raises ProviderError."""
        return (await self.fetch(request, correlation)).value

    async def fetch(self, request: ProviderRequest[_Value], correlation: Correlation) -> Fetched[_Value]:
        """Return the answer as `call` does, with its cost."""
        session = self._pooled if self._toggles.pooling else self._unpooled
        return await self._resilience.call(partial(self._attempt, session, request, correlation), correlation)

    async def _attempt(
        self, session: aiohttp.ClientSession, request: ProviderRequest[_Value], correlation: Correlation, number: int
    ) -> Fetched[_Value]:
        """Make one attempt, with its span and metrics."""
        attributes: dict[str, str | int] = {
            "gen_ai.operation.name": request.operation,
            "gen_ai.provider.name": self._provider,
            "gen_ai.request.model": request.model,
            **self._address,
        }
        if number > 1:
            attributes["http.request.resend_count"] = number - 1
        error_type: str | None = None
        started = perf_counter()
        with self._tracer.start_as_current_span(
            f"{request.operation} {request.model}",
            kind=SpanKind.CLIENT,
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                answer, size = await self._send(session, request, correlation)
                for kind, count in (("input", answer.input_tokens), ("output", answer.output_tokens)):
                    if count is not None:
                        span.set_attribute(f"gen_ai.usage.{kind}_tokens", count)
                        self._metrics.tokens(request.operation, self._provider, kind, count)
                        self._metrics.usage(self._provider, f"{kind}_tokens", count, correlation)
                for kind, count in request.usage.items():
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
                self._metrics.call(
                    request.operation, self._provider, request.model, perf_counter() - started, error_type
                )

    async def close(self) -> None:
        """Close all connections."""
        await self._pooled.close()
        await self._unpooled.close()

    async def _send(
        self, session: aiohttp.ClientSession, request: ProviderRequest[_Value], correlation: Correlation
    ) -> tuple[ProviderAnswer[_Value], int]:
        """Return the answer, and the bytes of the request and response bodies."""
        headers = dict(self._headers)
        propagate.inject(headers)
        payload = orjson.dumps(request.payload)
        headers["X-Request-Start"] = f"t={self._clock.now():.6f}"
        try:
            async with session.post(
                self._base + request.path,
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
            answer = await asyncio.to_thread(request.read, body) if len(body) > _INLINE_BYTES else request.read(body)
        except (ValueError, RecursionError) as error:  # RecursionError: JSON that is nested too deeply
            raise self._invalid(str(error)) from error
        return answer, len(payload) + len(body)

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        # The declared length may be absent or wrong, so the bound applies to the bytes that arrive.
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
    """Return the bytes of the body received so far; aiohttp's placeholder for an empty body does not count them."""
    return 0 if response.content is aiohttp.EMPTY_PAYLOAD else response.content.total_raw_bytes


def _retry_after(value: str | None) -> float | None:
    """Return the seconds of a ``Retry-After`` header; None when it is missing or malformed."""
    if value is None:
        return None
    try:
        return float(value) if value.isdecimal() else max(0.0, parsedate_to_datetime(value).timestamp() - time())
    except (ValueError, OverflowError):
        return None


def _trace_config(provider: str, metrics: Metrics) -> aiohttp.TraceConfig:
    """Return hooks that measure the connections of a session; requests carry a Correlation as ``trace_request_ctx``.

    Established connections and finished waits are recorded, abandoned ones are not.
    """

    async def queued(_: aiohttp.ClientSession, context: SimpleNamespace, __: Any) -> None:
        context.started = perf_counter()

    async def dequeued(_: aiohttp.ClientSession, context: SimpleNamespace, __: Any) -> None:
        metrics.pool_waited(provider, perf_counter() - context.started)

    async def connecting(_: aiohttp.ClientSession, context: SimpleNamespace, __: Any) -> None:
        context.started = perf_counter()

    async def connected(_: aiohttp.ClientSession, context: SimpleNamespace, __: Any) -> None:
        metrics.connection_opened(provider, perf_counter() - context.started, _correlation(context))

    async def reused(_: aiohttp.ClientSession, context: SimpleNamespace, __: Any) -> None:
        metrics.connection_reused(provider, _correlation(context))

    async def sent(
        _: aiohttp.ClientSession, context: SimpleNamespace, chunk: aiohttp.TraceRequestChunkSentParams
    ) -> None:
        metrics.io(provider, "sent", len(chunk.chunk), _correlation(context))

    config = aiohttp.TraceConfig()
    config.on_connection_queued_start.append(queued)
    config.on_connection_queued_end.append(dequeued)
    config.on_connection_create_start.append(connecting)
    config.on_connection_create_end.append(connected)
    config.on_connection_reuseconn.append(reused)
    config.on_request_chunk_sent.append(sent)
    return config


def _correlation(context: SimpleNamespace) -> Correlation:
    return cast("Correlation", context.trace_request_ctx)

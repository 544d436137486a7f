"""What aiohttp does with the connections of one provider's client, measured by its trace hooks."""

from __future__ import annotations

from time import perf_counter
from types import SimpleNamespace
from typing import Any, cast

import aiohttp

from reelbench.service.jobs.correlation import Correlation
from reelbench.service.metrics import Metrics


def trace_config(provider: str, metrics: Metrics) -> aiohttp.TraceConfig:
    """Hooks for a session whose requests carry their Correlation as ``trace_request_ctx``.

    A connection is opened when it is established, a wait ends when a connection is free: what was given up before
    is not recorded.
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

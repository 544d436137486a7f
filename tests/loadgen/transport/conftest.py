from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
import uvloop

from reelbench.loadgen.http.aiohttp import AiohttpTransport
from reelbench.loadgen.http.http1 import Http1Transport
from tests.loadgen.transport.harness import Make


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run these tests on both event loops: commands use uvloop, but asyncio's loop must work too."""
    both = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    return both if item.path.name == "test_connections.py" else {"uvloop": uvloop.new_event_loop}


@pytest.fixture(params=[Http1Transport, AiohttpTransport])
def make(request: pytest.FixtureRequest) -> Make:
    return request.param

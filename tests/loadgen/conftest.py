from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from fakeredis import TcpFakeServer

from reelbench.stack.endpoints import free_ports


@pytest.fixture
def store() -> Iterator[str]:
    """The URL of a store in which replicas meet."""
    (port,) = free_ports(1)
    server = TcpFakeServer(("127.0.0.1", port), server_type="redis")
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"redis://127.0.0.1:{port}/0"
    server.shutdown()
    server.server_close()

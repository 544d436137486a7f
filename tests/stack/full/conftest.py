from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from reelbench.stack import dotenv
from reelbench.stack.binaries import cache_folder
from reelbench.stack.tools import Tools, locate
from tests.stack.full.native import NativeStack


@pytest.fixture(scope="session")
def tools() -> Tools:
    """Prometheus, promtool and Collector of the pinned versions."""
    found = locate(dotenv.read(), cache_folder())
    if not found.complete:
        pytest.skip("Prometheus and the Collector are not built; where there is Go: make stack-tools")
    return found


@pytest.fixture(scope="session")
def tempo() -> Path | None:
    """The Tempo that TEMPO_BIN names, if any."""
    named = os.environ.get("TEMPO_BIN")
    return Path(named) if named else None


@pytest.fixture(scope="module")
def stack(tools: Tools, tempo: Path | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NativeStack]:
    with NativeStack(tmp_path_factory.mktemp("stack"), tools, tempo) as running:
        yield running

from __future__ import annotations

import pytest

from stack.binaries import find_prometheus
from stack.errors import StackError
from stack.prometheus import PrometheusBinary


@pytest.fixture(scope="session")
def prometheus() -> PrometheusBinary:
    """A real Prometheus, fetched into the project's cache when the machine has none."""
    try:
        return find_prometheus(print)
    except StackError as error:
        pytest.skip(f"no Prometheus: {error}")

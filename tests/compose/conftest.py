from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.compose.engine import Project, reason_without


@pytest.fixture(scope="session")
def project() -> Iterator[Project]:
    """The stack of docker compose, started by the command of the README; nothing of it is left afterwards."""
    if (reason := reason_without()) is not None:
        pytest.skip(reason)
    found = Project()
    try:
        # An image of an earlier checkout would be taken as it is.
        found.compose("--profile", "report", "build", timeout=1800)
        found.compose("up", "-d", "--wait", timeout=600)
        yield found
        mounted = {mount["Name"] for one in found.containers() for mount in one["Mounts"] if mount["Type"] == "volume"}
    finally:
        found.compose("--profile", "report", "down", "-v", timeout=300, check=False)
    assert found.left() == []
    assert mounted & set(found.docker("volume", "ls", "-q").stdout.split()) == set()  # anonymous volumes have no label

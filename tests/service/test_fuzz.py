"""Requests generated from the service's OpenAPI description: valid ones, and deliberately invalid ones."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import schemathesis

from tests.fuzz.openapi import LIMIT, kinds, try_operation
from tests.service.conftest import Running, fake_providers, run_service

EXAMPLES = 10
"""Requests for each operation, of each kind; `make test-fuzz` makes more."""

# The generator draws the boundaries of multipart bodies by `random`, which hypothesis warns of.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    with (
        fake_providers() as (_, url),
        tempfile.TemporaryDirectory() as folder,
        run_service(url, Path(folder)) as running,
    ):
        yield running


@pytest.fixture(scope="module")
def video_id(service: Running) -> str:
    """A completed video."""
    video = httpx.post(f"{service.url}/v1/videos", json={"prompt": "x"}, timeout=LIMIT).json()
    assert httpx.get(f"{service.url}/v1/videos/{video['id']}/wait", timeout=LIMIT).json()["status"] == "completed"
    return str(video["id"])


@pytest.mark.extended
@pytest.mark.parametrize(
    ("label", "mode"), [pytest.param(label, mode, id=f"{label}-{mode.value}") for label, mode in kinds()]
)
def test_no_request_gets_more_than_a_clean_refusal(
    label: str, mode: schemathesis.GenerationMode, service: Running, video_id: str
) -> None:
    try_operation(label, mode, service.url, video_id, examples=EXAMPLES)


def test_the_service_still_works_after_the_fuzzing(service: Running) -> None:
    assert httpx.get(f"{service.url}/ready", timeout=LIMIT).json() == {"status": "ok"}

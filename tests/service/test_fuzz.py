"""Requests generated from the service's OpenAPI description: valid ones, and deliberately invalid ones."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from reelbench.service.api.app import create_app
from reelbench.service.settings import Settings
from tests.service.conftest import Running, fake_providers, run_service

EXAMPLES = 10
"""Requests for each operation, of each kind."""
BREAKABLE = {
    "POST /v1/videos",
    "GET /v1/videos",
    "GET /v1/videos/{video_id}/wait",
    "GET /v1/videos/{video_id}/content",
    "POST /v1/videos/{video_id}/remix",
}
"""Operations with something that a request can break; any text will do for the others' parameters."""
OF_A_VIDEO = {
    f"{method} /v1/videos/{{video_id}}{rest}"
    for method, rest in (("GET", ""), ("GET", "/wait"), ("GET", "/manifest"), ("GET", "/content"), ("POST", "/remix"))
}
"""Operations that also get requests for a video that exists; generated ids are of none."""
LIMIT = 10.0
"""Seconds for one answer; the long poll asks for less below."""

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


def describe() -> dict[str, Any]:
    """The service's OpenAPI description."""
    with tempfile.TemporaryDirectory() as folder:
        return create_app(Settings(data_dir=Path(folder))).openapi()


DESCRIPTION = describe()
LABELS = [f"{method.upper()} {path}" for path, methods in DESCRIPTION["paths"].items() for method in methods]


@pytest.fixture(scope="module")
def operations() -> dict[str, schemathesis.APIOperation[Any, Any, Any, Any]]:
    """The operations by their label, read only where their tests run, because that takes 0.7 s of CPU."""
    found = [one.ok() for one in schemathesis.openapi.from_dict(DESCRIPTION).get_all_operations()]
    assert [one.label for one in found] == LABELS
    return {one.label: one for one in found}


@pytest.mark.parametrize(
    ("label", "mode"),
    [
        pytest.param(label, mode, id=f"{label}-{mode.value}")
        for label in LABELS
        for mode in schemathesis.GenerationMode
        if mode is schemathesis.GenerationMode.POSITIVE or label in BREAKABLE
    ],
)
def test_no_request_gets_more_than_a_clean_refusal(
    label: str,
    mode: schemathesis.GenerationMode,
    operations: dict[str, schemathesis.APIOperation[Any, Any, Any, Any]],
    service: Running,
    video_id: str,
) -> None:
    operation = operations[label]
    exists = st.booleans() if label in OF_A_VIDEO else st.just(value=False)

    @given(case=operation.as_strategy(generation_mode=mode), exists=exists)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    def trial(case: schemathesis.Case[Any], *, exists: bool) -> None:
        if exists:
            case.path_parameters = {"video_id": video_id}
        if is_number((case.query or {}).get("timeout")):
            case.query["timeout"] = min(float(case.query["timeout"]), 0.05)
        response = case.call(base_url=service.url, timeout=LIMIT)
        assert response.status_code < 500, response.text
        assert b"Traceback" not in response.content
        case.validate_response(
            response, checks=[status_code_conformance, content_type_conformance, response_schema_conformance]
        )

    trial()


def is_number(value: object) -> bool:
    try:
        float(str(value))
    except ValueError:
        return False
    return True


def test_the_service_still_works_after_the_fuzzing(service: Running) -> None:
    assert httpx.get(f"{service.url}/ready", timeout=LIMIT).json() == {"status": "ok"}

"""Requests made from the service's OpenAPI description by schemathesis: valid ones, and deliberately invalid ones."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from reelbench.service.api.app import create_app
from reelbench.service.settings import Settings
from tests.fuzz.stand import stand

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
FULL = 503
"""The queue of the service is full: an answer of a healthy service under load."""
Operation = schemathesis.APIOperation[Any, Any, Any, Any]


@cache
def describe() -> dict[str, Any]:
    """Return the service's OpenAPI description."""
    with tempfile.TemporaryDirectory() as folder:
        return create_app(Settings(data_dir=Path(folder))).openapi()


def labels() -> list[str]:
    """Return the names of all operations."""
    return [f"{method.upper()} {path}" for path, methods in describe()["paths"].items() for method in methods]


def kinds() -> list[tuple[str, schemathesis.GenerationMode]]:
    """Return each operation with each kind of request that it gets."""
    return [
        (label, mode)
        for label in labels()
        for mode in schemathesis.GenerationMode
        if mode is schemathesis.GenerationMode.POSITIVE or label in BREAKABLE
    ]


@cache
def operations() -> dict[str, Operation]:
    """Return the operations by their label; reading them takes 0.7 s of CPU."""
    found = [one.ok() for one in schemathesis.openapi.from_dict(describe()).get_all_operations()]
    assert [one.label for one in found] == labels()
    return {one.label: one for one in found}


def try_operation(
    label: str,
    mode: schemathesis.GenerationMode,
    url: str,
    video_id: str,
    *,
    examples: int,
    random: int | None = None,
    busy: bool = False,
) -> None:
    """Send requests of one kind, and check each answer against the description.

    Args:
        label: the operation.
        mode: valid requests, or invalid ones.
        url: of the service.
        video_id: of a completed video.
        examples: number of requests.
        random: seed; None: the same requests each time.
        busy: the service may say that its queue is full.
    """
    operation = operations()[label]
    exists = st.booleans() if label in OF_A_VIDEO else st.just(value=False)

    @given(case=operation.as_strategy(generation_mode=mode), exists=exists)
    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=random is None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    def trial(case: schemathesis.Case[Any], *, exists: bool) -> None:
        if exists:
            case.path_parameters = {"video_id": video_id}
        if is_number((case.query or {}).get("timeout")):
            case.query["timeout"] = min(float(case.query["timeout"]), 0.05)
        response = case.call(base_url=url, timeout=LIMIT)
        if busy and response.status_code == FULL:
            return
        assert response.status_code < 500, response.text
        assert b"Traceback" not in response.content
        case.validate_response(
            response, checks=[status_code_conformance, content_type_conformance, response_schema_conformance]
        )

    (trial if random is None else seed(random)(trial))()


def is_number(value: object) -> bool:
    """Return whether a value of a query is a number."""
    try:
        float(str(value))
    except ValueError:
        return False
    return True


def fuzz(count: int, seconds: float, random: int) -> Iterator[tuple[str, int, Sequence[str], float]]:
    """Yield the result for the whole description: each operation gets as many requests."""
    began, made, findings = time.monotonic(), 0, []
    each = max(1, count // len(kinds()))
    with stand() as parts:
        url = parts.service.url
        video = httpx.post(f"{url}/v1/videos", json={"prompt": "x"}, timeout=LIMIT).json()
        httpx.get(f"{url}/v1/videos/{video['id']}/wait", params={"timeout": 20}, timeout=30)
        for label, mode in kinds():
            if time.monotonic() > began + seconds:
                break
            made += each
            try:
                try_operation(label, mode, url, video["id"], examples=each, random=random, busy=True)
            except Exception as error:  # noqa: BLE001 - every one is a finding
                findings.append(f"{label}, {mode.value}: {type(error).__name__}: {str(error)[:2000]}")
        if "Traceback" in (said := parts.service.said):
            findings.append(f"a traceback: {said[said.index('Traceback') :][:2000]}")
    yield "OpenAPI description", made, findings, time.monotonic() - began

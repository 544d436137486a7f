from __future__ import annotations

import json
from pathlib import Path

import pytest

from reelbench.reporting.evidence.stackfile import read_stack


@pytest.mark.parametrize(
    ("kind", "version", "expected"),
    [
        ("embedded", "0.1.0", True),
        ("embedded", None, False),  # a foreign target: its telemetry is not scraped
        ("external", None, True),  # the compose stack: its version is not ours to know
    ],
)
def test_whose_telemetry_must_be_there(tmp_path: Path, kind: str, version: str | None, *, expected: bool) -> None:
    components = [{"name": "service", "url": "http://127.0.0.1:1", "version": version}]
    record = {"schema_version": 1, "kind": kind, "components": components, "a_later_field": 1}
    (tmp_path / "stack.json").write_text(json.dumps(record))
    stack = read_stack(tmp_path)
    assert stack is not None
    assert stack.has_service is expected


def test_a_run_without_a_stack(tmp_path: Path) -> None:
    assert read_stack(tmp_path) is None

"""OTLP JSON as the official message, to compare lines of different encoders."""

from __future__ import annotations

import json
from typing import Any

from opentelemetry.proto_json.collector.trace.v1.trace_service import ExportTraceServiceRequest


def decoded(line: bytes) -> dict[str, Any]:
    """Return a line in the form of the official message, without fields that have their default value."""
    return ExportTraceServiceRequest.from_dict(json.loads(line)).to_dict()

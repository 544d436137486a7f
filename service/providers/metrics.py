"""The instruments of the mock providers, each declared once."""

from __future__ import annotations

from dataclasses import dataclass

from opentelemetry.metrics import Counter, MeterProvider, get_meter


@dataclass(frozen=True, slots=True)
class Metrics:
    """What the providers count; attributes stand beside each instrument."""

    requests: Counter
    """provider (llm, tts, image), outcome (ok, invalid, or an injected error, outage, stall, corrupt)"""
    tokens: Counter
    """provider, type (input, output)"""
    response_bytes: Counter
    """provider"""
    connections: Counter
    """provider of the first request; other: no provider's"""


def create(provider: MeterProvider | None = None) -> Metrics:
    """Create the instruments, of the global meter provider unless another is given."""
    meter = get_meter("service.providers", meter_provider=provider)
    return Metrics(
        requests=meter.create_counter("provider.requests", "{request}", "Requests answered by a mock provider"),
        tokens=meter.create_counter("provider.tokens", "{token}", "Tokens that a mock provider accounted for"),
        response_bytes=meter.create_counter("provider.response.bytes", "By", "Bytes of the bodies sent to clients"),
        connections=meter.create_counter(
            "provider.connections", "{connection}", "Connections accepted that carried a request"
        ),
    )

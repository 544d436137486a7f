"""The instruments of the mock providers, as ``metrics.yaml`` declares them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from opentelemetry.metrics import Counter, MeterProvider, get_meter

from reelbench.telemetry.registry import Instruments

METRICS_FILE = Path(__file__).with_name("metrics.yaml")


@dataclass(frozen=True, slots=True)
class Metrics:
    """Counters of the providers."""

    requests: Counter
    tokens: Counter
    response_bytes: Counter
    connections: Counter


def create(provider: MeterProvider | None = None) -> Metrics:
    """Create the instruments, of the global meter provider unless another is given."""
    made = Instruments(get_meter("service.providers", meter_provider=provider), METRICS_FILE)
    return Metrics(
        requests=made.counter("provider.requests"),
        tokens=made.counter("provider.tokens"),
        response_bytes=made.counter("provider.response.bytes"),
        connections=made.counter("provider.connections"),
    )

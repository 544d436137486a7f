"""The instruments of the mock providers, as ``metrics.yaml`` declares them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from opentelemetry.metrics import MeterProvider, get_meter

from reelbench.service.http_limits import BoundedHttp
from reelbench.telemetry.bound import Series
from reelbench.telemetry.registry import Instruments

METRICS_FILE = Path(__file__).with_name("metrics.yaml")


@dataclass(frozen=True, slots=True)
class Metrics:
    """Counters of the providers."""

    requests: Series
    """By provider and outcome."""
    tokens: Series
    """By provider and type."""
    response_bytes: Series
    """By provider."""
    connections: Series
    """By provider."""


def create(provider: MeterProvider | None = None) -> Metrics:
    """Create the instruments, of the global meter provider unless another is given."""
    made = Instruments(get_meter("service.providers", meter_provider=provider), METRICS_FILE)
    return Metrics(
        requests=Series(made.counter("provider.requests"), "provider", "outcome"),
        tokens=Series(made.counter("provider.tokens"), "provider", "type"),
        response_bytes=Series(made.counter("provider.response.bytes"), "provider"),
        connections=Series(made.counter("provider.connections"), "provider"),
    )


_PROVIDERS = {"/v1/chat/completions": "llm", "/v1/audio/speech": "tts", "/v1/images/generations": "image"}


def counting(connections: Series) -> type[BoundedHttp]:
    """Return uvicorn's protocol, which counts each connection at its first request, by the path of that request.

    A subclass, because uvicorn has no hook for connections and ASGI has only requests.
    """

    class Counting(BoundedHttp):
        _counted = False

        def on_headers_complete(self) -> None:
            super().on_headers_complete()
            if not self._counted:
                self._counted = True
                connections.record(1, _PROVIDERS.get(self.scope["path"], "other"))

    return Counting

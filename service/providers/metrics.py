"""The instruments of the mock providers, as ``metrics.yaml`` declares them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from opentelemetry.metrics import Counter, MeterProvider, get_meter
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

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


_PROVIDERS = {"/v1/chat/completions": "llm", "/v1/audio/speech": "tts", "/v1/images/generations": "image"}


def counting(connections: Counter) -> type[HttpToolsProtocol]:
    """Return uvicorn's protocol, which counts each connection at its first request, by the path of that request.

    A subclass, because uvicorn has no hook for connections and ASGI has only requests.
    """

    class Counting(HttpToolsProtocol):
        _counted = False

        def on_headers_complete(self) -> None:
            super().on_headers_complete()
            if not self._counted:
                self._counted = True
                connections.add(1, {"provider": _PROVIDERS.get(self.scope["path"], "other")})

    return Counting

"""Counts connections on the wire, whatever the caller believes."""

from __future__ import annotations

from opentelemetry.metrics import Counter
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_PROVIDERS = {"/v1/chat/completions": "llm", "/v1/audio/speech": "tts", "/v1/images/generations": "image"}


def counting(connections: Counter) -> type[HttpToolsProtocol]:
    """The protocol of uvicorn, which adds each connection to `connections` at its first request, by that one's path.

    A subclass, as uvicorn has no hook for a connection and ASGI knows requests only.
    """

    class Counting(HttpToolsProtocol):
        _counted = False

        def on_headers_complete(self) -> None:
            super().on_headers_complete()
            if not self._counted:
                self._counted = True
                connections.add(1, {"provider": _PROVIDERS.get(self.scope["path"], "other")})

    return Counting

"""Counts connections at the server."""

from __future__ import annotations

from opentelemetry.metrics import Counter
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

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

"""A small proxy that demands headers, as Mimir demands a tenant and a gateway a token."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests


@dataclass
class DemandingProxy:
    url: str
    passed: int = 0
    """Requests that had every header."""
    refused: int = 0


@contextmanager
def demanding(
    upstream: str, demanded: Mapping[str, str], *, path: str = "", moved: str | None = None
) -> Iterator[DemandingProxy]:
    """Forward requests below a path to a server if they have the demanded headers; refuse the others with 401.

    Args:
        upstream: Base URL of the server.
        demanded: Headers of every request.
        path: Path below which the server stands.
        moved: Base URL to which requests are redirected instead of being forwarded.
    """
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fits = self.path.startswith(f"{path}/") and all(self.headers.get(k) == v for k, v in demanded.items())
            with lock:
                proxy.passed += fits
                proxy.refused += not fits
            if not fits:
                self._answer(401, b"no org id\n")
                return
            if moved is not None:
                self._answer(307, b"", moved + self.path)
                return
            kept = {k: v for k, v in self.headers.items() if k.lower() == "content-type"}
            with requests.Session() as session:
                session.trust_env = False
                found = session.request(
                    self.command, upstream + self.path.removeprefix(path), data=body, headers=kept, timeout=20
                )
            self._answer(found.status_code, found.content)

        do_POST = do_GET  # noqa: N815 - the name is that of the method

        def _answer(self, status: int, body: bytes, location: str | None = None) -> None:
            self.send_response(status)
            if location is not None:
                self.send_header("Location", location)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    proxy = DemandingProxy(f"http://127.0.0.1:{server.server_port}{path}")
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()

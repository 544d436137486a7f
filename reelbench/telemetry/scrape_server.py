"""The page of metrics over HTTP: prometheus-client's application and negotiation, with the text of `ScrapeReader`."""

from __future__ import annotations

from collections.abc import Iterable
from threading import Thread
from typing import cast
from wsgiref.simple_server import WSGIRequestHandler
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from prometheus_client.core import Metric as Family
from prometheus_client.exposition import ThreadingWSGIServer, choose_encoder, make_wsgi_app
from prometheus_client.registry import Collector

from reelbench.handed_over import METRICS_SOCKET, handed_over
from reelbench.telemetry.exposition import ScrapeReader


def serve(reader: ScrapeReader, host: str, port: int) -> None:
    """Serve `reader` at ``http://host:port/metrics``, or at a socket that was handed over, from a thread of its own.

    The answer is never compressed: that would cost as much CPU as the text.

    Raises:
        OSError: the port is taken.
    """
    given = handed_over(METRICS_SOCKET)
    server = ThreadingWSGIServer((host, port), SilentHandler, bind_and_activate=given is None)
    if given is not None:
        server.socket.close()
        server.socket = given
        server.server_name, server.server_port = given.getsockname()[:2]
        server.setup_environ()
        server.server_activate()
    server.set_app(application(reader))
    Thread(target=server.serve_forever, name="metrics", daemon=True).start()


def application(reader: ScrapeReader) -> WSGIApplication:
    """Return prometheus-client's WSGI application over `reader`: the two usual text formats are rendered here."""
    official = make_wsgi_app(_Live(reader), disable_compression=True)

    def answer(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        encoder, content_type = choose_encoder(environ.get("HTTP_ACCEPT", ""))
        plain = environ["REQUEST_METHOD"] == "GET" and not environ.get("QUERY_STRING")
        escaping = getattr(encoder, "keywords", {}).get("escaping", "underscores")
        if not plain or environ["PATH_INFO"] == "/favicon.ico" or escaping not in {"underscores", "allow-utf-8"}:
            return cast("Iterable[bytes]", official(environ, start))
        body = reader.scrape(openmetrics=content_type.startswith("application/openmetrics-text"))
        start("200 OK", [("Content-Type", content_type)])
        return [body]

    return answer


class _Live(Collector):
    """A reader as a collector of prometheus-client, for formats that are seldom asked for."""

    def __init__(self, reader: ScrapeReader) -> None:
        self._reader = reader

    def collect(self) -> Iterable[Family]:
        return self._reader.families()


class SilentHandler(WSGIRequestHandler):
    """A handler that logs no request: a scrape a second would bury the messages."""

    def log_message(self, *_: object) -> None:
        """Log nothing."""

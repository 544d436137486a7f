from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest

from reelbench.stack.errors import StackError
from reelbench.stack.forwarding import Forwarding
from reelbench.suite.measuring import Load
from reelbench.suite.series import NAMES, Variant, configured


class Service(ThreadingHTTPServer):
    """A fake running service with toggles."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.switches = dict.fromkeys(NAMES, True) | {"retries": False}
        self.stuck = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Service

    def do_GET(self) -> None:
        body = msgspec.json.encode({"switches": self.server.switches})
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self) -> None:
        change = msgspec.json.decode(self.rfile.read(int(self.headers["Content-Length"])))
        if not self.server.stuck:
            self.server.switches |= change
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def service() -> Iterator[Service]:
    server = Service()
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def load(target: str | None, said: list[str] | None = None) -> Load:
    say = (said if said is not None else []).append
    return Load(
        runs=Path(), arguments=(), target=target, charts=False, forwarding=Forwarding(), say=say, show=say
    )  # fmt: skip


def test_toggles_of_a_running_service_are_set_and_restored(service: Service) -> None:
    found = dict(service.switches)
    seen = []

    def fail() -> None:
        with configured(load(service.url), Variant("no_cache", "cache")):
            seen.append(dict(service.switches))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert seen == [dict.fromkeys(NAMES, True) | {"cache": False}]
    assert service.switches == found


def test_the_embedded_service_gets_its_settings_and_the_rest_of_the_environment() -> None:
    with configured(load(None), Variant("no_pooling", "pooling")) as environment:
        assert {name: environment[name] for name in environment if name not in os.environ} == {
            "SERVICE_RETRIES": "true",
            "SERVICE_BREAKER": "true",
            "SERVICE_CACHE": "true",
            "SERVICE_POOLING": "false",
            "SERVICE_SCENE_CONCURRENCY": "true",
        }
        assert environment["PATH"] == os.environ["PATH"]


def test_a_service_without_a_variant_is_not_changed(service: Service) -> None:
    with configured(load(service.url), Variant("")) as environment:
        assert environment == dict(os.environ)
    assert service.switches["retries"] is False


def test_unreadable_toggles_are_one_sentence_with_the_fix(service: Service) -> None:
    service.stuck = True
    with (
        pytest.raises(StackError, match=r"left retries, cache as before"),
        configured(load(service.url), Variant("no_cache", "cache")),
    ):
        pass
    with (
        pytest.raises(StackError, match=r"cannot change its toggles \(GET .*\); start it with SERVICE_ADMIN=true"),
        configured(load("http://127.0.0.1:1"), Variant("full")),
    ):
        pass

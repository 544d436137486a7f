from __future__ import annotations

import base64
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from reelbench.stack import metrics_page, prometheus
from reelbench.stack.errors import NotMetricsError, StackError
from reelbench.stack.metrics_page import MetricsPage, PageAccess, read_page, split_credentials
from reelbench.stack.prometheus import ScrapedPage
from reelbench.stack.server_metrics import PageSource, PrometheusSource, ServerMetrics, named, read_prometheus

PAGE = "# TYPE vllm_omni:num_requests_running gauge\nvllm_omni:num_requests_running 3\nup_since 12.5\n"


@dataclass
class Server:
    """A server with one page."""

    body: str = PAGE
    status: int = 200
    media_type: str = "text/plain; version=0.0.4"
    wants: str | None = None
    """Authorization that the page asks for."""
    seen: list[str] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.seen.append(self.headers.get("Authorization", ""))
            status = 401 if made.wants not in {None, made.seen[-1]} else made.status
            self.send_response(status)
            self.send_header("Content-Type", made.media_type)
            self.end_headers()
            self.wfile.write(made.body.encode())

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None: ...

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    made.url = f"http://127.0.0.1:{http.server_address[1]}/metrics"
    yield made
    http.shutdown()
    http.server_close()


def test_the_names_of_a_page_are_read(server: Server) -> None:
    page = read_page(server.url, PageAccess())
    assert page.names == {"vllm_omni:num_requests_running", "up_since"}
    assert (page.path, page.scheme, page.interval) == ("/metrics", "http", 1)


@pytest.mark.parametrize(
    ("body", "media_type", "message"),
    [
        ("<!doctype html><title>x</title>", "text/html", "answers HTML and no metrics"),
        ("<html>", "text/plain", "answers HTML and no metrics"),
        ('{"error": "not here"}', "application/json", "answers application/json, which is no exposition format"),
        ("it works\nreally", "text/plain", "answers text/plain, which is no exposition format"),
        ("# only a comment\n", "text/plain", "answers without any metric"),
    ],
)
def test_what_is_no_metrics_is_said_in_one_sentence(server: Server, body: str, media_type: str, message: str) -> None:
    server.body, server.media_type = body, media_type
    with pytest.raises(NotMetricsError) as caught:
        read_page(server.url, PageAccess())
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_page_without_end_is_cut_off(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_page, "MOST_BYTES", 100_000)
    server.body = "a 1\n" * 50_000
    with pytest.raises(NotMetricsError, match="more than 100,000 bytes"):
        read_page(server.url, PageAccess())


def test_a_page_that_does_not_end_is_left(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_page, "LONGEST", -1.0)
    with pytest.raises(NotMetricsError, match="does not end within"):
        read_page(server.url, PageAccess())


def test_a_page_that_is_not_there_is_an_absent_server(server: Server) -> None:
    with pytest.raises(StackError, match=r"does not answer \(.*\); correct --metrics") as caught:
        read_page("http://user:secret@127.0.0.1:1/metrics", PageAccess())
    assert not isinstance(caught.value, NotMetricsError)
    assert "secret" not in str(caught.value)
    server.status = 404
    with pytest.raises(StackError, match="answers 404; correct --metrics"):
        read_page(server.url, PageAccess())


def test_password_and_key_are_sent_and_never_shown(server: Server) -> None:
    basic = base64.b64encode(b"user:p@ss").decode()
    server.wants = f"Basic {basic}"
    with pytest.raises(StackError, match="answers 401; write user and password"):
        read_page(server.url, PageAccess())
    page = read_page(server.url.replace("http://", "http://user:p%40ss@"), PageAccess(token="tok-123"))
    assert (page.user, page.password, page.url) == ("user", "p@ss", server.url)
    assert "p@ss" not in repr(page)
    server.wants = "Bearer tok-123"
    assert "tok-123" not in repr(read_page(server.url, PageAccess(token="tok-123")))


def test_credentials_are_split_from_an_address() -> None:
    assert split_credentials("http://a:b%3Ac@host:1/x?y=1") == ("http://host:1/x?y=1", "a", "b:c")
    assert split_credentials("http://host/x") == ("http://host/x", None, None)


def made_page(url: str = "https://host:9400/a/metrics?only=gpu", **changes: object) -> MetricsPage:
    values = {"names": frozenset({"a"}), "seconds": 0.1, "user": "me", "password": "secret", **changes}
    return MetricsPage(url=url, **values)  # type: ignore[arg-type] # fields by name


def test_the_scrape_of_a_page_has_its_own_label_and_no_secret() -> None:
    access = PageAccess(ca_file=Path("/ca.pem"), insecure=True)
    scraped = ScrapedPage(2, made_page(access=access), descriptor=7)
    text = prometheus.configuration({}, [scraped], release=(3, 1))
    (job,) = yaml.safe_load(text)["scrape_configs"]
    assert "secret" not in text
    assert job == {
        "job_name": "server_2",
        "scrape_interval": "1s",
        "scrape_timeout": "1s",
        "honor_timestamps": False,
        "scheme": "https",
        "metrics_path": "/a/metrics",
        "params": {"only": ["gpu"]},
        "sample_limit": 100_000,
        "body_size_limit": "20000000B",
        "static_configs": [{"targets": ["host:9400"], "labels": {"reelbench_source": "2"}}],
        "fallback_scrape_protocol": "PrometheusText0.0.4",
        "tls_config": {"ca_file": "/ca.pem", "insecure_skip_verify": True},
        "basic_auth": {"username": "me", "password_file": "/proc/self/fd/7"},
    }
    older = prometheus.configuration({}, [scraped], release=(2, 42))
    assert "fallback_scrape_protocol" not in older


def test_a_slow_page_is_scraped_less_often() -> None:
    assert (made_page(seconds=0.39).interval, made_page(seconds=0.41).interval) == (1, 5)


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="no files in memory")
def test_a_secret_is_a_file_in_memory() -> None:
    metrics = ServerMetrics(pages=(PageSource(made_page(), ("dcgm",)),))
    with metrics.scraped() as (page,):
        assert page.descriptor is not None
        assert str(Path(f"/proc/self/fd/{page.descriptor}").readlink()).startswith("/memfd:")
        assert Path(f"/proc/self/fd/{page.descriptor}").read_text() == "secret"
    (record,) = metrics.records()
    assert (record.url, record.selector) == ("https://host:9400/a/metrics?only=gpu", '{reelbench_source="1"}')


def test_a_selector_is_narrowed_down_to_names() -> None:
    assert named('{job="a"}', "x|y") == '{job="a",__name__=~"x|y"}'
    assert named('{ job="a", }', "x") == '{job="a",__name__=~"x"}'


def test_nothing_selected_is_another_error_than_no_prometheus(server: Server) -> None:
    base = server.url.removesuffix("/metrics")
    server.body = json.dumps({"status": "success", "data": {"resultType": "vector", "result": []}})
    with pytest.raises(NotMetricsError, match=r'--selector \{job="a"\} selects nothing'):
        read_prometheus(base, '{job="a"}')
    with pytest.raises(StackError) as caught:
        read_prometheus("http://user:secret@127.0.0.1:1", '{job="a"}')
    assert not isinstance(caught.value, NotMetricsError)
    assert "secret" not in str(caught.value)


def test_the_record_of_a_prometheus_has_no_password() -> None:
    source = PrometheusSource("http://me:secret@prom:9090", '{job="a"}', frozenset({"a"}), 15.0, ("dcgm",))
    (record,) = ServerMetrics(series=(source,)).records()
    assert (record.url, record.scraped, record.interval) == ("http://prom:9090", False, 15.0)

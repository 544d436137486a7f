"""The options about the server's own metrics: what is refused, and which pages are found."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from reelbench.loadgen.option_line import Options
from reelbench.loadgen.options import Settings, check_options
from reelbench.loadgen.target.target_file import load_preset, presets
from reelbench.stack.errors import NotMetricsError, StackError
from reelbench.suite.server_metrics import default_page, find, option_errors, rest_of

PAGES = {
    "/metrics": "vllm_omni:num_requests_running 0\nprocess_cpu_seconds_total 1\n",
    "/gpu": "DCGM_FI_DEV_GPU_UTIL 5\nprocess_cpu_seconds_total 1\n",
    "/other": "something_else 1\n",
}


@pytest.fixture
def origin() -> Iterator[str]:
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.path)
            text = PAGES.get(self.path)
            self.send_response(200 if text else 404)
            self.end_headers()
            self.wfile.write((text or "").encode())

        def log_message(self, *_: object) -> None: ...

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{http.server_address[1]}"
    http.shutdown()
    http.server_close()


def settings(folder: Path, options: Options) -> Settings:
    return check_options(folder / "run", "run", options, environment={})


def found(folder: Path, options: Options) -> list[tuple[str, tuple[str, ...]]]:
    metrics = find(options, settings(folder, options), lambda _: None, {"PASSWORD": "x"})
    return [(source.page.url, source.names) for source in metrics.pages]


def test_the_usual_page_is_used_if_it_has_known_names(tmp_path: Path, origin: str) -> None:
    for target in (origin, f"{origin}/v1"):
        assert found(tmp_path, Options(target=target)) == [(f"{origin}/metrics", ("process", "vllm_omni"))]
    assert default_page(f"{origin}/v1") == f"{origin}/metrics"
    assert found(tmp_path, Options(target="http://127.0.0.1:1")) == []


def test_pages_are_named_in_order(tmp_path: Path, origin: str) -> None:
    options = Options(target=origin, metrics=(f"{origin}/gpu", f"{origin}/other"))
    assert found(tmp_path, options) == [(f"{origin}/gpu", ("dcgm",)), (f"{origin}/other", ())]


def test_a_password_comes_from_the_environment_and_is_not_shown(tmp_path: Path, origin: str) -> None:
    page = f"{origin}/metrics".replace("http://", "http://me:${PASSWORD}@")
    assert found(tmp_path, Options(target=origin, metrics=(page,))) == [(f"{origin}/metrics", ("process", "vllm_omni"))]
    options = Options(target=origin, metrics=(page.replace("PASSWORD", "UNSET"),))
    with pytest.raises(NotMetricsError, match="the environment variable UNSET is not set"):
        found(tmp_path, options)


def test_the_pages_of_a_target_file_must_be_there(tmp_path: Path, origin: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"name: mine\ntitle: Mine\nbase_url: {origin}\nmetrics:\n  - {{names: [process]}}\n")
    assert found(tmp_path, Options(target_file=path)) == [(f"{origin}/metrics", ("process",))]
    path.write_text(f"name: mine\ntitle: Mine\nbase_url: {origin}\nmetrics:\n  - {{url: '{origin}/nope'}}\n")
    with pytest.raises(StackError, match="answers 404"):
        found(tmp_path, Options(target_file=path))


def test_every_mistake_of_the_options_is_said_at_once() -> None:
    options = Options(metrics=("localhost/metrics",), selector=("job=a",), gpu_hour_price=-1.0, gpus=0)
    assert option_errors(options, None) == [
        "--metrics: is no address of a page; write it like http://127.0.0.1:8000/metrics",
        "--selector: needs --prometheus, the Prometheus in which it selects",
        "--selector: 'job=a' is no selector in braces; write it like '{job=\"vllm\"}'",
        "--gpu-hour-price: is -1; use 0 to 1000000",
        "--gpus: is 0; use 1 to 100000",
    ]
    (error,) = option_errors(Options(prometheus="http://a:9090"), None)
    assert error.startswith("--prometheus: needs --selector")


def test_unknown_sets_of_a_target_file_are_named(tmp_path: Path, origin: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"name: mine\ntitle: Mine\nbase_url: {origin}\nmetrics:\n  - {{names: [dcmg]}}\n")
    options = Options(target_file=path)
    (error,) = option_errors(options, settings(tmp_path, options).server)
    assert error == "--target-file: metrics: 'dcmg' is no set of known metric names; did you mean 'dcgm'?"


def test_cases_rest_for_the_samples_around_them(tmp_path: Path, origin: str) -> None:
    options = Options(target=origin)
    metrics = find(options, settings(tmp_path, options), lambda _: None, {})
    assert rest_of(options, metrics) == 2.5
    assert rest_of(Options(target=origin, rest=9.0), metrics) == 9.0
    nothing = find(Options(), None, lambda _: None, {})
    assert rest_of(Options(), nothing) is None


@pytest.mark.parametrize("name", presets())
def test_the_sets_of_every_preset_are_known(name: str) -> None:
    assert option_errors(Options(), load_preset(name)) == []

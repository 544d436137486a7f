"""The embedded stack with real processes and a real Prometheus."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from reelbench.handed_over import METRICS_SOCKET
from reelbench.stack import http
from reelbench.stack.embedded import COMPONENTS, Component, EmbeddedStack
from reelbench.stack.endpoints import allocate, reserve
from reelbench.stack.environment import component_environment, version
from reelbench.stack.errors import InUseError, PortTakenError, StackError
from reelbench.stack.identity import check_data
from reelbench.stack.prometheus import PrometheusBinary
from reelbench.stack.reopen_tsdb import reopen_tsdb
from tests.commands import stack_of

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.acceptance

SERVER = """
import http.server, os, socket, sys, threading
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"jobs_total 7\\n"
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
def serving(variable):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = socket.socket(fileno=int(os.environ[variable]))
    server.server_activate()
    return server
api = None if len(sys.argv) < 2 else serving("REELBENCH_API_SOCKET")
metrics = serving("REELBENCH_METRICS_SOCKET")
print(os.environ["OTEL_SERVICE_NAME"], flush=True)
if api: threading.Thread(target=api.serve_forever, daemon=True).start()
metrics.serve_forever()
"""


def stand_in(name: str, code: str = SERVER) -> Component:
    return Component(name, (sys.executable, "-S", "-c", code), "/ready")


@pytest.mark.extended
def test_start_stop_and_reopened_metrics(tmp_path: Path, prometheus: PrometheusBinary) -> None:
    run_dir = tmp_path / "runs" / "r1"
    components = [COMPONENTS[0], stand_in("service")]
    with EmbeddedStack(run_dir, prometheus=prometheus, components=components) as stack:
        assert http.get(stack.endpoints.url("providers") + "/health", timeout=1).ok
        assert stack.target == stack.endpoints.url("service")
        assert not stack_of(run_dir).settled
        with stack._reserved.handed({METRICS_SOCKET: stack.endpoints.metrics_ports["loadgen"]}) as (variables, sockets):
            load = subprocess.Popen(
                [sys.executable, "-S", "-c", SERVER],
                env=stack.loadgen_environment() | variables,
                stdout=subprocess.DEVNULL,
                pass_fds=sockets,
            )
        try:
            began = time.time()
            first = stack.await_telemetry(began)
        finally:
            load.kill()
            load.wait()
        assert (first.complete, first.missing) == (True, [])
        assert began <= first.instant <= time.time()
        time.sleep(1.2)
        # The load generator has ended; its sample from after the end of the load still counts.
        assert stack.await_telemetry(began).instant == first.instant
        late = stack.await_telemetry(time.time(), deadline=1.5)
        assert (late.complete, late.missing) == (False, ["loadgen"])
        again = stack.await_telemetry(began)
        with pytest.raises(InUseError, match=f"process {os.getpid()} "), reopen_tsdb(run_dir, prometheus):
            pass
        info = http.query(stack.prometheus_url, 'target_info{job="providers"}', timeout=2)[0]["metric"]
        assert (info["service_name"], info["service_version"]) == ("providers", version())
        assert len(info["service_instance_id"]) >= 8
        live = http.query(stack.prometheus_url, "last_over_time(jobs_total[1m])", at=again.instant, timeout=2)
        stack._children[0].signal(signal.SIGKILL)  # the write-ahead log must suffice
    record = stack_of(run_dir)
    assert (record.settled, record.settled_at) == (True, first.instant)
    assert [component.name for component in record.components] == ["providers", "service", "loadgen"]
    assert {series["metric"]["job"]: series["value"][1] for series in live} == {
        "service": "7",
        "loadgen": "7",
    }
    assert (run_dir / "traces" / "service.jsonl").read_text() == "service\n"
    with reopen_tsdb(run_dir, prometheus) as url:
        kept = http.query(url, "last_over_time(jobs_total[1m])", at=again.instant, timeout=2)
        assert sorted(map(str, kept)) == sorted(map(str, live))
        assert http.query(url, 'up{job!~"providers|service|loadgen"}[1h]', timeout=2) == []
        with pytest.raises(InUseError), reopen_tsdb(run_dir, prometheus):
            pass
    with pytest.raises(StackError, match="metrics of an earlier run"):
        EmbeddedStack(run_dir, prometheus=prometheus, components=components).__enter__()


@pytest.mark.extended
def test_a_killed_run_leaves_no_process_and_can_be_reopened(tmp_path: Path, prometheus: PrometheusBinary) -> None:
    code = f"""
    import time
    from pathlib import Path
    from reelbench.stack.embedded import EmbeddedStack
    from reelbench.stack.prometheus import PrometheusBinary
    binary = PrometheusBinary(Path({str(prometheus.path)!r}), {prometheus.version!r}, "test")
    with EmbeddedStack(Path({str(tmp_path)!r}) / "run", prometheus=binary, target="http://127.0.0.1:9") as stack:
        print(stack.prometheus_url, flush=True)
        time.sleep(60)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        url = parent.stdout.readline().decode().strip()
        assert http.get(f"{url}/-/ready", timeout=1).ok
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 60
    while True:
        try:
            with reopen_tsdb(tmp_path / "run", prometheus) as again:
                assert again != url
                with pytest.raises(StackError, match="does not answer"):
                    http.get(f"{url}/-/ready", timeout=0.5)
            break
        except InUseError:  # until the old Prometheus has ended
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
    record = stack_of(tmp_path / "run")
    assert [(one.name, one.url) for one in record.components] == [("service", "http://127.0.0.1:9"), ("loadgen", None)]


def test_a_dead_component_is_reported_and_no_process_remains(tmp_path: Path, prometheus: PrometheusBinary) -> None:
    broken = stand_in("service", "import sys; sys.exit('no document store here')")
    stack = EmbeddedStack(tmp_path / "run", prometheus=prometheus, components=[broken])
    with pytest.raises(StackError) as failed:
        stack.__enter__()
    assert "service ended with exit status 1 while it was needed" in str(failed.value)
    assert str(failed.value).endswith("no document store here")
    assert stack._processes._children == []


def test_an_occupied_port_is_replaced(
    tmp_path: Path, prometheus: PrometheusBinary, monkeypatch: pytest.MonkeyPatch
) -> None:
    flag = tmp_path / "flag"
    once = (
        f"import os, sys\nif not os.path.exists({str(flag)!r}):\n open({str(flag)!r}, 'w'); sys.exit('port in use')\n"
    )
    with EmbeddedStack(
        tmp_path / "run", prometheus=prometheus, components=[stand_in("service", once + SERVER)]
    ) as stack:
        assert http.get(stack.target, timeout=1).ok


def test_no_stranger_can_have_the_ports_of_a_stack() -> None:
    endpoints, reserved = reserve(["service"], loadgens=2)
    ports = [*endpoints.api_ports.values(), *endpoints.metrics_ports.values(), *endpoints.more_loadgens]
    assert len(ports) == 4
    for port in ports:
        with socket.socket() as stranger:
            stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with pytest.raises(OSError, match="in use"):
                stranger.bind(("127.0.0.1", port))
    with reserved.handed({METRICS_SOCKET: ports[0]}) as (variables, descriptors):
        assert variables == {METRICS_SOCKET: str(descriptors[0])}
        inherited = socket.socket(fileno=os.dup(descriptors[0]))
    with inherited, socket.socket() as stranger:
        assert inherited.getsockname() == ("127.0.0.1", ports[0])
        with pytest.raises(OSError, match="in use"):
            stranger.bind(("127.0.0.1", ports[0]))
    reserved.close()
    with socket.create_server(("127.0.0.1", ports[1])):
        pass


def test_another_prometheus_on_the_port_is_noticed(tmp_path: Path, prometheus: PrometheusBinary) -> None:
    with EmbeddedStack(tmp_path / "a", prometheus=prometheus, target="http://127.0.0.1:9") as stack:
        check_data(stack.prometheus_url, tmp_path / "a" / "prometheus")
        with pytest.raises(PortTakenError, match="Another program answers at"):
            check_data(stack.prometheus_url, tmp_path / "b" / "prometheus")


def test_environment_of_a_component(tmp_path: Path) -> None:
    endpoints = allocate(["providers", "service"])
    inherited = {"PATH": "/bin", "OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "console", "SERVICE_WORKERS": "3"}
    service = component_environment("service", endpoints, tmp_path, inherited)
    assert service["SERVICE_TTS_URL"] == endpoints.url("providers")
    assert service["SERVICE_DATA_DIR"] == str(tmp_path / "assets")
    assert service["SERVICE_WORKERS"] == "3"
    assert "OTEL_SDK_DISABLED" not in service
    assert service["OTEL_TRACES_EXPORTER"] == "otlp_json_file"
    assert service["OTEL_EXPORTER_PROMETHEUS_PORT"] == str(endpoints.metrics_ports["service"])
    assert service["OTEL_RESOURCE_ATTRIBUTES"] == f"service.version={version()},deployment.environment.name=embedded"
    assert service["REELBENCH_SCRAPED_SERIES"] == "recent"
    chosen = inherited | {"REELBENCH_SCRAPED_SERIES": "all"}
    assert component_environment("service", endpoints, tmp_path, chosen)["REELBENCH_SCRAPED_SERIES"] == "all"
    loadgen = component_environment("loadgen", endpoints, tmp_path, inherited)
    assert loadgen["OTEL_SERVICE_NAME"] == "loadgen"
    assert "SERVICE_TTS_URL" not in loadgen
    ports = [*endpoints.api_ports.values(), *endpoints.metrics_ports.values(), endpoints.prometheus_port]
    assert len(set(ports)) == 6
    assert list(endpoints.targets) == ["providers", "service", "loadgen"]


def test_reopen_rejects_unreadable_metrics(tmp_path: Path, prometheus: PrometheusBinary) -> None:
    with pytest.raises(StackError, match="Cannot read"), reopen_tsdb(tmp_path, prometheus):
        pass
    with EmbeddedStack(tmp_path / "run", prometheus=prometheus, target="http://x"):
        pass
    newer = PrometheusBinary(prometheus.path, "2.54.0", "test")
    text = (tmp_path / "run" / "stack.json").read_text()
    (tmp_path / "run" / "stack.json").write_text(text.replace(f'"{prometheus.version}"', '"3.14.0"'))
    with (
        pytest.raises(StackError, match=r"written by Prometheus 3\.14\.0, which 2\.54\.0 cannot read"),
        reopen_tsdb(tmp_path / "run", newer),
    ):
        pass

"""The compose stack without containers: the commands, environments and files of docker-compose.yml, on free ports.

Only addresses and paths of the compose network are replaced, and every replacement must match. Otherwise the processes
run as docker-compose.yml defines them, with the files that it mounts.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from fakeredis import TcpFakeServer

from reelbench.stack import http, readiness
from reelbench.stack.endpoints import free_ports
from reelbench.stack.processes import Child, Processes
from reelbench.stack.tools import Tools
from tests.stack.full import compose

ROOT = compose.ROOT
INTERVAL = 1
"""Seconds, as in .env."""

NETWORK = (
    "service:8000",
    "providers:9000",
    "valkey:6379",
    "otel-collector:4317",
    "otel-collector:4318",
    "otel-collector:8888",
    "otel-collector:13133",
    "prometheus:9090",
    "tempo:3200",
    "tempo:4317",
    "tempo:9095",
)
"""Every address of the compose network that a process listens on."""


@dataclass
class NativeStack:
    """Collector, Prometheus, Tempo (if available), providers and service as compose defines them."""

    folder: Path
    tools: Tools
    tempo: Path | None
    environment: Mapping[str, str] = field(default_factory=dict)
    """Added to the environment of the service."""

    def __post_init__(self) -> None:
        self.compose = compose.load(INTERVAL=str(INTERVAL))["services"]
        ports = free_ports(len(NETWORK))
        self.addresses = {name: f"127.0.0.1:{port}" for name, port in zip(NETWORK, ports, strict=True)}
        self.processes = Processes()
        self.children: dict[str, Child] = {}

    def __enter__(self) -> Self:
        host, port = self.addresses["valkey:6379"].split(":")
        self.valkey = TcpFakeServer((host, int(port)), server_type="redis")
        self.valkey.daemon_threads = True
        threading.Thread(target=self.valkey.serve_forever, args=(0.05,), daemon=True).start()
        try:
            self.start("prometheus")
            if self.tempo:
                self.start("tempo")
            self.wait("prometheus")
            self.start("otel-collector")
            if self.tempo:
                self.wait("tempo")
            self.wait("otel-collector")
            self.start("providers")
            self.start("service")
            self.wait("providers")
            self.wait("service")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.processes.stop()
        self.valkey.shutdown()
        self.valkey.server_close()

    def url(self, name: str) -> str:
        return f"http://{self.addresses[name]}"

    @property
    def prometheus_url(self) -> str:
        return self.url("prometheus:9090")

    @property
    def tempo_url(self) -> str:
        return self.url("tempo:3200")

    def start(self, name: str) -> Child:
        command, environment = getattr(self, f"_{name.replace('-', '_')}")()
        self.children[name] = self.processes.start(
            name,
            command,
            environment=environment,
            directory=ROOT,
            stdout=self.folder / f"{name}.out",
            log=self.folder / f"{name}.log",
        )
        return self.children[name]

    def stop(self, name: str) -> None:
        self.processes.end(self.children.pop(name))

    def wait(self, name: str) -> None:
        ready = {
            "prometheus": f"{self.prometheus_url}/-/ready",
            "tempo": f"{self.tempo_url}/ready",
            "otel-collector": self.url("otel-collector:13133"),
            "providers": f"{self.url('providers:9000')}/health",
            "service": f"{self.url('service:8000')}/ready",
        }[name]

        def look() -> bool | None:
            self.children[name].check()
            return True if readiness.answers(ready) else None

        readiness.poll(look, f"{name} at {ready}", deadline=40)

    @property
    def token(self) -> Path:
        """The file that the container `configuration` makes."""
        path = self.folder / "control-token"
        path.write_text("token-of-the-native-stack\n")
        return path

    def runner_environment(self) -> dict[str, str]:
        """The environment with which run_suite.py finds this stack."""
        return clean() | {
            "SERVICE_URL": self.url("service:8000"),
            "PROVIDERS_URL": self.url("providers:9000"),
            "PROMETHEUS_URL": self.prometheus_url,
            "TEMPO_URL": self.tempo_url if self.tempo else "",
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.url("otel-collector:4318"),
            "INTERVAL": str(INTERVAL),
            "REELBENCH_CONTROL_TOKEN_FILE": str(self.token),
        }

    def environment_of(self, name: str) -> dict[str, str]:
        """The environment of one of our containers, with addresses of this machine."""
        environment = {key: self.local(str(value)) for key, value in self.compose[name]["environment"].items()}
        for key in [key for key, value in environment.items() if value == "/config/control-token"]:
            environment[key] = str(self.token)
        return clean() | environment

    def command_of(self, name: str) -> list[str]:
        """The command of one of our containers, with addresses of this machine."""
        command = [self.local(str(part)) for part in self.compose[name]["command"]]
        assert command[0] == "python"
        return [sys.executable, *command[1:]]

    def local(self, text: str) -> str:
        for name, address in self.addresses.items():
            text = text.replace(f"//{name}", f"//{address}")
        return text

    def query(self, expression: str, at: float | None = None) -> list[dict[str, Any]]:
        return http.query(self.prometheus_url, expression, at=at, timeout=10)

    def value(self, expression: str, at: float | None = None) -> float | None:
        answer = self.query(expression, at)
        assert len(answer) <= 1, answer
        return float(answer[0]["value"][1]) if answer else None

    def await_value(self, expression: str, expected: float, deadline: float = 20) -> None:
        end = time.monotonic() + deadline
        while (found := self.value(expression)) != expected:
            assert time.monotonic() < end, f"{expression} is {found}, not {expected}, after {deadline} s"
            time.sleep(0.2)

    def _prometheus(self) -> tuple[list[str], dict[str, str]]:
        text = compose.prometheus_configuration(str(INTERVAL))
        for name, shown in (
            ("prometheus:9090", "localhost:9090"),
            ("otel-collector:8888", "otel-collector:8888"),
            ("tempo:3200", "tempo:3200"),
        ):
            text = replaced(text, f'"{shown}"', f'"{self.addresses[name]}"')
        config = self.folder / "prometheus" / "prometheus.yml"
        config.parent.mkdir(exist_ok=True)
        config.write_text(text)
        if not (rules := config.with_name("rules")).exists():  # some tests start it again
            rules.symlink_to(ROOT / "prometheus" / "rules")
        command = [str(self.tools.prometheus), *self.compose["prometheus"]["command"]]
        line = replaced("\n".join(command), "/config/prometheus/prometheus.yml", str(config))
        line = replaced(line, "=/prometheus\n", f"={self.folder / 'tsdb'}\n")
        return [*line.split("\n"), f"--web.listen-address={self.addresses['prometheus:9090']}"], clean()

    def _tempo(self) -> tuple[list[str], dict[str, str]]:
        command = [str(self.tempo), *self.compose["tempo"]["command"]]
        line = replaced("\n".join(command), "/config/tempo/tempo.yaml", str(ROOT / "tempo" / "tempo.yaml"))
        host, port = self.addresses["tempo:3200"].split(":")
        return line.split("\n"), clean() | self.compose["tempo"]["environment"] | {
            "INTERVAL": str(INTERVAL),
            "TEMPO_ADDRESS": host,
            "TEMPO_HTTP_PORT": port,
            "TEMPO_GRPC_PORT": self.addresses["tempo:9095"].split(":")[1],
            "TEMPO_OTLP_ENDPOINT": self.addresses["tempo:4317"],
            "TEMPO_DATA": str(self.folder / "tempo"),
            "TEMPO_REMOTE_WRITE": f"{self.prometheus_url}/api/v1/write",
        }

    def _otel_collector(self) -> tuple[list[str], dict[str, str]]:
        command = [str(self.tools.collector), *self.compose["otel-collector"]["command"]]
        line = replaced("\n".join(command), "/config/otel/collector.yaml", str(ROOT / "otel" / "collector.yaml"))
        host, port = self.addresses["otel-collector:8888"].split(":")
        return line.split("\n"), clean() | self.compose["otel-collector"]["environment"] | {
            "INTERVAL": str(INTERVAL),
            "COLLECTOR_HEALTH_ENDPOINT": self.addresses["otel-collector:13133"],
            "COLLECTOR_GRPC_ENDPOINT": self.addresses["otel-collector:4317"],
            "COLLECTOR_HTTP_ENDPOINT": self.addresses["otel-collector:4318"],
            "COLLECTOR_METRICS_HOST": host,
            "COLLECTOR_METRICS_PORT": port,
            "TEMPO_OTLP_ENDPOINT": self.addresses["tempo:4317"],
            "PROMETHEUS_OTLP_ENDPOINT": f"{self.prometheus_url}/api/v1/otlp",
        }

    def _providers(self) -> tuple[list[str], dict[str, str]]:
        return self._served("providers", "providers:9000")

    def _service(self) -> tuple[list[str], dict[str, str]]:
        command, environment = self._served("service", "service:8000")
        assert environment["SERVICE_DATA_DIR"] == "/data"
        return command, environment | {"SERVICE_DATA_DIR": str(self.folder / "assets")} | dict(self.environment)

    def _served(self, name: str, address: str) -> tuple[list[str], dict[str, str]]:
        command, environment = self.command_of(name), self.environment_of(name)
        host, port = self.addresses[address].split(":")
        line = replaced("\n".join(command), "\n0.0.0.0\n", f"\n{host}\n")
        return replaced(line, f"\n{address.split(':')[1]}", f"\n{port}").split("\n"), environment


def clean() -> dict[str, str]:
    """The environment without the telemetry settings of the user who runs the tests."""
    return {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("OTEL_", "SERVICE_", "PROVIDERS_", "TEMPO_"))
    }


def replaced(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1, f"{old!r} occurs {text.count(old)} times, not once, in:\n{text}"
    return text.replace(old, new)

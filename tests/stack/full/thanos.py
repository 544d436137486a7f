"""Thanos in front of the compose stack without containers: two Prometheis with the same samples, sidecars, Query."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

import yaml

from reelbench.stack import http, readiness
from reelbench.stack.endpoints import free_ports
from tests.stack.full.native import NativeStack, clean, replaced

REPLICAS = ("a", "b")
_SECOND = "prometheus-b"
_PORTS = (
    _SECOND,
    *(f"sidecar-{one}:{kind}" for one in REPLICAS for kind in ("grpc", "http")),
    "query:grpc",
    "query:http",
)
_LABELS = "  external_labels: {cluster: reelbench, replica: %s}\n"


@dataclass
class ThanosStack(NativeStack):
    """The compose stack whose Collector sends to two Prometheis, which Thanos Query shows as one."""

    thanos: Path = field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.ours = {name: f"127.0.0.1:{port}" for name, port in zip(_PORTS, free_ports(len(_PORTS)), strict=True)}

    def __enter__(self) -> Self:
        super().__enter__()
        try:
            self.start(_SECOND)
            ready = f"http://{self.ours[_SECOND]}/-/ready"
            # A sidecar that finds no Prometheus at its start looks again only after half a minute.
            readiness.poll(lambda: True if readiness.answers(ready) else None, _SECOND, deadline=40)
            for name in (*(f"sidecar-{one}" for one in REPLICAS), "query"):
                self.start(name)
            readiness.poll(self._complete, "both replicas in Thanos Query", deadline=90, interval=0.5)
        except BaseException:
            self.__exit__()
            raise
        return self

    @property
    def thanos_url(self) -> str:
        return f"http://{self.ours['query:http']}"

    def runner_environment(self) -> dict[str, str]:
        return super().runner_environment() | {"PROMETHEUS_URL": self.thanos_url}

    def ask(self, expression: str, at: float | None = None, *, dedup: bool = True) -> list[dict[str, Any]]:
        """Ask Thanos Query, with or without deduplication."""
        asked = {"query": expression, "dedup": str(dedup).lower()} | ({} if at is None else {"time": f"{at:.3f}"})
        answer = http.get(f"{self.thanos_url}/api/v1/query?{urlencode(asked)}", timeout=10)
        assert answer.ok, answer.body
        found: list[dict[str, Any]] = json.loads(answer.body)["data"]["result"]
        return found

    def _complete(self) -> bool | None:
        for child in self.children.values():
            child.check()
        if not readiness.answers(f"{self.thanos_url}/-/ready"):
            return None
        replicas = self.ask('count by (replica) (process_thread_count{job="service"})', dedup=False)
        return True if len(replicas) == len(REPLICAS) else None

    def _prometheus(self) -> tuple[list[str], dict[str, str]]:
        command, environment = super()._prometheus()
        config = self.folder / "prometheus" / "prometheus.yml"
        config.write_text(replaced(config.read_text(), "global:\n", "global:\n" + _LABELS % "a"))
        return command, environment

    def _prometheus_b(self) -> tuple[list[str], dict[str, str]]:
        command, environment = self._prometheus()
        config = self.folder / "prometheus" / "prometheus.yml"
        second = config.with_name("prometheus-b.yml")
        second.write_text(replaced(config.read_text(), "replica: a}", "replica: b}"))
        line = replaced("\n".join(command), str(config), str(second))
        line = replaced(line, f"={self.folder / 'tsdb'}\n", f"={self.folder / 'tsdb-b'}\n")
        return replaced(line, self.addresses["prometheus:9090"], self.ours[_SECOND]).split("\n"), environment

    def _otel_collector(self) -> tuple[list[str], dict[str, str]]:
        command, environment = super()._otel_collector()
        (option,) = (part for part in command if part.endswith("collector.yaml"))
        flag, _, path = option.partition("=")
        config = yaml.safe_load(Path(path).read_text())
        first = config["exporters"]["otlp_http/prometheus"]
        config["exporters"]["otlp_http/replica"] = first | {"endpoint": f"http://{self.ours[_SECOND]}/api/v1/otlp"}
        config["service"]["pipelines"]["metrics"]["exporters"].append("otlp_http/replica")
        written = self.folder / "collector.yaml"
        written.write_text(yaml.safe_dump(config))
        return [f"{flag}={written}" if part == option else part for part in command], environment

    def _sidecar_a(self) -> tuple[list[str], dict[str, str]]:
        return self._sidecar("a", self.addresses["prometheus:9090"])

    def _sidecar_b(self) -> tuple[list[str], dict[str, str]]:
        return self._sidecar("b", self.ours[_SECOND])

    def _sidecar(self, one: str, prometheus: str) -> tuple[list[str], dict[str, str]]:
        addresses = [f"--{kind}-address={self.ours[f'sidecar-{one}:{kind}']}" for kind in ("grpc", "http")]
        command = [str(self.thanos), "sidecar", f"--prometheus.url=http://{prometheus}", *addresses]
        return [*command, f"--tsdb.path={self.folder / 'sidecar'}", "--log.level=warn"], clean()

    def _query(self) -> tuple[list[str], dict[str, str]]:
        addresses = [f"--{kind}-address={self.ours[f'query:{kind}']}" for kind in ("grpc", "http")]
        stores = [f"--endpoint={self.ours[f'sidecar-{one}:grpc']}" for one in REPLICAS]
        return [
            str(self.thanos),
            "query",
            *addresses,
            *stores,
            "--query.replica-label=replica",
            "--log.level=warn",
        ], clean()

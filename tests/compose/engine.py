"""A project of docker compose on free ports, driven by the commands of the README."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from reelbench.stack import http
from reelbench.stack.endpoints import free_ports
from reelbench.stack.external import SETTINGS

ROOT = Path(__file__).parents[2]
PARTS = ("service", "providers", "valkey", "otel-collector", "prometheus", "tempo", "grafana")
"""Containers that keep running."""
SHARED = "--scenario=concurrent_load --scenario=llm_outage"
"""Options of the load generators that share a plan: the whole suite would take minutes."""
ONE_SHOTS = ("configuration", "collector-ready")


def reason_without() -> str | None:
    """Why there is no engine to run compose on; None: there is one."""
    docker = shutil.which("docker")
    if docker is None:
        return "there is no docker here"
    for words, what in ((["compose", "version"], "docker compose"), (["version"], "engine that answers")):
        done = subprocess.run([docker, *words], capture_output=True, text=True, timeout=30, check=False)
        if done.returncode:
            return f"there is no {what} here: {done.stderr.strip().splitlines()[-1:]}"
    return None


@dataclass
class Project:
    """The stack under a name and on ports of its own."""

    name: str = field(default_factory=lambda: f"reelbench-test-{secrets.token_hex(3)}")

    def __post_init__(self) -> None:
        names = [*SETTINGS.values(), "COLLECTOR_HEALTH_PORT"]
        self.ports = dict(zip(names, map(str, free_ports(len(names))), strict=True))
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("OTEL_", "SERVICE_", "PROVIDERS_")) and not name.endswith("_URL")
        } | {"COMPOSE_PROJECT_NAME": self.name, "LOADGEN_OPTIONS": SHARED, **self.ports}

    def url(self, part: str) -> str:
        """Return the address of a published part, by its name in `external.SETTINGS`."""
        return f"http://127.0.0.1:{self.ports[SETTINGS[part]]}"

    def docker(self, *words: str, timeout: float = 300, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command of docker in the project's folder."""
        done = subprocess.run(
            ["docker", *words],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert not check or done.returncode == 0, f"docker {' '.join(words)}\n{done.stdout}{done.stderr}{self.logs()}"
        return done

    def compose(self, *words: str, timeout: float = 300, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command of docker compose in the project's folder."""
        return self.docker("compose", *words, timeout=timeout, check=check)

    def logs(self) -> str:
        """Return the last lines of every container, for a failure."""
        words = ["docker", "compose", "logs", "--tail", "20"]
        done = subprocess.run(words, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    def containers(self) -> list[dict[str, Any]]:
        """Return what `docker inspect` says of every container of the project, also of those that have ended."""
        label = f"label=com.docker.compose.project={self.name}"
        ids = self.docker("ps", "-aq", "--filter", label).stdout.split()
        return json.loads(self.docker("inspect", *ids).stdout) if ids else []

    def states(self) -> dict[str, str]:
        """Return the state of each container: healthy, running, or its exit code."""
        found = {}
        for one in self.containers():
            state = one["State"]
            running = state.get("Health", {}).get("Status", "running")
            name = one["Config"]["Labels"]["com.docker.compose.service"]
            found[name] = running if state["Running"] else f"exit {state['ExitCode']}"
        return found

    def left(self) -> list[str]:
        """Return the containers, networks and volumes of the project that exist."""
        label = f"label=com.docker.compose.project={self.name}"
        return [
            line
            for words in (("ps", "-aq"), ("network", "ls", "-q"), ("volume", "ls", "-q"))
            for line in self.docker(*words, "--filter", label).stdout.split()
        ]

    def suite(self, runs: Path, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the suite as the README says, in a folder of its own."""
        return subprocess.run(
            self.suite_command(runs, *words),
            cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip

    def suite_command(self, runs: Path, *words: str) -> Sequence[str]:
        """Return the command of the README for the suite, with a folder for the run."""
        return [sys.executable, "scripts/run_suite.py", "--runs", str(runs), "--no-charts", *words]

    def value(self, expression: str) -> float | None:
        """Return the value of an expression in the stack's Prometheus; None without a series."""
        answer = http.query(self.url("prometheus"), expression, timeout=10)
        assert len(answer) <= 1, answer
        return float(answer[0]["value"][1]) if answer else None

    def traces(self) -> set[str]:
        """Return the ids of the traces of jobs that the stack's Tempo has of the last hour."""
        now = int(time.time())
        query: dict[str, str | int] = {"q": '{name="loadgen.job"}', "start": now - 3600, "end": now + 1, "limit": 5000}
        found = httpx.get(f"{self.url('tempo')}/api/search", params=query, timeout=60).json().get("traces", [])
        return {str(one["traceID"]).zfill(32) for one in found}

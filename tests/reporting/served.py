"""A real Prometheus with made data."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from reelbench.stack.prometheus import PrometheusBinary


def promtool_of(binary: PrometheusBinary) -> str:
    """Return the promtool next to a Prometheus, or on the path; without one, the test is skipped with the reason."""
    found = shutil.which(binary.path.with_name("promtool")) or shutil.which("promtool")
    if found is None:
        pytest.skip(f"there is no promtool next to {binary.path} or on PATH; where there is Go: make stack-tools")
    return found


def make_blocks(binary: PrometheusBinary, folder: Path, openmetrics: str) -> None:
    """Write a TSDB into the folder with promtool."""
    (folder / "metrics.txt").write_text(openmetrics)
    blocks = ["tsdb", "create-blocks-from", "openmetrics", "metrics.txt", "data"]
    subprocess.run([promtool_of(binary), *blocks], cwd=folder, check=True, capture_output=True)


@contextmanager
def serving(binary: PrometheusBinary, folder: Path, *flags: str) -> Iterator[str]:
    """Run Prometheus on the TSDB of the folder, with further flags; yield its base URL."""
    (folder / "prometheus.yml").write_text("global: {}\n")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = [
        "--config.file=prometheus.yml",
        "--storage.tsdb.path=data",
        "--storage.tsdb.retention.time=100y",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
        *flags,
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([binary.path, *arguments], cwd=folder, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_ready(url, process, folder / "log")
        yield url
    finally:
        process.terminate()
        process.wait(10)


def _wait_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline and process.poll() is None:
        try:
            requests.get(f"{url}/-/ready", timeout=1).raise_for_status()
        except requests.RequestException:
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"Prometheus was not ready: {log.read_text()}")

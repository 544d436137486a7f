"""Where a run of the matrix stands: on a store, a disk, a clock or a network of its own, each with its faults."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import redis

from tests.faults.network import Network, networks

STORE_WAIT = 20.0
HANG_SECONDS = 6.0
SLOW_SECONDS = 6.0
"""How long the disk is slow."""
SLOW_STEP, SLOW_SHARE = 0.5, 0.4
"""A slow disk takes no writes for this share of each step."""
STEP_SECONDS = 30
"""By which the clock of the processes is moved."""
DISK_MEBIBYTES = 96


@dataclass(frozen=True)
class Place:
    """What the command of a run needs, and the faults of its place."""

    runs: Path
    options: tuple[str, ...] = ("--embedded",)
    prefix: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    strikes: Mapping[str, Callable[[], None]] = field(default_factory=dict)
    """Fault to what makes it; a fault of the start is there before the run."""


def _need(*programs: str, root: bool = False) -> None:
    """Skip the row where this machine cannot make its fault."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    if root and os.geteuid() != 0:
        pytest.skip("needs root")


# --- A store of its own ---


class _Store:
    """A Valkey or Redis on a free port of loopback, without files."""

    def __init__(self, *options: str) -> None:
        self._program = shutil.which("valkey-server") or shutil.which("redis-server") or ""
        self._options = options
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.start()

    def start(self) -> None:
        """Start, and wait until it answers."""
        words = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", *self._options]
        self.process = subprocess.Popen([self._program, *words], stdout=subprocess.DEVNULL, cwd="/")
        until = time.monotonic() + STORE_WAIT
        while time.monotonic() < until:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.05)
        raise AssertionError("the store did not start")

    def end(self) -> None:
        """End it, also while it is stopped."""
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        """End it, and start an empty one a second later."""
        self.end()
        time.sleep(1)
        self.start()

    def hang(self) -> None:
        """Stop its process for some seconds."""
        self.process.send_signal(signal.SIGSTOP)
        time.sleep(HANG_SECONDS)
        self.process.send_signal(signal.SIGCONT)

    def command(self, *words: str) -> None:
        """Send one command."""
        with redis.Redis(port=self.port) as client:
            client.execute_command(*words)

    def fill(self) -> None:
        """Leave no memory for further keys."""
        self.command("CONFIG", "SET", "maxmemory", "1mb")


@contextmanager
def store(fault: str, runs: Path) -> Iterator[Place]:
    """A run of the embedded stack with a store of its own."""
    if shutil.which("valkey-server") is None:
        _need("redis-server")
    options = {"wrong password": ("--requirepass", "right"), "allkeys-lru": ("--maxmemory-policy", "allkeys-lru")}
    made = _Store(*options.get(fault, ()))
    password = ":wrong@" if fault == "wrong password" else ""
    try:
        yield Place(
            runs,
            environment={"SERVICE_REDIS_URL": f"redis://{password}127.0.0.1:{made.port}/0"},
            strikes={
                "kill": made.end,
                "freeze": made.hang,
                "restart": made.restart,
                "FLUSHALL": lambda: made.command("FLUSHALL"),
                "maxmemory": made.fill,
            },
        )
    finally:
        made.end()


# --- A disk of its own ---


def _frozen(folder: Path, seconds: float) -> None:
    """Let no write of the disk end for some seconds; no process but this one may thaw it."""
    subprocess.run(["fsfreeze", "-f", str(folder)], check=True)
    try:
        time.sleep(seconds)
    finally:
        subprocess.run(["fsfreeze", "-u", str(folder)], check=True)


def _slow(folder: Path) -> None:
    until = time.monotonic() + SLOW_SECONDS
    while time.monotonic() < until:
        _frozen(folder, SLOW_STEP * SLOW_SHARE)
        time.sleep(SLOW_STEP * (1 - SLOW_SHARE))


def _fill(folder: Path) -> None:
    """Write until there is no room."""
    with suppress(OSError), (folder / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 16))


@contextmanager
def disk(_: str, runs: Path) -> Iterator[Place]:
    """A run whose folder is on a small disk of its own."""
    _need("mkfs.ext4", "fsfreeze", "mount", root=True)
    image, folder = runs.with_name(f"{runs.name}.img"), runs / "disk"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(DISK_MEBIBYTES << 20)
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
    if subprocess.run(["mount", "-o", "loop,noatime", str(image), str(folder)], check=False).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        yield Place(
            folder,
            strikes={
                "freeze": lambda: _frozen(folder, HANG_SECONDS),
                "slow": lambda: _slow(folder),
                "full": lambda: _fill(folder),
            },
        )
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
        image.unlink()


# --- A clock of its own ---


@contextmanager
def clock(_: str, runs: Path) -> Iterator[Place]:
    """A run whose Python processes have a clock that can be moved; Prometheus keeps the clock of the machine."""
    _need("gcc")
    library, moved = (runs.with_name(f"{runs.name}.{end}") for end in ("so", "moved"))
    source = Path(__file__).with_name("moved_clock.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-o", str(library), str(source), "-ldl"], check=True)
    moved.write_bytes(bytes(8))
    yield Place(
        runs,
        environment={"LD_PRELOAD": str(library), "REELBENCH_MOVED_CLOCK": str(moved)},
        strikes={"forward": lambda: _move(moved, STEP_SECONDS), "back": lambda: _move(moved, -STEP_SECONDS)},
    )


def _move(moved: Path, seconds: int) -> None:
    with moved.open("r+b", buffering=0) as file:  # in place: the processes have mapped it
        file.write(struct.pack("q", seconds))


# --- Networks between generator, service and store ---


@contextmanager
def network(fault: str, runs: Path) -> Iterator[Place]:
    """A run against a service and a store on machines of their own: network namespaces with links between them."""
    _need("ip", root=True)
    with ExitStack() as stack:
        made = stack.enter_context(networks())
        stack.enter_context(_serving(made, runs))
        if fault == "loss and delay":
            made.front.set(delay=0.025, loss=0.02)
        elif fault == "loss and delay to the store":
            made.back.set(delay=0.025, loss=0.02)
        yield Place(
            runs,
            options=("--target", f"http://{made.service}:8000"),
            prefix=("ip", "netns", "exec", made.generator),
            strikes={
                "cut": lambda: made.front.cut(HANG_SECONDS),
                "cut to the store": lambda: made.back.cut(HANG_SECONDS),
            },
        )


@contextmanager
def _serving(made: Network, runs: Path) -> Iterator[None]:
    """Run store, providers and service in their namespaces."""
    program = shutil.which("valkey-server") or shutil.which("redis-server")
    if program is None:
        pytest.skip("needs valkey-server or redis-server")
    inside = ("ip", "netns", "exec", made.server)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "SERVICE_"))}
    environment |= {"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"}
    environment |= {f"SERVICE_{name}_URL": "http://127.0.0.1:9000" for name in ("LLM", "TTS", "IMAGE")}
    environment |= {
        "SERVICE_REDIS_URL": f"redis://{made.store}:6379/0",
        "SERVICE_DATA_DIR": str(runs.with_name(f"{runs.name}.data")),
    }
    words = (
        ("ip", "netns", "exec", made.storing, program, "--bind", made.store, "--protected-mode", "no", "--save", ""),
        (*inside, sys.executable, "-m", "reelbench.service.providers"),
        (*inside, sys.executable, "-m", "reelbench.service", "--host", made.service),
    )
    with ExitStack() as stack, (runs / "stack.log").open("wb") as log:
        for line in words:
            child = subprocess.Popen(line, env=environment, stdout=log, stderr=log)
            stack.callback(child.wait)
            stack.callback(child.terminate)
        made.await_service()
        yield


PLACES: Mapping[str, Callable[[str, Path], AbstractContextManager[Place]]] = {
    "store": store,
    "disk": disk,
    "clock": clock,
    "network": network,
}

"""Network namespaces for generator, service and store, with links that delay and lose packets.

A link is a process between two TUN devices: the kernel of many machines has no `netem` (`tc qdisc add ... netem` says
"Specified qdisc kind is unknown"), and this link draws its losses from a seed.
"""

from __future__ import annotations

import fcntl
import heapq
import json
import os
import select
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

TUN = Path("/dev/net/tun")
_SET_INTERFACE = 0x400454CA
_TUN_WITHOUT_HEAD = 0x1001
PACKET = 65536
START_SECONDS = 30.0


@dataclass(frozen=True)
class Link:
    """A link between two namespaces; its process reads settings, a JSON object a line."""

    process: subprocess.Popen[bytes]

    def set(self, *, delay: float, loss: float) -> None:
        """Delay each packet by that many seconds, and lose a share of the packets."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"delay": delay, "loss": loss}).encode() + b"\n")
        self.process.stdin.flush()

    def cut(self, seconds: float) -> None:
        """Lose all packets for some seconds."""
        self.set(delay=0.0, loss=1.0)
        time.sleep(seconds)
        self.set(delay=0.0, loss=0.0)


@dataclass(frozen=True)
class Network:
    """Three namespaces with a link between each two neighbours."""

    generator: str
    server: str
    storing: str
    front: Link
    """Between generator and service."""
    back: Link
    """Between service and store."""
    service: str = "10.77.1.2"
    store: str = "10.77.2.2"

    def await_service(self) -> None:
        """Wait until the service answers in the namespace of the generator."""
        question = f"import urllib.request as u; u.urlopen('http://{self.service}:8000/ready', timeout=2)"
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            words = ["ip", "netns", "exec", self.generator, sys.executable, "-S", "-c", question]
            if subprocess.run(words, capture_output=True, check=False).returncode == 0:
                return
            time.sleep(0.2)
        raise AssertionError("the service is not ready in its namespace")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@contextmanager
def networks() -> Iterator[Network]:
    """Make the namespaces with their links, and remove them."""
    if not TUN.exists():
        pytest.skip(f"needs {TUN}")
    names = [f"rb{os.getpid()}{part}" for part in ("g", "s", "d")]
    with ExitStack() as stack:
        for name in names:
            if subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode:
                pytest.skip("no network namespace can be made here")
            stack.callback(_ip, "netns", "del", name)
            _ip("-n", name, "link", "set", "lo", "up")
        generator, server, storing = names
        front = stack.enter_context(_link(generator, server, "10.77.1"))
        back = stack.enter_context(_link(server, storing, "10.77.2"))
        yield Network(generator, server, storing, front, back)


@contextmanager
def _link(one: str, other: str, net: str) -> Iterator[Link]:
    devices = [f"{one[2:]}{end}"[-12:] for end in ("a", "b")]
    words = [sys.executable, "-m", "tests.faults.network", *devices]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n", "the link did not start"
            for device, place, end in ((devices[0], one, 1), (devices[1], other, 2)):
                _ip("link", "set", device, "netns", place)
                _ip("-n", place, "address", "add", f"{net}.{end}/24", "dev", device)
                _ip("-n", place, "link", "set", device, "up")
            yield Link(process)
        finally:
            process.kill()


class Packets:
    """Packets on their way: each is due at an instant, or lost."""

    def __init__(self, random: Random) -> None:
        self.delay = self.loss = 0.0
        self._random = random
        self._waiting: list[tuple[float, int, int, bytes]] = []
        self._number = 0

    def take(self, now: float, to: int, packet: bytes) -> None:
        """Take a packet for one of the two ends."""
        if self._random.random() >= self.loss:
            self._number += 1
            heapq.heappush(self._waiting, (now + self.delay, self._number, to, packet))

    def due(self, now: float) -> Iterator[tuple[int, bytes]]:
        """Yield the packets whose time has come, with their ends."""
        while self._waiting and self._waiting[0][0] <= now:
            _, _, to, packet = heapq.heappop(self._waiting)
            yield to, packet

    def wait(self, now: float) -> float | None:
        """Return the seconds to the next packet; None without one."""
        return max(0.0, self._waiting[0][0] - now) if self._waiting else None


def _tun(name: str) -> int:
    device = os.open(TUN, os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, _SET_INTERFACE, struct.pack("16sH22x", name.encode(), _TUN_WITHOUT_HEAD))
    return device


def _forward(devices: list[int]) -> None:
    packets, settings = Packets(Random(1)), 0
    other = {devices[0]: devices[1], devices[1]: devices[0]}
    while True:
        now = time.monotonic()
        for to, packet in packets.due(now):
            with _lossy():
                os.write(to, packet)
        for ready in select.select([*devices, settings], [], [], packets.wait(time.monotonic()))[0]:
            if ready == settings:
                line = os.read(settings, 4096).splitlines()[-1:]
                if not line:
                    return
                asked = json.loads(line[0])
                packets.delay, packets.loss = asked["delay"], asked["loss"]
            else:
                with _lossy():
                    packets.take(time.monotonic(), other[ready], os.read(ready, PACKET))


@contextmanager
def _lossy() -> Iterator[None]:
    """Lose a packet that a device does not take, as it is not up yet or full."""
    try:
        yield
    except OSError:
        return


if __name__ == "__main__":
    opened = [_tun(name) for name in sys.argv[1:]]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    _forward(opened)

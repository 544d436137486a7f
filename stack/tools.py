"""Builds programs that are not installed: ``python -m reelbench.stack.tools``.

They serve the tests of the full stack; Toxiproxy serves scenarios with faults of the network. Prometheus and promtool
come from the Go module of the version that compose pins, the Collector from the official builder with only the
components of ``otel/builder-config.yaml``. Each version is one folder of the cache, which appears by one rename: an
incomplete build is never used.

Prometheus is built inside its downloaded module, since ``go install module@version`` refuses a module with `replace`
directives. Service discovery for clouds is left out (tag ``remove_all_sd``): it is most of the build, and only
static targets are scraped here. Tempo's module cannot be built this way; ``TEMPO_BIN`` names an installed Tempo.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from reelbench import HOME
from reelbench.exit_code import ExitCode
from reelbench.stack import dotenv
from reelbench.stack.binaries import cache_folder
from reelbench.stack.errors import StackError

BUILDER_CONFIG = HOME / "otel" / "builder-config.yaml"
_BUILDER = "go.opentelemetry.io/collector/cmd/builder"
_TOXIPROXY = "github.com/Shopify/toxiproxy/v2"
TOXIPROXY_VERSION = "2.12.0"
_TIMEOUT = 3600.0
_TAIL = 15


@dataclass(frozen=True, slots=True)
class Tools:
    """The binaries for the tests of the full stack."""

    prometheus: Path
    promtool: Path
    collector: Path

    @property
    def complete(self) -> bool:
        """True when all of them exist."""
        return all(os.access(path, os.X_OK) for path in (self.prometheus, self.promtool, self.collector))


class _Module(msgspec.Struct):
    folder: str = msgspec.field(name="Dir", default="")
    error: str = msgspec.field(name="Error", default="")


def locate(settings: Mapping[str, str], cache: Path) -> Tools:
    """Return the paths of the tools of these versions, whether they are built or not."""
    prometheus = cache / "tools" / f"prometheus-{dotenv.image_version(settings, 'PROMETHEUS_IMAGE')}"
    components = hashlib.sha256(BUILDER_CONFIG.read_bytes()).hexdigest()[:8]
    collector = cache / "tools" / f"otelcol-{dotenv.image_version(settings, 'COLLECTOR_IMAGE')}-{components}"
    return Tools(prometheus / "prometheus", prometheus / "promtool", collector / "otelcol")


def build(settings: Mapping[str, str], cache: Path, report: Callable[[str], None]) -> Tools:
    """Build the tools that are not in the cache yet.

    Raises:
        StackError: there is no Go, or a step failed; the message ends with its last lines.
    """
    tools = locate(settings, cache)
    if tools.complete:
        return tools
    _need_go()
    if not tools.promtool.exists():
        _timed(report, "Prometheus and promtool", lambda: _prometheus(tools.prometheus.parent, settings))
    if not tools.collector.exists():
        _timed(report, "the Collector", lambda: _collector(tools.collector.parent, settings))
    return tools


def toxiproxy(cache: Path) -> Path:
    """Return the path of Toxiproxy's server, whether it is built or not."""
    return cache / "tools" / f"toxiproxy-{TOXIPROXY_VERSION}" / "toxiproxy-server"


def toxiproxy_environment(environment: Mapping[str, str], cache: Path) -> dict[str, str]:
    """Return the variable that names the Toxiproxy of the cache; empty without one, or where another one is named."""
    built = toxiproxy(cache)
    named = any(name in environment for name in ("TOXIPROXY_BIN", "TOXIPROXY_URL"))
    return {"TOXIPROXY_BIN": str(built)} if os.access(built, os.X_OK) and not named else {}


def build_toxiproxy(cache: Path, report: Callable[[str], None]) -> Path:
    """Build Toxiproxy's server if it is not in the cache yet, and return its path.

    Raises:
        StackError: as `build`.
    """
    version = f"-ldflags=-X {_TOXIPROXY}.Version={TOXIPROXY_VERSION}"
    return installed(toxiproxy(cache), f"{_TOXIPROXY}/cmd/server@v{TOXIPROXY_VERSION}", report, version)


def installed(program: Path, module: str, report: Callable[[str], None], *flags: str) -> Path:
    """Build a program with ``go install`` if it is not there yet, and return its path.

    Args:
        program: where it is kept; its folder is made with it, and has nothing else.
        module: path of the program's package with ``@`` and the version.
        report: receives one line when the build begins and ends.
        flags: further flags of ``go install``.

    Raises:
        StackError: as `build`.
    """
    if not program.exists():
        _need_go()
        _timed(report, module, lambda: _install(program, module, flags))
    return program


def _need_go() -> None:
    if shutil.which("go") is None:
        raise StackError("There is no Go here, which builds these programs; install Go 1.25 or newer.")


def _install(program: Path, module: str, flags: Sequence[str]) -> None:
    binary = module.partition("@")[0].rpartition("/")[2]
    with _entry(program.parent) as work:
        _run(["go", "install", "-trimpath", *flags, module], HOME.anchor, GOBIN=str(work))
        (work / binary).replace(work / program.name)


def _prometheus(entry: Path, settings: Mapping[str, str]) -> None:
    version = dotenv.image_version(settings, "PROMETHEUS_IMAGE")
    major, minor, patch = version.split(".")
    module = f"github.com/prometheus/prometheus@v0.{int(major)}{int(minor):02}.{patch}"  # 3.14.0 is the module 0.314.0
    answer = _run(["go", "mod", "download", "-json", module], HOME.anchor)
    try:
        found = msgspec.json.decode(answer, type=_Module)
    except msgspec.MsgspecError as error:
        raise StackError(f"'go mod download' did not answer like Go ({error}).") from error
    if not found.folder:
        raise StackError(f"Go could not download {module}: {found.error}.")
    flags = f"-X github.com/prometheus/common/version.Version={version}"
    with _entry(entry) as work:
        for name in ("prometheus", "promtool"):
            target = str(work / name)
            _run(
                ["go", "build", "-trimpath", "-tags=remove_all_sd", f"-ldflags={flags}", "-o", target, f"./cmd/{name}"],
                found.folder,
            )


def _collector(entry: Path, settings: Mapping[str, str]) -> None:
    version = dotenv.image_version(settings, "COLLECTOR_IMAGE")
    with _entry(entry) as work:
        _run(["go", "install", f"{_BUILDER}@v{version}"], HOME.anchor, GOBIN=str(work))
        config = work / "builder-config.yaml"
        shutil.copy(BUILDER_CONFIG, config)
        _run([str(work / "builder"), "--config", str(config)], str(work))
        (work / "_build" / "otelcol").replace(work / "otelcol")
        shutil.rmtree(work / "_build")
        (work / "builder").unlink()


class _entry:  # noqa: N801 - read as a function in a `with`
    """Yield a working folder that becomes a cache entry if no error is raised."""

    def __init__(self, entry: Path) -> None:
        self._entry = entry

    def __enter__(self) -> Path:
        self._entry.parent.mkdir(parents=True, exist_ok=True)
        self._work = Path(tempfile.mkdtemp(prefix=".work-", dir=self._entry.parent))
        return self._work

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None and not self._entry.exists():
            self._work.chmod(0o755)
            self._work.replace(self._entry)
        shutil.rmtree(self._work, ignore_errors=True)


def _timed(report: Callable[[str], None], what: str, work: Callable[[], None]) -> None:
    report(f"building {what} (minutes, once)")
    begun = time.monotonic()
    work()
    report(f"built {what} in {time.monotonic() - begun:.0f} s")


def _run(command: Sequence[str], directory: str, **environment: str) -> bytes:
    # A Go workspace of the user must not change these builds.
    variables = os.environ | {"GOWORK": "off"} | environment
    try:
        done = subprocess.run(command, cwd=directory, env=variables, capture_output=True, timeout=_TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StackError(f"{command[0]} did not end ({error}).") from error
    if done.returncode:
        said = "\n".join((done.stderr or done.stdout).decode(errors="replace").splitlines()[-_TAIL:])
        raise StackError(f"'{' '.join(command[:4])} ...' failed with status {done.returncode}:\n{said}")
    return done.stdout


def _progress(line: str) -> None:
    print(line, file=sys.stderr)  # noqa: T201 - progress


def main() -> int:
    """Build the tools and print their paths; return the exit code."""
    try:
        proxy = build_toxiproxy(cache_folder(), _progress)
        tools = build(dotenv.read(), cache_folder(), _progress)
    except StackError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - for the user
        return ExitCode.ABSENT
    for path in (tools.prometheus, tools.promtool, tools.collector, proxy):
        print(path)  # noqa: T201 - the result
    return ExitCode.PASS


if __name__ == "__main__":
    sys.exit(main())

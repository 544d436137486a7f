"""The Prometheus package of Debian and Ubuntu, unpacked but not installed.

`apt-get` uses a cache and a configuration in a working folder: root is not needed, and no service is started. The
system's lists are read; where they are empty or stale, new ones are fetched into the working folder.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

from reelbench.stack import prometheus
from reelbench.stack.cache import BINARY, PROMTOOL, Cache
from reelbench.stack.errors import StackError
from reelbench.stack.prometheus import PrometheusBinary

_LOCAL_TIMEOUT = 60.0
_UPDATE_TIMEOUT = 120.0
_DOWNLOAD_TIMEOUT = 300.0
_PACKAGE = re.compile(r"prometheus_(?:\d+:)?(?P<version>\d+\.\d+\.\d+)[^_ ]*_\w+\.deb")


def install(cache: Cache) -> PrometheusBinary:
    """Download and unpack the distribution's package into the cache.

    Raises:
        StackError: this is not Debian or Ubuntu, or one of the steps failed.
    """
    for tool in ("apt-get", "apt-config", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise StackError(f"There is no {tool} here: not a Debian or Ubuntu.")
    with cache.work() as work:
        environment = os.environ | {"APT_CONFIG": str(_configuration(work)), "LC_ALL": "C"}
        try:
            package = _downloaded(work, environment)
        except StackError as error:
            if isinstance(error.__cause__, subprocess.TimeoutExpired):
                raise
            for left in work.glob("prometheus_*.deb"):
                left.unlink()
            package = _downloaded(work, environment, _updated(work, environment))
        _run(["dpkg-deb", "-x", str(package), str(work / "unpacked")], work, environment, _LOCAL_TIMEOUT)
        programs = work / "unpacked" / "usr" / "bin"
        try:
            (programs / BINARY).replace(work / BINARY)
        except OSError as error:
            raise StackError(f"{package.name} has no usr/bin/prometheus.") from error
        with contextlib.suppress(FileNotFoundError):  # Debian 13 has it in another package; only tests use it
            (programs / PROMTOOL).replace(work / PROMTOOL)
        return cache.install(work / BINARY, "debian")


def _updated(work: Path, environment: dict[str, str]) -> str:
    """Fetch lists into the working folder, which are used from then on; return what went wrong, in brackets."""
    with Path(environment["APT_CONFIG"]).open("a", encoding="utf-8") as file:
        file.write(f'Dir::State::lists "{work}/lists/";\n')
    try:
        _run(["apt-get", "update", "--quiet"], work, environment, _UPDATE_TIMEOUT)
    except StackError as error:  # one of several sources may be broken: the others may have the package
        return f" ({error})"
    return ""


def _downloaded(work: Path, environment: dict[str, str], complaint: str = "") -> Path:
    """Fetch the package that the lists offer.

    Raises:
        StackError: the lists offer no package or one that is too old, or the download failed.
    """
    found = _PACKAGE.search(unquote(_offered(work, environment)))
    if found is None:
        raise StackError(f"The distribution offers no package 'prometheus'{complaint}.")
    prometheus.check_version(found["version"], "The distribution's package")  # before 20 MB are fetched
    _run(["apt-get", "download", "--quiet", "prometheus"], work, environment, _DOWNLOAD_TIMEOUT)
    (package,) = work.glob("prometheus_*.deb")
    return package


def _configuration(work: Path) -> Path:
    """Write a configuration: a copy of the system's (sources, proxies, keys) with another cache and without hooks.

    The hooks clean or refresh files of the system; apt can only skip them with a changed copy of the configuration.
    """
    for folder in ("lists/partial", "cache/archives/partial"):
        (work / folder).mkdir(parents=True)
    dumped = _run(["apt-config", "dump"], work, dict(os.environ), _LOCAL_TIMEOUT)
    hooks = ("APT::Update::", "DPkg::")
    lines = [line for line in dumped.splitlines() if not line.startswith(hooks)]
    own = {
        "Dir::Cache": f"{work}/cache/",
        "Dir::Cache::pkgcache": "pkgcache.bin",  # images switch it off, and each apt-get would read the lists again
        "Dir::Etc::main": "/dev/null",
        "Dir::Etc::parts": "/dev/null",
        "Acquire::Languages": "none",
        "Acquire::Retries": "1",
        "Acquire::http::Timeout": "15",
        "Acquire::https::Timeout": "15",
    }
    if os.geteuid() == 0:
        own["APT::Sandbox::User"] = "root"  # the user _apt cannot write into our folders
    path = work / "apt.conf"
    path.write_text("\n".join([*lines, *(f'{key} "{value}";' for key, value in own.items())]) + "\n", encoding="utf-8")
    return path


def _offered(work: Path, environment: dict[str, str]) -> str:
    try:
        return _run(["apt-get", "download", "--print-uris", "prometheus"], work, environment, _LOCAL_TIMEOUT)
    except StackError:  # the lists do not have it
        return ""


def _run(command: Sequence[str], folder: Path, environment: dict[str, str], timeout: float) -> str:
    """Run a step; its whole process group ends with the time-out."""
    with subprocess.Popen(
        list(command),
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            out, complaints = process.communicate(timeout=timeout)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                raise StackError(f"'{' '.join(command[:2])}' took longer than {timeout:g} s.") from error
            raise
    if process.returncode:
        last = complaints.decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
        raise StackError(f"'{' '.join(command[:2])}' failed: {last[0]}")
    return out.decode(errors="replace")

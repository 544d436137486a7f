"""Finds Prometheus on this machine, or downloads it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from reelbench import CHECKOUT
from reelbench.stack import debian, prometheus, release
from reelbench.stack.cache import Cache
from reelbench.stack.errors import StackError
from reelbench.stack.prometheus import PrometheusBinary


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the cache: ``$REELBENCH_CACHE``, ``.cache`` in a checkout, or the folder in the user's cache."""
    if named := environment.get("REELBENCH_CACHE"):
        return Path(named).resolve()
    if CHECKOUT is not None:
        return CHECKOUT / ".cache"
    user = Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")
    return Path(environment.get("XDG_CACHE_HOME") or user) / "reelbench"


def find_prometheus(
    report: Callable[[str], None],
    *,
    environment: Mapping[str, str] = os.environ,
    release_url: str = release.BASE_URL,
    download: bool = True,
) -> PrometheusBinary:
    """Return a working Prometheus from the first place that has one.

    In this order: ``$PROMETHEUS_BIN``, ``prometheus`` on the path, the project's cache, the official release, the
    package of Debian and Ubuntu.

    Args:
        report: Receives one line for each place that failed, and one before each download.
        environment: For ``PROMETHEUS_BIN``, ``PATH`` and ``REELBENCH_CACHE``.
        release_url: Where the official releases are.
        download: Also fetch one; otherwise only those of this machine count.

    Raises:
        StackError: no place has one; the message lists what was tried and how to install it by hand.
    """
    cache = Cache(cache_folder(environment))
    tried: list[str] = []

    def attempt(place: str, get: Callable[[], PrometheusBinary | None]) -> PrometheusBinary | None:
        try:
            return get()
        except StackError as error:
            tried.append(f"{place}: {error}")
            report(tried[-1])
            return None

    places: tuple[tuple[str, str | None, Callable[[], PrometheusBinary | None]], ...] = (
        ("PROMETHEUS_BIN", None, lambda: _named(environment)),
        ("PATH", None, lambda: _on_path(environment)),
        ("cache", None, cache.find),
        (
            "official release",
            f"fetching Prometheus {release.VERSION} (about 120 MB, once)",
            lambda: release.install(cache, base_url=release_url),
        ),
        ("distribution's package", "fetching the package of the distribution (once)", lambda: debian.install(cache)),
    )
    for place, announcement, get in places:
        if announcement is not None:
            if not download:
                continue
            report(announcement)
        binary = attempt(place, get)
        if binary is not None:
            return binary
    raise StackError(
        "There is no Prometheus. Tried: "
        + " | ".join([*tried, f"cache {cache.folder}: empty"])
        + f" | Install it by hand: unpack a release of {release.BASE_URL.removesuffix('/releases/download')} "
        "(2.42 or newer) and set PROMETHEUS_BIN to its 'prometheus'."
    )


def _named(environment: Mapping[str, str]) -> PrometheusBinary | None:
    named = environment.get("PROMETHEUS_BIN")
    return prometheus.verify(Path(named).absolute(), "PROMETHEUS_BIN") if named else None


def _on_path(environment: Mapping[str, str]) -> PrometheusBinary | None:
    found = shutil.which("prometheus", path=environment.get("PATH", os.defpath))
    return prometheus.verify(Path(found).absolute(), "PATH") if found else None

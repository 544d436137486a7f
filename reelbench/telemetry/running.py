"""What a process of this project runs with: its effective settings, the environment that matters, versions."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import metadata

import msgspec

_SECRET = re.compile(r"key|token|secret|passw|credential|auth|headers|cookie", re.IGNORECASE)
_MATTERS = re.compile(
    r"(OTEL|PYTHON|MALLOC|UVICORN|LD|OMP|MKL|OPENBLAS|NUMEXPR|GLIBC)_\w+"
    r"|PYTHON\w+|GOMAXPROCS|GODEBUG|GOGC|TZ|LANG|LC_ALL|HTTPS?_PROXY|NO_PROXY|ALL_PROXY",
    re.IGNORECASE,
)
"""Variables that change how a process of this project behaves, besides its settings."""
_USER = re.compile(r"(?<=://)[^/\s]*@")
_QUERY = re.compile(r"(://[^?#\s]*)[?#]\S*")
_MOST = 300


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """What one process runs with. Secrets are left out."""

    name: str
    """Its service.name."""
    settings: dict[str, str] = {}
    """Environment variable of each setting to its effective value."""
    changed: tuple[str, ...] = ()
    """Settings that do not have their default."""
    environment: dict[str, str] = {}
    """Further variables of its environment that change its behaviour."""
    versions: dict[str, str] = {}
    """Python and the libraries on which it depends."""
    time: float | None = None
    """Its Unix time when it answered."""
    instance: str = ""
    """Identity of the process; each replica of a service has another. Empty in records of earlier versions."""


def environment(variables: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables that change the behaviour of a process, without secrets."""
    return {
        name: shown(value)
        for name, value in sorted(variables.items())
        if _MATTERS.fullmatch(name) and not is_secret(name)
    }


def is_secret(name: str) -> bool:
    """Return True for a name under which secrets are kept."""
    return _SECRET.search(name) is not None


def shown(value: object) -> str:
    """Return a value as it may be recorded: on one line, not too long, without user and query of a URL."""
    text = " ".join(_QUERY.sub(r"\1", _USER.sub("", _written(value))).split())
    return text if len(text) <= _MOST else f"{text[:_MOST]}..."


def _written(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def flat(values: Mapping[str, object], prefix: str, separator: str = "__") -> dict[str, str]:
    """Return nested settings by the names of their variables, such as ``PROVIDERS_LLM__MEDIAN``.

    Of a secret, only whether it is set is kept.
    """
    found: dict[str, str] = {}
    for name, value in values.items():
        variable = f"{prefix}{name.upper()}"
        if isinstance(value, Mapping):
            found |= flat(value, f"{variable}{separator}", separator)
        elif is_secret(name):
            found[variable] = "set" if value else "not set"
        else:
            found[variable] = shown(value)
    return found


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of Python and of those packages that are installed."""
    found = {"python": platform.python_version()}
    return found | {name: version for name in packages if (version := _installed(name)) is not None}


@cache  # a process is asked six times in each scenario, to compare clocks: reading the files takes most of its answer
def _installed(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None

"""Reads ``.env``: image versions, ports and the interval of the compose stack."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from reelbench import HOME
from reelbench.stack.errors import SettingError, StackError

ENV_FILE: Final = HOME / ".env"
DEFAULTS: Final = {
    "INTERVAL": "1",
    "SERVICE_PORT": "8000",
    "PROVIDERS_PORT": "9000",
    "OTLP_PORT": "4318",
    "PROMETHEUS_PORT": "9090",
    "TEMPO_PORT": "3200",
    "GRAFANA_PORT": "3000",
}
"""Settings for an installed Reelbench, which has no ``.env``."""


def read(path: Path = ENV_FILE, *, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the settings of the file, or the defaults without a file; variables of the environment take precedence.

    Raises:
        StackError: the file cannot be read.
        SettingError: a line is not a setting, or a value cannot be used.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        lines = [f"{name}={value}" for name, value in DEFAULTS.items()]
    except OSError as error:
        raise StackError(f"Cannot read {path} ({error.strerror}); restore it from the repository.") from error
    settings = {}
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise SettingError(f"{path}, line {number}: {text!r} is not NAME=value.")
        settings[name] = environment.get(name, value)
    interval = settings.get("INTERVAL", "1")
    if not (interval.isascii() and interval.isdecimal() and int(interval) > 0):
        raise SettingError(f"INTERVAL is {interval!r}; write whole seconds, such as INTERVAL=10.")
    return settings


def image_version(settings: Mapping[str, str], name: str) -> str:
    """Return the version in an image's tag: ``PROMETHEUS_IMAGE=prom/prometheus:v3.14.0`` gives 3.14.0.

    Raises:
        StackError: there is no such image, or it has no version.
    """
    image, _, tag = settings.get(name, "").partition("@")[0].rpartition(":")
    version = tag.removeprefix("v").partition("-")[0]
    if not image or not version[:1].isdigit():
        raise StackError(f"{name} in .env has no version; write it like {name}=name:1.2.3.")
    return version

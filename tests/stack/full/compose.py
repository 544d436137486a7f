"""docker-compose.yml as `docker compose config` shows it: with variables and anchors resolved."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from reelbench.stack import dotenv

ROOT = Path(__file__).parents[3]
FILE = ROOT / "docker-compose.yml"
_VARIABLE = re.compile(r"\$(?:(\$)|\{(\w+)(?::-([^}]*))?\})")


def load(**overrides: str) -> dict[str, Any]:
    """Read the compose file with the variables of .env; `overrides` replace the user's environment."""
    variables = dotenv.read(environment=overrides)

    def fill(match: re.Match[str]) -> str:
        dollar, name, default = match.groups()
        if dollar:
            return "$"
        value = variables.get(name, default) if default is None else variables.get(name) or default
        assert value is not None, f"docker-compose.yml uses {name}, which .env does not have"
        return value

    filled: dict[str, Any] = yaml.safe_load(_VARIABLE.sub(fill, FILE.read_text()))
    return filled


def prometheus_configuration(interval: str) -> str:
    """The file of Prometheus as the container `configuration` leaves it."""
    text = (ROOT / "prometheus" / "prometheus.yml").read_text()
    assert text.count("${INTERVAL}s") == 2
    return text.replace("${INTERVAL}", interval)

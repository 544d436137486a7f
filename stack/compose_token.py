"""The control token of the compose stack, which its container `configuration` writes into this checkout."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from reelbench import HOME
from reelbench.loadgen.record.control_token import TOKEN, TOKEN_FILE
from reelbench.stack.http import may_use_proxy

FILE: Final = HOME / ".cache" / "control" / "token"
"""Where docker-compose.yml mounts the folder of the token."""


def token_variables(service_url: str, environment: Mapping[str, str], file: Path = FILE) -> dict[str, str]:
    """Return the variable that names the token's file, for a service on this machine.

    Empty when the environment has a token or another file, or when the service runs elsewhere: the token is that of
    the stack of this checkout.
    """
    if TOKEN in environment or TOKEN_FILE in environment or not urlsplit(service_url).hostname:
        return {}
    return {} if may_use_proxy(service_url) or not file.is_file() else {TOKEN_FILE: str(file)}

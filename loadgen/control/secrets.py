"""Secrets of the environment: which variables hold one, and their removal from text."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

_NAME = re.compile(
    r"(^|_)(API_?KEY|KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASS|CREDENTIALS?|COOKIE|HEADERS)(_|$)|(^|_)AUTH$", re.IGNORECASE
)
_USER_INFO = re.compile(r"(?<=://)[^/\s@]+@")
_SHORTEST = 6
"""Characters from which a value is looked for in text; a shorter one would be found in ordinary words."""
HIDDEN = "***"


def is_secret(name: str) -> bool:
    """Return whether an environment variable holds a secret, by its name."""
    return _NAME.search(name) is not None


def without_secrets(
    environment: Mapping[str, str], named: Collection[str] = (), *, keep: Collection[str] = ()
) -> dict[str, str]:
    """Return the environment without the variables that hold a secret, except those to keep.

    Args:
        environment: names and values.
        named: further variables that hold a secret.
        keep: variables that stay although they hold one.
    """
    return {name: value for name, value in environment.items() if name in keep or not _holds(name, named)}


def secrets(environment: Mapping[str, str], named: Collection[str] = ()) -> frozenset[str]:
    """Return the values of the variables that hold a secret; `named` ones hold one, too."""
    return frozenset(value for name, value in environment.items() if _holds(name, named) and len(value) >= _SHORTEST)


def hide(text: str, values: Collection[str]) -> str:
    """Return a text without these values and without the user names and passwords of URLs."""
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    return _USER_INFO.sub(f"{HIDDEN}@", text)


def without_user(url: str) -> str:
    """Return a URL without user name and password."""
    return _USER_INFO.sub("", url)


def _holds(name: str, named: Collection[str]) -> bool:
    return name in named or is_secret(name)

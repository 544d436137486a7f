"""The optimizations and protections of the service, each of which a baseline run can turn off.

The admin API calls them switches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields

import msgspec

from reelbench.service.domain.errors import RequestError

MAX_BYTES = 4096
_SHOWN = 40


@dataclass(slots=True)
class Toggles:
    """What is on. A call reads its toggle once at its begin, so a change does not affect calls in progress."""

    retries: bool = True
    breaker: bool = True
    cache: bool = True
    pooling: bool = True
    scene_concurrency: bool = True

    def change(self, values: Mapping[str, bool]) -> None:
        """Set some toggles by name, after `read` has checked the names."""
        for name, value in values.items():
            setattr(self, name, value)

    def values(self) -> dict[str, bool]:
        """Return all toggles by name."""
        return asdict(self)


NAMES = tuple(field.name for field in fields(Toggles))


def read(body: bytes) -> dict[str, bool]:
    """Read a change from JSON such as ``{"pooling": false}``.

    Raises:
        RequestError: the body is not JSON or not a change; the message lists all errors.
    """
    if len(body) > MAX_BYTES:
        raise RequestError("invalid_value", f"A change of switches has at most {MAX_BYTES} bytes.")
    try:
        data = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError("invalid_json", f"The body is not valid JSON: {error}.") from error
    if not isinstance(data, dict):
        raise RequestError("invalid_value", 'The body must be an object like {"pooling": false}.')
    problems = dict(_problems(data))
    if problems:
        count = f"{len(problems)} error{'s' if len(problems) > 1 else ''}"
        text = "; ".join(f"{name} {problem}" for name, problem in problems.items())
        raise RequestError("invalid_switches", f"The switches have {count}: {text}.", param=next(iter(problems)))
    return data


def _problems(data: dict[str, object]) -> Iterator[tuple[str, str]]:
    for name, value in data.items():
        if name not in NAMES:
            yield name[:_SHOWN], f"is not a switch; use {', '.join(NAMES)}"
        elif not isinstance(value, bool):
            shown = "a list or an object" if isinstance(value, list | dict) else msgspec.json.encode(value).decode()
            yield name, f"is {shown[:_SHOWN]} and must be true or false"

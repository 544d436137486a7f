"""The optimizations and protections that a baseline runs without: set at the start, changed while the service runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields

import msgspec

_SHOWN = 40


MAX_BYTES = 4096


class SwitchesError(Exception):
    """A change that is none; `param` names the first thing that is wrong, if it has a name."""

    def __init__(self, message: str, *, code: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.param = param


@dataclass(slots=True)
class Switches:
    """What is on. Whoever asks looks once, when its call begins: a change leaves the calls in progress as they are."""

    retries: bool = True
    breaker: bool = True
    cache: bool = True
    pooling: bool = True
    scene_concurrency: bool = True

    def change(self, values: Mapping[str, bool]) -> None:
        """Set some of them, by name, as `read` has checked them."""
        for name, value in values.items():
            setattr(self, name, value)

    def values(self) -> dict[str, bool]:
        """All of them, by name."""
        return asdict(self)


NAMES = tuple(field.name for field in fields(Switches))


def read(body: bytes) -> dict[str, bool]:
    """Read a change from JSON such as ``{"pooling": false}``.

    Raises:
        SwitchesError: the body is not JSON, or no change; it names every error, not just the first.
    """
    if len(body) > MAX_BYTES:
        raise SwitchesError(f"A change of switches has at most {MAX_BYTES} bytes.", code="invalid_value")
    try:
        data = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise SwitchesError(f"The body is not valid JSON: {error}.", code="invalid_json") from error
    if not isinstance(data, dict):
        raise SwitchesError('The body must be an object like {"pooling": false}.', code="invalid_value")
    problems = dict(_problems(data))
    if problems:
        count = f"{len(problems)} error{'s' if len(problems) > 1 else ''}"
        text = "; ".join(f"{name} {problem}" for name, problem in problems.items())
        raise SwitchesError(f"The switches have {count}: {text}.", code="invalid_switches", param=next(iter(problems)))
    return data


def _problems(data: dict[str, object]) -> Iterator[tuple[str, str]]:
    for name, value in data.items():
        if name not in NAMES:
            yield name[:_SHOWN], f"is no switch, use {', '.join(NAMES)}"
        elif not isinstance(value, bool):
            shown = "a list or an object" if isinstance(value, list | dict) else msgspec.json.encode(value).decode()
            yield name, f"is {shown[:_SHOWN]} and must be true or false"

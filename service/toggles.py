"""The optimizations and protections of the service, each of which a baseline run can turn off.

The admin API calls them switches.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

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
_name: Any = Literal[NAMES]
_CHANGE: TypeAdapter[dict[str, bool]] = TypeAdapter(dict[_name, bool])


def read(body: bytes) -> dict[str, bool]:
    """Read a change from JSON such as ``{"pooling": false}``.

    Raises:
        RequestError: the body is not JSON or not a change; the message lists all errors.
    """
    if len(body) > MAX_BYTES:
        raise RequestError("invalid_value", f"A change of switches has at most {MAX_BYTES} bytes.")
    try:
        return _CHANGE.validate_json(body, strict=True)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        first = problems[0]
        if first["type"] == "json_invalid":
            raise RequestError("invalid_json", f"The body is not valid JSON: {first['ctx']['error']}.") from error
        if first["type"] == "dict_type":
            raise RequestError("invalid_value", 'The body must be an object like {"pooling": false}.') from error
        count = f"{len(problems)} error{'s' if len(problems) > 1 else ''}"
        text = "; ".join(f"{str(problem['loc'][0])[:_SHOWN]}: {problem['msg']}" for problem in problems)
        param = str(first["loc"][0])[:_SHOWN]
        raise RequestError("invalid_switches", f"The switches have {count}: {text}.", param=param) from error

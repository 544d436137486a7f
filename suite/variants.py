"""The configurations of an ablation: everything on, and everything but one optimization."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from reelbench.loadgen.control.admin_client import ControlError, Controls
from reelbench.loadgen.plan.scenario import Switches
from reelbench.stack.errors import StackError
from reelbench.stack.external import ExternalStack
from reelbench.suite.measuring import Load

NAMES = tuple(Switches.model_fields)
"""The optimizations and protections that the service can be without."""
FULL = "full"


@dataclass(frozen=True, slots=True)
class Variant:
    """One configuration of the service."""

    name: str
    """Part of the run id; empty when the service is measured as it is."""
    off: str | None = None
    """The optimization that is off; None: all are on."""

    @property
    def switches(self) -> dict[str, bool]:
        """All toggles; empty when the service is measured as it is."""
        return {name: name != self.off for name in NAMES} if self.name else {}


AS_IT_IS = Variant("")


def variants(ablate: Sequence[str]) -> tuple[Variant, ...]:
    """Return the configurations of an ablation, the full one first; without an ablation the service as it is."""
    return (Variant(FULL), *(Variant(f"no_{name}", name) for name in ablate)) if ablate else (AS_IT_IS,)


def parse(text: str | None) -> tuple[str, ...]:
    """Return the names of ``--ablate``, in order; empty when the option is not given."""
    return tuple(part.strip() for part in text.split(",")) if text is not None else ()


def errors(ablate: Sequence[str]) -> list[str]:
    """Return what is wrong with these names."""
    known = ", ".join(NAMES)
    found = [f"--ablate: {name!r} is unknown; use {known}" for name in dict.fromkeys(ablate) if name not in NAMES]
    return found + [
        f"--ablate: {name!r} is given more than once; give it once"
        for name in dict.fromkeys(ablate)
        if ablate.count(name) > 1
    ]


@contextmanager
def configured(load: Load, variant: Variant) -> Iterator[Mapping[str, str]]:
    """Set the toggles of the service, and yield the environment for an embedded stack.

    A running service is toggled through its admin API, and reset at the end.

    Raises:
        StackError: the service cannot be toggled.
    """
    settings = {f"SERVICE_{name.upper()}": str(on).lower() for name, on in variant.switches.items()}
    url = load.target.addresses.service if isinstance(load.target, ExternalStack) else load.target
    if not variant.switches or url is None:
        yield os.environ | settings
        return
    before = asyncio.run(_toggle(url, variant.switches))
    load.say(f"switched: {variant.name}")
    try:
        yield os.environ
    finally:
        asyncio.run(_toggle(url, before))
        load.say("switched back")


async def _toggle(url: str, switches: Mapping[str, bool]) -> dict[str, bool]:
    """Set these toggles; return their values before."""
    async with Controls(url) as controls:
        try:
            before = await controls.switches()
            after = await controls.switch(switches)
        except ControlError as error:
            cure = "start it with SERVICE_ADMIN=true, or use --embedded"
            raise StackError(f"The service at {url} cannot be switched ({error}); {cure}.") from error
    if wrong := [name for name, on in switches.items() if after.get(name) is not on]:
        raise StackError(f"The service at {url} left {', '.join(wrong)} as before; restart it and run again.")
    return {name: before[name] for name in switches}

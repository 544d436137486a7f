"""The configurations of an ablation: everything on, and everything but one optimization."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from reelbench.loadgen.control.admin_client import AdminClient, AdminError
from reelbench.loadgen.plan.scenario import Toggles
from reelbench.stack.errors import StackError
from reelbench.stack.external import ExternalStack
from reelbench.suite.measuring import Load

NAMES = tuple(Toggles.model_fields)
"""The optimizations and protections that the service can be without."""
FULL = "full"


@dataclass(frozen=True, slots=True)
class Variant:
    """One configuration of the service."""

    name: str
    """Part of the run id; empty where the service is measured as it is."""
    off: str | None = None
    """The one that is off."""

    @property
    def switches(self) -> dict[str, bool]:
        """All switches; none where the service is measured as it is."""
        return {name: name != self.off for name in NAMES} if self.name else {}


AS_IT_IS = Variant("")


def variants(ablate: Sequence[str]) -> tuple[Variant, ...]:
    """The configurations of an ablation, the full one first; without an ablation the service as it is."""
    return (Variant(FULL), *(Variant(f"no_{name}", name) for name in ablate)) if ablate else (AS_IT_IS,)


def parse(text: str | None) -> tuple[str, ...]:
    """The names of ``--ablate``, in order; none when it is not given."""
    return tuple(part.strip() for part in text.split(",")) if text is not None else ()


def errors(ablate: Sequence[str]) -> list[str]:
    """What is wrong with these names."""
    known = ", ".join(NAMES)
    found = [f"--ablate: {name!r} is unknown; use {known}" for name in dict.fromkeys(ablate) if name not in NAMES]
    return found + [
        f"--ablate: {name!r} is given more than once; give it once"
        for name in dict.fromkeys(ablate)
        if ablate.count(name) > 1
    ]


@contextmanager
def in_force(load: Load, variant: Variant) -> Iterator[Mapping[str, str]]:
    """Bring the service into this configuration, and give the environment for an embedded stack.

    A service that runs is switched, and switched back as it was at the end.

    Raises:
        StackError: it cannot be switched.
    """
    settings = {f"SERVICE_{name.upper()}": str(on).lower() for name, on in variant.switches.items()}
    url = load.target.addresses.service if isinstance(load.target, ExternalStack) else load.target
    if not variant.switches or url is None:
        yield os.environ | settings
        return
    before = asyncio.run(_switch(url, variant.switches))
    load.say(f"switched: {variant.name}")
    try:
        yield os.environ
    finally:
        asyncio.run(_switch(url, before))
        load.say("switched back")


async def _switch(url: str, switches: Mapping[str, bool]) -> dict[str, bool]:
    """Set these switches; gives how they were before."""
    async with AdminClient(url) as controls:
        try:
            before = await controls.toggles()
            after = await controls.set_toggles(switches)
        except AdminError as error:
            cure = "start it with SERVICE_ADMIN=true, or use --embedded"
            raise StackError(f"The service at {url} cannot be switched ({error}); {cure}.") from error
    if wrong := [name for name, on in switches.items() if after.get(name) is not on]:
        raise StackError(f"The service at {url} left {', '.join(wrong)} as before; restart it and run again.")
    return {name: before[name] for name in switches}

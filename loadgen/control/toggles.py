"""Changes switches of the service for a case, and always puts them back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from reelbench.loadgen.control.admin_client import ControlError, Controls

ATTEMPTS = 3
_PAUSE = 0.2


class SwitchError(Exception):
    """Switches that cannot be changed or put back; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Switcher:
    """Changes switches of one service."""

    controls: Controls
    say: Callable[[str], None]
    """Tells the user, one line each time."""

    @asynccontextmanager
    async def during(self, switches: Mapping[str, bool]) -> AsyncIterator[None]:
        """Change switches, and put them back as they were at the end, however it comes.

        Raises:
            SwitchError: a switch could not be changed, or not put back.
        """
        if not switches:
            yield
            return
        try:
            now = await self.controls.switches()
            before = {name: now[name] for name in switches}
        except (ControlError, KeyError) as error:
            raise SwitchError(f"the service's switches cannot be read: {error}") from error
        try:
            try:
                await self._set(switches)
            except ControlError as error:
                raise SwitchError(f"switches of the service cannot be changed: {error}") from error
            self.say(f"  switched: {describe(switches)}")
            yield
        finally:
            await self._restore(before)

    async def _restore(self, before: Mapping[str, bool]) -> None:
        """Put them back; it is tried a few times, as nothing must stay changed."""
        error: ControlError | None = None
        for attempt in range(ATTEMPTS):
            try:
                await self._set(before)
            except ControlError as problem:
                error = problem
                await asyncio.sleep(_PAUSE * (attempt + 1))
            else:
                self.say(f"  switched back: {describe(before)}")
                return
        raise SwitchError(f"switches of the service could not be put back ({describe(before)}): {error}")

    async def _set(self, switches: Mapping[str, bool]) -> None:
        answer = await self.controls.switch(switches)
        if wrong := [name for name, value in switches.items() if answer.get(name) is not value]:
            raise ControlError(f"{', '.join(wrong)} stayed as before")


def describe(switches: Mapping[str, bool]) -> str:
    """Switches in a few words."""
    return ", ".join(f"{name} {'on' if value else 'off'}" for name, value in switches.items())

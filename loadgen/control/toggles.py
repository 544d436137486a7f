"""Toggles of the service, changed for a case and always restored."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from reelbench.loadgen.control.admin_client import AdminClient, AdminError

ATTEMPTS = 3
_PAUSE = 0.2


class ToggleError(Exception):
    """Toggles that cannot be changed or restored; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Toggler:
    """Changes the toggles of one service."""

    admin: AdminClient
    say: Callable[[str], None]
    """Shows a line to the user."""

    @asynccontextmanager
    async def during(self, toggles: Mapping[str, bool]) -> AsyncIterator[None]:
        """Change toggles, and restore them at the end, also after an error.

        Raises:
            ToggleError: a toggle could not be changed or restored.
        """
        if not toggles:
            yield
            return
        try:
            now = await self.admin.toggles()
        except AdminError as error:
            raise ToggleError(f"the service's switches cannot be read: {error}") from error
        if unknown := [name for name in toggles if name not in now]:
            raise ToggleError(f"the service has no switch {', '.join(unknown)}")
        before = {name: now[name] for name in toggles}
        try:
            try:
                await self._set(toggles)
            except AdminError as error:
                raise ToggleError(f"switches of the service cannot be changed: {error}") from error
            self.say(f"  switched: {describe(toggles)}")
            yield
        finally:
            await self._restore(before)

    async def _restore(self, before: Mapping[str, bool]) -> None:
        """Restore toggles, with some attempts, so none stays changed."""
        error: AdminError | None = None
        for attempt in range(ATTEMPTS):
            try:
                await self._set(before)
            except AdminError as problem:
                error = problem
                await asyncio.sleep(_PAUSE * (attempt + 1))
            else:
                self.say(f"  switched back: {describe(before)}")
                return
        raise ToggleError(f"switches of the service could not be put back ({describe(before)}): {error}")

    async def _set(self, toggles: Mapping[str, bool]) -> None:
        answer = await self.admin.set_toggles(toggles)
        if unchanged := [name for name, value in toggles.items() if answer.get(name) is not value]:
            raise AdminError(f"{', '.join(unchanged)} did not change")


def describe(toggles: Mapping[str, bool]) -> str:
    """Return toggles as text, such as ``cache off, retries on``."""
    return ", ".join(f"{name} {'on' if value else 'off'}" for name, value in toggles.items())

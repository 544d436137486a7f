"""Heartbeats of the instances that share a store; jobs of dead instances are failed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from reelbench.service.domain.clock import Clock
from reelbench.service.metrics import Metrics
from reelbench.service.store.assets import Assets
from reelbench.service.store.connection import StoreError
from reelbench.service.store.state import LOST, failed, has_content
from reelbench.service.store.store import Store

_log = logging.getLogger(__name__)
_RENEWALS = 3
"""Renewals in one lease: two may be late or lost."""


class Heartbeat:
    """The lease of `instance`, which lasts `seconds` and is renewed before.

    `on_lease_expired` is awaited when a lease had expired before its renewal: other instances may have ended the jobs
    of this one.
    """

    def __init__(
        self,
        store: Store,
        *,
        instance: str,
        seconds: float,
        clock: Clock,
        on_lease_expired: Callable[[], Awaitable[None]],
    ) -> None:
        self.instance = instance
        self.seconds = seconds
        self._store = store
        self._clock = clock
        self._on_lease_expired = on_lease_expired
        self._renewed: float | None = None

    @property
    def lapsed(self) -> bool:
        """Whether other instances may regard this one as dead."""
        return self._renewed is not None and self._clock.now() - self._renewed >= self.seconds

    async def renew(self) -> None:
        """Renew the lease; raises StoreError."""
        asked = self._clock.now()
        lived = await self._store.heartbeat(self.instance, self.seconds)
        before, self._renewed = self._renewed, asked
        if before is not None and not lived:
            _log.warning("The heartbeat of this instance had expired %.1f s after its last renewal.", asked - before)
            await self._on_lease_expired()

    async def end(self) -> None:
        """End the lease now if the store answers; otherwise it expires."""
        try:
            await self._store.leave(self.instance)
        except StoreError as error:
            _log.warning("The heartbeat of this instance cannot be removed and will expire: %s", error)


class Leases:
    """Renews the heartbeat of this instance, and fails the jobs of instances without one.

    A job is lost when two sweeps in a row, a third of a lease apart, find its owner without a heartbeat. After an
    outage of the store longer than a lease all heartbeats are gone; the second sweep gives every owner the time to
    renew its own. `owns` returns whether this process works on a job.
    """

    def __init__(
        self,
        store: Store,
        assets: Assets,
        heartbeat: Heartbeat,
        *,
        owns: Callable[[str], bool],
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._store = store
        self._assets = assets
        self._heartbeat = heartbeat
        self._owns = owns
        self._metrics = metrics
        self._clock = clock
        self._suspects: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Renew and sweep until `close`."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop, and end the lease."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        await self._heartbeat.end()

    async def sweep(self) -> int:
        """Fail the jobs that this sweep and the last one found lost; return their number; raises StoreError."""
        instance = self._heartbeat.instance
        owners = await self._store.owners()
        living = await self._store.living([*{*owners.values()} - {instance}])
        suspects = {
            video_id
            for video_id, owner in owners.items()
            # An unknown job of this instance: its creation or deletion was interrupted.
            if (not self._owns(video_id) if owner == instance else owner not in living)
        }
        lost = self._suspects & suspects
        self._suspects = suspects - lost
        return sum([await self._end(video_id, owners[video_id]) for video_id in sorted(lost)])

    async def _end(self, video_id: str, owner: str) -> bool:
        try:
            manifest = await self._store.end(
                video_id,
                owner,
                lambda video, manifest: failed(video, manifest, LOST, self._clock.now()),
                living=owner == self._heartbeat.instance,
            )
        except (KeyError, TypeError, ValueError):
            _log.exception("%s: its instance %s is lost, but its record cannot be read", video_id, owner)
            return False
        if manifest is None:
            return False
        self._metrics.lost()
        _log.warning("%s: its instance %s is lost; the job is failed.", video_id, owner)
        if not has_content(manifest):
            await asyncio.to_thread(self._assets.remove, video_id)
        return True

    async def _run(self) -> None:
        while True:
            try:
                # While the store is away, the backlog waits for its return, and renews first.
                if not self._store.away:
                    await self._heartbeat.renew()
                    await self.sweep()
                else:
                    self._suspects.clear()
            except StoreError as error:
                self._suspects.clear()
                _log.warning("The heartbeat was not renewed, or lost jobs were not looked for: %s", error)
            except Exception:  # noqa: BLE001 - the end of this task would lose the lease
                _log.exception("The search for lost jobs failed and is repeated")
            await asyncio.sleep(self._heartbeat.seconds / _RENEWALS)

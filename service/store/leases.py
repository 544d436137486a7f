"""Instances that share a store: each says that it lives, and ends the jobs of those that do not any more."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from reelbench.service.clock import Clock
from reelbench.service.metrics import Metrics
from reelbench.service.pipeline.assets import Assets
from reelbench.service.store.state import LOST, failed, has_content
from reelbench.service.store.store import Store, StoreError

_log = logging.getLogger(__name__)
_BEATS = 3
"""Renewals in one lease: two may be late or lost."""


class Leases:
    """The heartbeat of `instance`, which lasts `seconds`, and its look at the jobs of others.

    A job counts as lost when two looks in a row, a third of a lease apart, find its owner without a heartbeat: when a
    store comes back after an outage longer than the lease, all heartbeats are gone, and every owner gets the time to
    renew its own. `works_on` says whether this process knows a job; `reborn` is called when the heartbeat had expired
    although this process lives: others may have ended its jobs.
    """

    def __init__(
        self, store: Store, assets: Assets, *, instance: str, seconds: float, metrics: Metrics, clock: Clock
    ) -> None:
        self._store = store
        self._assets = assets
        self._instance = instance
        self._seconds = seconds
        self._metrics = metrics
        self._clock = clock
        self._renewed: float | None = None
        self._suspects: set[str] = set()
        self._task: asyncio.Task[None] | None = None
        self.works_on: Callable[[str], bool] = lambda _: False
        self.reborn: Callable[[], Awaitable[None]] = _nothing

    @property
    def lapsed(self) -> bool:
        """Whether others may have given this instance up."""
        return self._renewed is not None and self._clock.now() - self._renewed >= self._seconds

    def start(self) -> None:
        """Renew and look from now on, until `close`."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop, and let others know at once if the store answers."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        try:
            await self._store.leave(self._instance)
        except StoreError as error:
            _log.warning("The heartbeat of this instance expires by itself: %s", error)

    async def renew(self) -> None:
        """Say that this instance lives; raises StoreError."""
        asked = self._clock.now()
        lived = await self._store.beat(self._instance, self._seconds)
        before, self._renewed = self._renewed, asked
        if before is not None and not lived:
            _log.warning("The heartbeat of this instance had expired %.1f s after its last renewal.", asked - before)
            await self.reborn()

    async def sweep(self) -> int:
        """Look for lost jobs, and end those that were found the last time too; how many; raises StoreError."""
        owners = await self._store.owners()
        living = await self._store.living([*{*owners.values()} - {self._instance}])
        suspects = {
            video_id
            for video_id, owner in owners.items()
            # A job of this instance that it does not know: its creation or deletion was broken off.
            if (not self.works_on(video_id) if owner == self._instance else owner not in living)
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
                living=owner == self._instance,
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
                # While the store is away, it is the backlog that sees it come back, and renews first.
                if not self._store.away:
                    await self.renew()
                    await self.sweep()
                else:
                    self._suspects.clear()
            except StoreError as error:
                self._suspects.clear()
                _log.warning("No heartbeat, no look at lost jobs: %s", error)
            except Exception:  # noqa: BLE001 - see below
                # Were this task to end, the lease would be lost.
                _log.exception("The look at lost jobs failed; it is repeated")
            await asyncio.sleep(self._seconds / _BEATS)


async def _nothing() -> None:
    """Nobody wants to know."""

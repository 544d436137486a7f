"""Clocks of the other parts of a run, compared with that of the load generator."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import aiohttp
import msgspec

from reelbench.loadgen.clock import Clock
from reelbench.loadgen.control.admin_client import AdminClient, AdminError
from reelbench.loadgen.http.aiohttp import open_session
from reelbench.loadgen.http.credentials import NO_CREDENTIALS
from reelbench.loadgen.record.conditions import DATE_CLOCK, PROMETHEUS_VARIABLES, ClockRecord
from reelbench.loadgen.record.prometheus_access import prometheus_headers

TRIES: Final = 3
"""Readings of which the one with the shortest round trip counts."""
DATE_SECONDS: Final = 2.0
"""The header Date has whole seconds, and servers such as uvicorn renew it once a second."""
_TIMEOUT = aiohttp.ClientTimeout(total=2.0)

Read = Callable[[], Awaitable[tuple[float, float] | None]]
"""Returns the least and the greatest Unix time of a source at the reading; None: it does not say."""

SERVICE, PROVIDERS, TARGET, MACHINE = "service", "providers", DATE_CLOCK, "this machine"
"""Names of sources; the Prometheus servers are named by `PROMETHEUS_VARIABLES`."""


@dataclass(frozen=True, slots=True)
class ClockSource:
    """A clock that can be asked."""

    name: str
    read: Read
    tries: int = TRIES

    async def compare(self, clock: Clock) -> tuple[float, float] | None:
        """Return the offset of this clock to the one of the load generator and its error, in seconds; None: unknown."""
        lower, upper = -math.inf, math.inf
        for _ in range(self.tries):
            sent = clock.now()
            found = await self.read()
            received = clock.now()
            if found is None:
                return None
            if found[1] - sent - (found[0] - received) < upper - lower:
                lower, upper = found[0] - received, found[1] - sent
        return (lower + upper) / 2, (upper - lower) / 2


def of_process(name: str, client: AdminClient, path: str) -> ClockSource:
    """Return the clock of a process of this project, which says its time to the microsecond."""

    async def read() -> tuple[float, float] | None:
        try:
            now = (await client.running(path)).time
        except AdminError:
            return None
        return None if now is None else (now, now)

    return ClockSource(name, read)


def of_date(client: AdminClient) -> ClockSource:
    """Return the clock of a target of any kind, by the header Date of an answer."""

    async def read() -> tuple[float, float] | None:
        try:
            date = await client.date()
        except AdminError:
            return None
        return None if date is None else (date, date + DATE_SECONDS)

    return ClockSource(TARGET, read, tries=1)


class _Time(msgspec.Struct, frozen=True):
    result: tuple[float, str]


class _Answer(msgspec.Struct, frozen=True):
    data: _Time


def of_prometheus(name: str, url: str, headers: Mapping[str, str]) -> ClockSource:
    """Return the clock of a Prometheus, which stamps the samples that it scrapes; it may demand headers."""

    async def read() -> tuple[float, float] | None:
        try:
            async with (
                open_session(url, NO_CREDENTIALS, 1) as session,
                session.get(
                    f"{url}/api/v1/query",
                    params={"query": "time()"},
                    headers=headers,
                    allow_redirects=not headers,
                    timeout=_TIMEOUT,
                ) as answer,
            ):
                now = float(msgspec.json.decode(await answer.read(), type=_Answer).data.result[1])
        except (aiohttp.ClientError, OSError, ValueError, msgspec.MsgspecError):
            return None
        return now, now

    return ClockSource(name, read)


def of_machine(wall: Callable[[], float]) -> ClockSource:
    """Return the wall clock of this machine, which the clock of a run does not follow: it shows a step within a run."""

    async def read() -> tuple[float, float]:
        now = wall()
        return now, now

    return ClockSource(MACHINE, read)


async def compared(
    source: ClockSource, clock: Clock, scenario: str, when: Literal["before", "after"]
) -> ClockRecord | None:
    """Return the reading of a source before or after a scenario; None when it does not answer."""
    found = await source.compare(clock)
    if found is None:
        return None
    offset, error = (round(seconds, 6) for seconds in found)
    return ClockRecord(source=source.name, scenario=scenario, when=when, at=clock.now(), offset=offset, error=error)


def prometheus_clocks(variables: Mapping[str, str]) -> list[ClockSource]:
    """Return the clocks of the Prometheus servers that the environment names."""
    named = {name: url for name, key in PROMETHEUS_VARIABLES.items() if (url := variables.get(key))}
    headers = prometheus_headers(variables) if named else {}
    return [of_prometheus(name, url, headers) for name, url in named.items()]

"""Clocks that are ahead or behind: measured, corrected, and steps within a run are seen."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from reelbench.loadgen.clock import Clock
from reelbench.loadgen.control.admin_client import AdminClient
from reelbench.loadgen.control.clock_sources import (
    MACHINE,
    PROVIDERS,
    SERVICE,
    TARGET,
    ClockSource,
    compared,
    of_machine,
    of_prometheus,
    prometheus_clocks,
)
from reelbench.loadgen.control.observer import Observer
from reelbench.loadgen.drive.conditions import Conditions, clocks_of
from reelbench.loadgen.machine.observation import Machine
from reelbench.loadgen.machine.parts import Parts
from reelbench.loadgen.record.conditions import ClockRecord, ConditionsRecord, read_conditions
from reelbench.loadgen.record.journal import Journal
from reelbench.loadgen.record.run import read_run
from tests.loadgen.fake_target import FakeTarget, serving
from tests.loadgen.harness import case, scenario
from tests.loadgen.test_runner import run_on


def shifted(seconds: float) -> Clock:
    """Return the clock of a load generator that is some seconds ahead."""
    return Clock(wall=time.time() + seconds, anchor=time.monotonic())


def with_clocks(journal: Journal, controls: AdminClient) -> Conditions:
    machine = Machine(Parts(roots=frozenset()))
    return Conditions(journal, machine, None, clocks_of(controls, {"service": controls, "providers": controls}, {}))


@asynccontextmanager
async def prometheus(ahead: float) -> AsyncIterator[str]:
    async def query(request: web.Request) -> web.Response:
        assert request.query["query"] == "time()"
        now = time.time() + ahead
        return web.json_response({"status": "success", "data": {"resultType": "scalar", "result": [now, f"{now:.3f}"]}})

    app = web.Application()
    app.router.add_get("/prom/api/v1/query", query)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/prom"
    finally:
        await runner.cleanup()


async def test_the_clocks_of_service_providers_and_target_are_measured_before_and_after(tmp_path: Path) -> None:
    fake = FakeTarget(seconds=0.02)
    fake.controls.ahead = 5.0
    async with serving(fake):
        await run_on(fake.url, tmp_path / "run", [scenario(cases=[case()])], conditions=with_clocks, clock=shifted(2.0))
    found = read_conditions(tmp_path / "run")
    assert found is not None
    offsets = {(one.source, one.when): (one.offset, one.error) for one in found.clocks}
    assert {when for _, when in offsets} == {"before", "after"}
    for when in ("before", "after"):
        for source, ahead in ((SERVICE, 3.0), (PROVIDERS, 3.0), (MACHINE, -2.0), (TARGET, -2.0)):
            offset, error = offsets[source, when]
            assert abs(offset - ahead) <= error + 0.001, source
        assert offsets[SERVICE, when][1] < 0.5
        assert 1.0 <= offsets[TARGET, when][1] < 1.5
    assert found.ahead(SERVICE) == pytest.approx(3.0, abs=0.5)


@pytest.mark.extended
@pytest.mark.parametrize(
    ("ahead", "known", "lost"), [(6.0, False, 50), (6.0, True, 0), (-6.0, True, 0), (0.0, True, 0)]
)
async def test_a_generator_whose_clock_is_ahead_finds_its_jobs_in_the_list(
    tmp_path: Path, *, ahead: float, known: bool, lost: int
) -> None:
    # The list is read in pages of 100 until videos are older than the scenario, by the clock of the service.
    fake = FakeTarget(seconds=0.002)
    spec = scenario(steps=["create", "wait"], cases=[case(concurrency=8, iterations=150)])
    async with serving(fake):
        await run_on(
            fake.url, tmp_path / "run", [spec], conditions=with_clocks if known else None, clock=shifted(ahead)
        )
    store = read_run(tmp_path / "run").scenarios[0].store
    assert store is not None
    assert (store.expected, store.expected - store.found) == (150, lost)


async def test_times_of_calls_and_breakers_are_on_the_clock_of_the_generator() -> None:
    fake = FakeTarget()
    fake.controls.calls = [
        {"provider": "llm", "sent": 103.0, "arrived": 95.1, "outcome": "ok"},
        {"provider": "llm", "sent": 102.0, "arrived": 94.1, "outcome": "before the case"},
    ]
    fake.controls.breakers = [
        {"provider": "llm", "transitions": [{"at": at, "from": "closed", "to": "open"} for at in (102.9, 104.0)]}
    ]
    ahead = {SERVICE: 3.0, PROVIDERS: -5.0}
    async with serving(fake), AdminClient(fake.url) as admin:
        observer = Observer(admin, {"providers": admin}).with_clocks(ahead.__getitem__)
        calls, complete = await observer.calls("s", "c", 100.0)
        transitions = await observer.transitions("s", "c", 100.0)
    assert complete
    assert [(call.sent, call.arrived) for call in calls] == [(100.0, pytest.approx(100.1))]
    assert [one.at for one in transitions or ()] == [101.0]


async def test_the_clock_of_prometheus_is_asked() -> None:
    async with prometheus(ahead=-6.0) as url:
        (source,) = prometheus_clocks({"REELBENCH_SECRET_PROMETHEUS": url})
        found = await compared(source, shifted(0.0), "single_job", "before")
    assert found is not None
    assert (found.source, found.scenario, found.when) == ("prometheus", "single_job", "before")
    assert found.offset == pytest.approx(-6.0, abs=found.error + 0.001)
    assert await compared(of_prometheus("prometheus", "http://127.0.0.1:9", {}), shifted(0.0), "s", "before") is None


async def test_the_reading_with_the_shortest_round_trip_counts() -> None:
    ticks = iter([0.0, 4.0, 10.0, 10.2, 20.0, 22.0])
    clock = Clock(wall=100.0, anchor=0.0, tick=lambda: next(ticks))
    now = iter([107.0, 115.1, 126.0])

    async def read() -> tuple[float, float]:
        await asyncio.sleep(0)
        at = next(now)
        return at, at

    assert await ClockSource("x", read).compare(clock) == pytest.approx((5.0, 0.1))


async def test_a_step_of_the_wall_clock_shows_against_the_clock_of_the_run() -> None:
    wall = iter([100.0, 100.0, 100.0, 103.0, 103.0, 103.0])
    clock = Clock(wall=100.0, anchor=0.0, tick=lambda: 0.0)
    source = of_machine(lambda: next(wall))
    found = [await compared(source, clock, "s", when) for when in ("before", "after")]
    assert [(one.offset, one.error) for one in found if one] == [(0.0, 0.0), (3.0, 0.0)]


def test_an_old_date_is_no_clock_that_is_behind() -> None:
    clocks = tuple(
        ClockRecord(source=TARGET, scenario="s", when="before", at=0.0, offset=offset, error=1.0)
        for offset in (-2.3, -3.1, 0.2)
    )
    assert ConditionsRecord(clocks=clocks).ahead(TARGET) == 0.0


@pytest.mark.parametrize(
    ("offsets", "error", "ahead"),
    [
        ((), 0.0, 0.0),
        ((0.09, 0.09), 0.001, 0.0),
        ((-2.0, -2.1, -2.0), 0.001, -2.0),
        ((0.9, 0.8), 1.0, 0.0),  # the header Date: within its error
        ((6.2, 6.4), 1.0, 6.2),
    ],
)
def test_only_an_offset_that_is_known_and_matters_is_corrected(
    offsets: tuple[float, ...], error: float, ahead: float
) -> None:
    clocks = tuple(
        ClockRecord(source="prometheus", scenario="s", when="before", at=0.0, offset=offset, error=error)
        for offset in offsets
    )
    assert ConditionsRecord(clocks=clocks).ahead("prometheus") == ahead

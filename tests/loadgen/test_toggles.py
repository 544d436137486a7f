from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from reelbench.loadgen.control.admin_client import AdminClient
from reelbench.loadgen.control.preflight import preflight
from reelbench.loadgen.control.toggles import ToggleError, Toggler
from reelbench.loadgen.plan.fault_plan import Side
from reelbench.loadgen.plan.scenario import Scenario
from reelbench.loadgen.target.target_error import TargetError
from tests.loadgen.fake_controls import FakeControls
from tests.loadgen.fake_target import FakeTarget, serving
from tests.loadgen.harness import case, scenario

ASKED = {"pooling": False, "retries": True}
BEFORE = {"cache": True, "pooling": True, "retries": False}


@asynccontextmanager
async def switcher(fake: FakeControls) -> AsyncIterator[tuple[Toggler, list[str]]]:
    lines: list[str] = []
    async with serving(FakeTarget(controls=fake)) as target, AdminClient(target.url) as controls:
        yield Toggler(controls, lines.append), lines


async def test_toggles_are_changed_and_restored() -> None:
    fake = FakeControls()
    async with switcher(fake) as (switches, lines):
        async with switches.during(ASKED):
            assert fake.switches == BEFORE | ASKED
        assert fake.switches == BEFORE
    assert fake.switched == [ASKED, {"pooling": True, "retries": False}]
    assert lines == ["  switched: pooling off, retries on", "  switched back: pooling on, retries off"]


async def test_without_toggles_no_request_is_sent() -> None:
    async with AdminClient("http://127.0.0.1:1") as absent, Toggler(absent, print).during({}):
        pass


@pytest.mark.parametrize("error", [RuntimeError("a job broke"), asyncio.CancelledError()])
async def test_toggles_are_restored_however_the_case_ends(error: BaseException) -> None:
    fake = FakeControls()
    async with switcher(fake) as (switches, _):
        with pytest.raises(type(error)):
            async with switches.during(ASKED):
                raise error
    assert fake.switches == BEFORE


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reelbench.loadgen.control.toggles._PAUSE", 0.01)


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ([400], r"^switches of the service cannot be changed: PUT .*/v1/admin/switches answered 400 \(not now\)$"),
        ([200], r"^switches of the service cannot be changed: pooling, retries did not change$"),
        (
            [0, 503, 503, 503],
            r"^switches of the service could not be put back \(pooling on, retries off\): PUT .* 503 \(not now\)$",
        ),
    ],
)
async def test_a_rejected_toggle_is_one_sentence(answers: list[int], message: str) -> None:
    async with switcher(FakeControls(refuse_switches=answers)) as (switches, _):
        with pytest.raises(ToggleError, match=message):
            async with switches.during(ASKED):
                pass


async def test_restoring_is_retried() -> None:
    fake = FakeControls(refuse_switches=[0, 503, 503])
    async with switcher(fake) as (switches, _), switches.during(ASKED):
        pass
    assert (fake.switches, len(fake.switched)) == (BEFORE, 4)


async def test_toggles_that_cannot_be_read_are_not_changed() -> None:
    async with switcher(FakeControls(offered=False)) as (switches, _):
        with pytest.raises(ToggleError, match=r"^the service's switches cannot be read: GET .* answered 404"):
            async with switches.during(ASKED):
                pass


async def test_an_unknown_toggle_is_reported() -> None:
    async with switcher(FakeControls(switches={"cache": True})) as (switches, _):
        with pytest.raises(ToggleError, match=r"^the service has no switch pooling, retries$"):
            async with switches.during(ASKED):
                pass


def switched() -> Scenario:
    return scenario(name="switched", dimension="resources", cases=[case(switches={"cache": False})])


async def test_scenarios_with_toggles_are_left_out_or_rejected_without_toggles() -> None:
    plain, lines = scenario(name="plain", dimension="resources"), list[str]()
    async with serving(FakeTarget(controls=FakeControls(offered=False))) as fake, AdminClient(fake.url) as controls:
        offered: dict[Side, AdminClient] = {"service": controls, "providers": controls}
        # The scenario without toggles runs too, although there is no providers' log here.
        assert await preflight([plain, switched()], offered, named=False, say=lines.append) == ([plain], {})
        assert await preflight([plain], {"service": controls}, named=True, say=lines.append) == ([plain], {})
        with pytest.raises(
            TargetError, match=r"^switched cannot run: no switches of the service can be changed \(GET "
        ):
            await preflight([plain, switched()], offered, named=True, say=lines.append)
    (line,) = lines
    assert line.startswith("left out: switched: no switches of the service can be changed (GET ")
    assert line.endswith("404): start the service with SERVICE_ADMIN=true on this machine")


async def test_resources_scenarios_read_the_providers_call_log() -> None:
    async with serving(FakeTarget()) as fake, AdminClient(fake.url) as controls:
        offered: dict[Side, AdminClient] = {"service": controls, "providers": controls}
        found = await preflight([switched()], offered, named=True, say=lambda _: None)
        assert found == ([switched()], {"providers": controls})
        assert await preflight([scenario()], offered, named=True, say=lambda _: None) == ([scenario()], {})

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from reelbench.loadgen.clock import Clock
from reelbench.loadgen.control.admin_client import AdminClient, AdminError
from reelbench.loadgen.control.faults import FaultError, Injector
from reelbench.loadgen.control.observer import Observer
from reelbench.loadgen.control.preflight import preflight
from reelbench.loadgen.plan.fault_plan import Side, plan_all_faults
from reelbench.loadgen.plan.scenario import Scenario
from reelbench.loadgen.record.run import AuditRecord
from reelbench.loadgen.target.target_error import TargetError
from tests.loadgen.fake_controls import FakeControls
from tests.loadgen.fake_target import FakeTarget, serving
from tests.loadgen.harness import case, scenario

ALWAYS = {"at": 0, "what": {"target": "tts", "kind": "error", "rate": 0.3, "status": 503}}
SOON = {"at": 0.1, "until": 0.2, "what": {"target": "llm", "kind": "outage"}}


def spec(*faults: dict[str, Any]) -> Scenario:
    return scenario(cases=[case(iterations=100, pace=1.0, faults=list(faults))])


@asynccontextmanager
async def injector(fake: FakeControls) -> AsyncIterator[tuple[Injector, list[str]]]:
    lines: list[str] = []
    async with serving(FakeTarget(controls=fake)) as target, AdminClient(target.url) as controls:
        yield Injector({"providers": controls}, Clock.start(), lines.append, lambda _: None), lines


def planned(*faults: dict[str, Any]) -> Any:
    return plan_all_faults([spec(*faults)], "quick", 1)


async def test_a_fault_at_zero_covers_all_jobs() -> None:
    fake = FakeControls()
    async with injector(fake) as (faults, lines):
        async with faults.during(planned(ALWAYS)):
            (plan,) = fake.plans
        assert plan is not None
        assert plan["rules"] == [{"provider": "tts", "kind": "error", "rate": 0.3, "status": 503}]
        assert plan["lifetime"] == 1800
        assert fake.plans[1:] == [None]
    (record,) = faults.records
    assert (record.seen, record.hit) == (10, 3)
    assert lines[0] == "  fault on: tts error 503 30 %"
    assert lines[1].endswith("hit 3 of 10 calls")


async def test_a_fault_is_active_at_its_planned_times() -> None:
    fake = FakeControls()
    async with injector(fake) as (faults, _):
        begun = faults.clock.now()
        async with faults.during(planned(SOON)):
            while not faults.records or faults.records[0].ended is None:  # noqa: ASYNC110 - the records tell nothing
                await asyncio.sleep(0.01)
    (record,) = faults.records
    assert record.ended is not None
    assert record.started - begun >= 0.1 - 0.005
    assert record.ended - record.started >= 0.05
    assert [plan and plan["lifetime"] for plan in fake.plans] == [pytest.approx(60.1), None]


@pytest.mark.parametrize("error", [RuntimeError("a job broke"), asyncio.CancelledError()])
async def test_faults_are_lifted_however_the_case_ends(error: BaseException) -> None:
    fake = FakeControls()
    async with injector(fake) as (faults, _):
        with pytest.raises(type(error)):
            async with faults.during(planned(ALWAYS)):
                raise error
    assert fake.plans[-1] is None
    assert faults.records[0].ended is not None


async def test_lifting_is_retried_and_a_final_failure_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reelbench.loadgen.control.faults._LIFT_PAUSE", 0.01)
    fake = FakeControls(refuse={"DELETE": [503, 503]})
    async with injector(fake) as (faults, _):
        async with faults.during(planned(ALWAYS)):
            pass
        assert fake.plans[-1] is None
        fake.refuse["DELETE"] = [503] * 9
        with pytest.raises(FaultError, match=r"could not be lifted and may still be on: DELETE .* answered 503"):
            async with faults.during(planned(ALWAYS)):
                pass
    assert faults.records[-1].ended is None


async def test_a_fault_that_cannot_be_applied_ends_the_case() -> None:
    fake = FakeControls(refuse={"PUT": [403]})
    async with injector(fake) as (faults, _):
        with pytest.raises(FaultError, match=r"cannot be applied: PUT .* answered 403 \(not now\)"):
            async with faults.during(planned(SOON)):
                await asyncio.sleep(600)


async def test_remaining_faults_are_named_and_lifted() -> None:
    fake = FakeControls()
    async with injector(fake) as (faults, _):
        assert await faults.lift_rest() == []
        await faults.sides["providers"].inject(planned(ALWAYS), 60)
        assert await faults.lift_rest() == ["tts error (providers)"]
    assert fake.plans[-1] is None


async def test_scenarios_whose_faults_cannot_be_injected_are_left_out_or_refused() -> None:
    plain, broken = scenario(name="plain"), spec(ALWAYS)
    lines: list[str] = []
    async with serving(FakeTarget(controls=FakeControls(offered=False))) as fake, AdminClient(fake.url) as controls:
        offered: dict[Side, AdminClient] = {"service": controls, "providers": controls}
        assert await preflight([plain, broken], offered, named=False, say=lines.append) == ([plain], {})
        with pytest.raises(TargetError, match=r"^trial cannot run: no faults of the providers can be injected "):
            await preflight([plain, broken], offered, named=True, say=lines.append)
        with pytest.raises(TargetError, match="their URL is not known"):
            await preflight([broken], {"service": controls}, named=False, say=lines.append)
    (line,) = lines
    assert line.startswith("left out: trial: no faults of the providers can be injected (GET ")
    assert line.endswith(
        "name them: with --providers of python -m reelbench.loadgen, or as PROVIDERS_URL of a running stack"
    )


async def test_scenarios_with_controls_run() -> None:
    async with serving(FakeTarget()) as fake, AdminClient(fake.url) as controls:
        found = await preflight([spec(ALWAYS)], {"providers": controls}, named=True, say=lambda _: None)
    assert found == ([spec(ALWAYS)], {"providers": controls})


CLEAN = AuditRecord(live=0, unsaved=0, orphans=0, missing=0, error=None)


@pytest.mark.parametrize(
    ("states", "audit"),
    [
        ([{}], CLEAN),
        (
            [{"live": 2}, {"refused": 503}, {"unsaved": 1}, {"orphans": 3}],
            AuditRecord(live=0, unsaved=0, orphans=3, missing=0, error=None),
        ),
        ([{"refused": 404}], None),
        ([{"refused": 403}], None),
    ],
)
async def test_the_audit_waits_until_the_service_is_quiet(
    states: list[dict[str, Any]], audit: AuditRecord | None
) -> None:
    async with serving(FakeTarget(controls=FakeControls(states=states))) as fake, AdminClient(fake.url) as controls:
        assert await Observer(controls, {}).audit() == audit


async def test_the_audit_of_a_stopped_service_fails_at_once() -> None:
    async with serving(FakeTarget()) as fake:
        pass
    async with AdminClient(fake.url) as controls, asyncio.timeout(60):
        audit = await Observer(controls, {}).audit()
    assert audit is not None
    assert audit.error is not None
    assert audit.error.startswith(f"GET {fake.url}/v1/admin/state: ClientConnectorError")


async def test_a_fault_whose_confirmation_was_lost_is_lifted(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeControls()
    async with injector(fake) as (faults, _):
        inject = AdminClient.inject

        async def lost(self: AdminClient, *arguments: Any) -> None:
            await inject(self, *arguments)
            raise AdminError("no answer")

        monkeypatch.setattr(AdminClient, "inject", lost)
        with pytest.raises(FaultError, match="cannot be applied: no answer"):
            async with faults.during(planned(ALWAYS)):
                raise AssertionError("the case must not begin")
    assert fake.plans[0] is not None
    assert fake.plans[-1] is None


async def test_unreadable_transitions_and_calls_are_not_read_as_empty() -> None:
    async with serving(FakeTarget(controls=FakeControls(offered=False))) as fake, AdminClient(fake.url) as controls:
        observer = Observer(controls, {"providers": controls})
        assert await observer.transitions("s", "c", 0) is None
        assert await observer.calls("s", "c", 0) == ([], False)

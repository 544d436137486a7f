"""The size of a run: what is left of a time budget after the calibration."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from reelbench.loadgen.drive import sizing
from reelbench.loadgen.drive.stop import Stop
from tests.loadgen.harness import case, scenario


class Time:
    """A clock that a test sets."""

    seconds = 1_000.0

    def now(self) -> float:
        return self.seconds


async def test_attempts_before_the_calibration_job_that_completed_are_time_spent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Time()

    async def second_attempt(*_: Any, **__: Any) -> float:
        clock.seconds += 50  # 40 s of a job that failed, and then a job of 10 s
        return 10.0

    monkeypatch.setattr(sizing, "calibrate", second_attempt)
    settings = SimpleNamespace(profile="quick", seed=1, inputs=SimpleNamespace(workload=None), budget=156.0)
    _, budget = await sizing.after_one_job(
        cast("Any", settings),
        156.0,
        [scenario(cases=[case("n01", 1, 40, 0)])],
        cast("Any", SimpleNamespace(clock=clock)),
        Stop(),
        cast("Any", SimpleNamespace(say=lambda _: None)),
        None,
    )
    assert budget is not None
    assert (budget.job_seconds, budget.jobs, budget.expected) == (10.0, 10, 100.0), (
        "106 s are left, of which 5 % are a reserve"
    )

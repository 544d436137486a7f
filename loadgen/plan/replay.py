"""The scenario `replay`: one open case whose arrivals come from a trace."""

from __future__ import annotations

from typing import Any, Final

from reelbench.loadgen.plan.row_file import RowFileError
from reelbench.loadgen.plan.scenario import Case, PerProfile, Scenario, VideoSpec
from reelbench.loadgen.plan.workload import Workload

REPLAY: Final = "replay"
"""Name of the scenario."""
MAX_SECONDS: Final = 7 * 86_400
MAX_SPEED: Final = 1_000_000
TIME_LIMIT: Final = 600.0
"""Seconds until a job is given up, and from the last arrival until unfinished jobs are cut off."""
MAX_IN_FLIGHT: Final = 1_000


class ReplayCase(Case):
    """An open case whose arrivals are known; made from a trace, never written in a scenario file."""

    starts: tuple[float, ...] = ()
    """Seconds after the start of the case."""


def replay(workload: Workload, time_limit: float | None) -> Scenario:
    """Return the scenario that replays the trace of a workload; the first arrival is at the start of the case.

    Args:
        workload: has a trace.
        time_limit: seconds until a job is given up; None: `TIME_LIMIT`.

    Raises:
        RowFileError: the replay takes too long.
    """
    trace, speed = workload.arrivals, workload.speed
    assert trace is not None, "only a workload with a trace is replayed"
    times = [row.at for row in trace.rows if row.at is not None]
    starts = tuple(round((at - times[0]) / speed, 6) for at in times)
    last = starts[-1]
    if last > MAX_SECONDS:
        days = f"{last / 86_400:,.1f} days at --speed {speed:g}"
        raise RowFileError([f"{trace.record.name} takes {days}, more than 7; give a higher --speed, or a part of it"])
    # The gap after the last arrival is the mean one, so the rate is that of the gaps.
    length = last * len(starts) / (len(starts) - 1) if last > 0 else 1.0
    limit = time_limit or TIME_LIMIT
    case = ReplayCase.model_construct(
        name="trace",
        model="open",
        seconds=_for_all(length),
        rate=_for_all(len(starts) / length),
        graceful_stop=limit,
        max_in_flight=MAX_IN_FLIGHT,
        starts=starts,
    )
    at_speed = f" at {speed:g} times its speed" if speed != 1 else ""
    return Scenario.model_construct(
        name=REPLAY,
        dimension="performance",
        title="Replay of a trace",
        why=f"Response time for the arrivals of {trace.record.name}{at_speed}.",
        steps=("create", "wait", "content"),
        encoding="multipart",
        video=VideoSpec(seconds="4", size="720x1280"),
        time_limit=limit,
        poll_interval=0.25,
        cases=(case,),
        objectives={"success_rate": 0.95},
    )


def _for_all(value: float) -> PerProfile[Any]:
    return PerProfile[Any].model_construct(quick=value, standard=value, paper=value)

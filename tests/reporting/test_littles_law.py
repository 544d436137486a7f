"""Little's law on made loops whose numbers are known."""

from __future__ import annotations

import heapq
import random
from dataclasses import replace
from itertools import pairwise

import msgspec
import pytest

from reelbench.loadgen.drive.replicas import Share
from reelbench.loadgen.record.jobs import Outcome
from reelbench.reporting.analysis.load_levels import levels
from reelbench.reporting.statistics.littles_law import check
from tests.reporting.evidence_of import evidence, only
from tests.reporting.made_run import MadeRun

Job = tuple[float, float]
"""When a job became due, and when it ended."""


def loop(users: int, count: int, *, seed: int = 1, idle: float = 0.0) -> list[Job]:
    """A closed loop; each virtual user waits `idle` seconds between two jobs."""
    rng = random.Random(seed)
    free = [100.0] * users
    jobs = []
    for _ in range(count):
        due = heapq.heappop(free)
        done = due + rng.uniform(0.5, 1.5)
        heapq.heappush(free, done + idle)
        jobs.append((due, done))
    return jobs


def in_flight(jobs: list[Job], start: float, end: float) -> float:
    """Time average of the jobs in flight, computed from every instant at which their number changes."""
    instants = sorted({start, end, *(t for job in jobs for t in job if start < t < end)})
    area = sum(
        sum(1 for due, done in jobs if due <= low and done >= high) * (high - low) for low, high in pairwise(instants)
    )
    return area / (end - start)


def test_two_virtual_users_computed_by_hand() -> None:
    # user one: 0 to 2, 2 to 3; user two: 0 to 1, 1 to 5. The last job starts at 2; at 3 user one has no job left.
    found = check([(0, 2), (0, 1), (1, 5), (2, 3)], 2)
    assert found is not None
    assert found.busy is not None
    assert (found.whole.seconds, found.whole.throughput, found.whole.response_time) == (5, 4 / 5, 8 / 4)
    assert found.whole.in_flight == pytest.approx(8 / 5)
    assert (found.busy.seconds, found.busy.in_flight) == (3, 2)
    assert found.word == "off by -20 %: start and graceful stop included; agrees while all virtual users are busy"


def test_all_are_busy_from_the_start_of_the_last_virtual_user() -> None:
    found = check([(0, 2), (1, 3), (2, 4)], 2)  # the second user starts a second after the first
    assert found is not None
    assert found.busy is not None
    assert (found.busy.seconds, found.busy.in_flight) == (2, 2)


@pytest.mark.parametrize(("users", "count"), [(1, 5), (4, 1000), (50, 100), (50, 60)])
def test_jobs_in_flight_equal_a_sweep_over_time(users: int, count: int) -> None:
    jobs = loop(users, count)
    found = check(jobs, users)
    assert found is not None
    assert found.busy is not None
    end = max(done for _, done in jobs)
    assert found.whole.in_flight == pytest.approx(in_flight(jobs, 100.0, end))
    assert found.whole.response_time is not None
    assert found.whole.throughput * found.whole.response_time == pytest.approx(found.whole.in_flight)
    assert found.busy.in_flight == pytest.approx(users)


def test_littles_law_holds_and_in_short_cases_while_all_are_busy() -> None:
    long, short = check(loop(4, 1000), 4), check(loop(50, 100), 50)
    assert long is not None
    assert short is not None
    assert (long.agrees, long.word) == (True, "agrees")
    assert not short.agrees
    assert short.word.endswith("start and graceful stop included; agrees while all virtual users are busy")


def test_idle_virtual_users_are_detected() -> None:
    found = check(loop(4, 400, idle=0.2), 4)
    assert found is not None
    assert found.word.startswith("off by -17 %: also while all virtual users are busy")  # 1 / 1.2 of the time busy


def test_missing_records_are_detected() -> None:
    jobs = [job for number, job in enumerate(loop(4, 400)) if number % 10 != 5]
    found = check(jobs, 4)
    assert found is not None
    assert "some were idle, or records are missing" in found.word


def test_fewer_jobs_than_virtual_users_are_never_all_busy() -> None:
    found = check(loop(5, 3), 5)
    assert found is not None
    assert found.busy is None
    assert found.word.endswith("the virtual users were never all busy")
    assert check([], 5) is None
    assert check(loop(5, 3), 0) is None


def test_a_replica_is_checked_against_its_own_virtual_users(made: MadeRun) -> None:
    whole = only(made.run, "concurrent_load")
    share = Share(1, 3)
    cases = [
        msgspec.structs.replace(case, concurrency=share.users(case.concurrency)) for case in whole.scenarios[0].cases
    ]
    scenario = msgspec.structs.replace(whole.scenarios[0], cases=cases)
    run = msgspec.structs.replace(whole, replica=2, replicas=3, scenarios=[scenario])
    found = [level.littles_law for level in levels(evidence(made, run=run))]
    assert [law.virtual_users if law else 0 for law in found] == [0, 2, 3, 7, 17]  # of 1, 5, 10, 20, 50


def test_failed_jobs_count_as_in_flight(made: MadeRun) -> None:
    run = only(made.run, "throughput")
    jobs = [msgspec.structs.replace(j, outcome=Outcome.FAILED) if j.index % 2 else j for j in made.jobs]
    half, whole = (levels(evidence(known, run=run))[0].littles_law for known in (replace(made, jobs=jobs), made))
    assert half == whole is not None


def test_a_paced_case_is_not_checked(made: MadeRun) -> None:
    run = only(made.run, "throughput")
    paced = msgspec.structs.replace(run.scenarios[0].cases[0], pace=0.5)
    run = msgspec.structs.replace(run, scenarios=[msgspec.structs.replace(run.scenarios[0], cases=[paced])])
    assert levels(evidence(made, run=run))[0].littles_law is None

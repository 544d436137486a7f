from __future__ import annotations

from typing import Any

from reelbench.loadgen.plan.fault_plan import plan_all_faults, plan_faults, windows
from reelbench.loadgen.plan.scenario import Scenario
from tests.loadgen.harness import case, scenario

OUTAGE = {
    "at": 2,
    "until": 3.5,
    "every": 5,
    "times": {"quick": 2, "standard": 3, "paper": 3},
    "what": {"target": "llm", "kind": "outage"},
}


def with_faults(*faults: dict[str, Any]) -> Scenario:
    return scenario(cases=[case(iterations=100, pace=1.0, faults=list(faults))])


def test_a_fault_repeats_as_often_as_its_profile_says() -> None:
    spec = with_faults(OUTAGE)
    quick, standard = (plan_faults(spec, spec.cases[0], profile, 1) for profile in ("quick", "standard"))
    assert [(fault.at, fault.until) for fault in quick] == [(2, 3.5), (7, 8.5)]
    assert [(fault.at, fault.until) for fault in standard] == [(2, 3.5), (7, 8.5), (12, 13.5)]


def test_each_repetition_has_its_own_seed_derived_from_the_run() -> None:
    spec = with_faults(OUTAGE)
    seeds = [fault.seed for fault in plan_all_faults([spec], "standard", 1)]
    assert len(set(seeds)) == 3
    assert all(0 <= seed < 1 << 63 for seed in seeds)
    assert seeds == [fault.seed for fault in plan_all_faults([spec], "standard", 1)]
    assert not set(seeds) & {fault.seed for fault in plan_all_faults([spec], "standard", 2)}


def test_faults_of_one_side_and_time_are_one_window() -> None:
    both = [{"at": 0, "what": {"target": target, "kind": "corrupt", "rate": 0.1}} for target in ("tts", "image")]
    store = {"at": 0, "what": {"target": "store", "kind": "outage"}}
    found = windows(plan_all_faults([with_faults(*both, store)], "quick", 1))
    assert sorted((window.side, [fault.target for fault in window.faults]) for window in found) == [
        ("providers", ["image", "tts"]),
        ("service", ["store"]),
    ]

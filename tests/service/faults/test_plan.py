from __future__ import annotations

import json
from typing import Any

import pytest

from reelbench.service.faults.plan import FaultsError, Offer, Plan, Rule, read
from reelbench.service.providers.exchange import OFFER
from reelbench.service.store.faults import OFFER as STORE


def refusal(plan: object, offer: Offer = OFFER) -> FaultsError:
    with pytest.raises(FaultsError) as caught:
        read(plan if isinstance(plan, bytes) else json.dumps(plan).encode(), offer)
    return caught.value


def test_defaults_of_each_kind() -> None:
    kinds: list[dict[str, Any]] = [{"kind": kind} for kind in ("error", "outage", "stall", "corrupt")]
    rules = [{"provider": "llm", **kind} for kind in [*kinds, {"kind": "latency", "seconds": 2, "rate": 1}]]
    assert read(json.dumps({"seed": 7, "rules": rules}).encode(), OFFER) == Plan(
        7,
        (
            Rule("llm", "error", 1.0, status=500),
            Rule("llm", "outage", 1.0),
            Rule("llm", "stall", 1.0, seconds=60.0),
            Rule("llm", "corrupt", 1.0),
            Rule("llm", "latency", 1.0, seconds=2.0),
        ),
    )


def test_values_at_the_edge_are_taken(subtests: pytest.Subtests) -> None:
    rule: dict[str, Any]
    for rule in [
        {"kind": "error", "status": 400},
        {"kind": "error", "status": 429},
        {"kind": "error", "status": 599},
        {"kind": "outage", "rate": 1},
        {"kind": "latency", "seconds": 0, "rate": 1e-9},
        {"kind": "stall", "seconds": 600},
    ]:
        with subtests.test(rule=rule):
            (read_back,) = read(json.dumps({"seed": 0, "rules": [{"provider": "image", **rule}]}).encode(), OFFER).rules
            assert {name: getattr(read_back, name) for name in rule} == rule


def test_a_wrong_field_is_named(subtests: pytest.Subtests) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"provider": "video"}, "provider"),
        ({"provider": ["llm"]}, "provider"),
        ({"kind": "slow"}, "kind"),
        ({"rate": 1.01}, "rate"),
        ({"rate": 0}, "rate"),
        ({"rate": -0.1}, "rate"),
        ({"rate": True}, "rate"),
        ({"rate": "0.3"}, "rate"),
        ({"rate": None}, "rate"),
        ({"rate": [10**30]}, "rate"),
        ({"status": 399}, "status"),
        ({"status": 600}, "status"),
        ({"status": 500.0}, "status"),
        ({"kind": "latency", "seconds": -1}, "seconds"),
        ({"kind": "stall", "seconds": 601}, "seconds"),
        ({"kind": "stall", "seconds": None}, "seconds"),
        ({"kind": "latency"}, "seconds"),
        ({"seconds": 1}, "seconds"),
        ({"kind": "stall", "status": 500}, "status"),
        ({"kind": "outage", "rate": 0.5}, "rate"),
        ({"times": 3}, "times"),
    ]
    for rule, field in cases:
        with subtests.test(rule=rule):
            wrong = refusal({"seed": 1, "rules": [{"provider": "tts", "kind": "error"} | rule]})
            assert (wrong.param, wrong.code, wrong.status) == (f"rules[0].{field}", "invalid_fault_plan", 400)
            assert str(wrong).startswith(f"The fault plan has 1 error: rules[0].{field}: ")


def test_all_errors_are_named_at_once() -> None:
    wrong = refusal(
        {
            "seed": "x",
            "name": "n",
            "rules": [
                {"provider": "tts", "kind": "error", "rate": 2, "seconds": 3},
                {"provider": "nothing", "kind": "magic", "rate": 0, "extra": 1},
                {"provider": "tts", "kind": "latency", "status": 500},
                {},
                5,
            ],
        }
    )
    message = str(wrong)
    assert message.startswith("The fault plan has 9 errors: seed: Input should be a valid integer; ")
    assert [problem.partition(":")[0] for problem in message.partition(": ")[2].split("; ")] == [
        "seed",
        "rules[0].rate",
        "rules[0].seconds",
        "rules[1].kind",
        "rules[2].seconds",
        "rules[2].status",
        "rules[3].kind",
        "rules[4]",
        "name",
    ]
    assert wrong.param == "seed"
    twice = [{"provider": "tts", "kind": "error"}] * 3
    assert str(refusal({"seed": 1, "rules": twice})) == (
        "The fault plan has 2 errors: "
        "rules[1]: Provider and kind are those of rules[0]; rules[2]: Provider and kind are those of rules[0]."
    )


def test_anything_else_is_not_a_plan(subtests: pytest.Subtests) -> None:
    for body, code, param in [
        (b"{", "invalid_json", None),
        (b"\xff", "invalid_json", None),
        (b'{"seed":' + b"9" * 5000 + b',"rules":[]}', "invalid_json", None),
        (b" " * 65_537, "plan_too_large", None),
        (b"[" * 50_000, "invalid_json", None),
        (b'{"seed":NaN}', "invalid_fault_plan", "seed"),
        (b"[]", "invalid_fault_plan", "the body"),
        (b"{}", "invalid_fault_plan", "seed"),
        (b'{"seed":1,"rules":{}}', "invalid_fault_plan", "rules"),
        (b'{"seed":9223372036854775808,"rules":[]}', "invalid_fault_plan", "seed"),
    ]:
        with subtests.test(body=body[:40]):
            wrong = refusal(body)
            assert (wrong.code, wrong.param) == (code, param)


def test_a_lifetime_is_above_0_and_at_most_an_hour() -> None:
    for lifetime in (1e-3, 30, 3600):
        assert read(json.dumps({"seed": 1, "rules": [], "lifetime": lifetime}).encode(), OFFER).lifetime == lifetime
    for value in (0, -1, 3600.1, "30", None, True):
        wrong = refusal({"seed": 1, "rules": [], "lifetime": value})
        assert (wrong.param, wrong.code) == ("lifetime", "invalid_fault_plan")


def test_each_side_takes_its_own_targets_kinds_and_fields() -> None:
    kinds: list[dict[str, Any]] = [
        {"kind": "outage"},
        {"kind": "stall"},
        {"kind": "error"},
        {"kind": "latency", "seconds": 0.5},
    ]
    rules = [{"provider": "store", **kind} for kind in kinds]
    assert read(json.dumps({"seed": 1, "rules": rules}).encode(), STORE).rules == (
        Rule("store", "outage"),
        Rule("store", "stall", seconds=60.0),
        Rule("store", "error"),
        Rule("store", "latency", seconds=0.5),
    )
    wrong = refusal(
        {
            "seed": 1,
            "lifetime": 9999,
            "rules": [
                {"provider": "llm", "kind": "outage"},
                {"provider": "store", "kind": "corrupt", "rate": 1.5},
                {"provider": "store", "kind": "error", "status": 500},
            ],
        },
        STORE,
    )
    places = [problem.partition(":")[0] for problem in str(wrong).partition(": ")[2].split("; ")]
    assert places == ["rules[0].provider", "rules[1].kind", "rules[2].status", "lifetime"]
    assert refusal({"seed": 1, "rules": [{"provider": "store", "kind": "outage"}]}).param == "rules[0].provider"

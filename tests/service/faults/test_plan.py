from __future__ import annotations

import json

import pytest

from reelbench.service.faults.plan import FaultsError, Offer, Plan, Rule, read
from reelbench.service.providers.exchange import OFFER
from reelbench.service.store.faults import OFFER as STORE


def refusal(plan: object, offer: Offer = OFFER) -> FaultsError:
    with pytest.raises(FaultsError) as caught:
        read(plan if isinstance(plan, bytes) else json.dumps(plan).encode(), offer)
    return caught.value


def test_defaults_of_each_kind() -> None:
    kinds = [{"kind": kind} for kind in ("error", "outage", "stall", "corrupt")]
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
    for rule, param, text in [
        ({"provider": "video"}, ".provider", 'is "video" and must be one of llm, tts, image'),
        ({"provider": ["llm"]}, ".provider", "is a list and must be one of llm, tts, image"),
        ({"kind": "slow"}, ".kind", 'is "slow" and must be one of outage, stall, error, corrupt, latency'),
        ({"rate": 1.01}, ".rate", "is 1.01 and must be a number above 0 and at most 1"),
        ({"rate": 0}, ".rate", "is 0 and must be a number above 0 and at most 1"),
        ({"rate": -0.1}, ".rate", "is -0.1 and must be a number above 0 and at most 1"),
        ({"rate": True}, ".rate", "is true and must be a number above 0 and at most 1"),
        ({"rate": "0.3"}, ".rate", 'is "0.3" and must be a number above 0 and at most 1'),
        ({"rate": None}, ".rate", "is null and must be a number above 0 and at most 1"),
        (
            {"rate": [10**30]},
            ".rate",
            "is a list and must be a number above 0 and at most 1",
        ),
        ({"status": 399}, ".status", "is 399 and must be a status from 400 to 599"),
        ({"status": 600}, ".status", "is 600 and must be a status from 400 to 599"),
        ({"status": 500.0}, ".status", "is 500.0 and must be a status from 400 to 599"),
        ({"kind": "latency", "seconds": -1}, ".seconds", "is -1 and must be a number from 0 to 600"),
        ({"kind": "stall", "seconds": 601}, ".seconds", "is 601 and must be a number from 0 to 600"),
        ({"kind": "latency"}, ".seconds", "is missing; the kind 'latency' needs it"),
        ({"seconds": 1}, ".seconds", "is not a field of the kind 'error'"),
        ({"kind": "stall", "status": 500}, ".status", "is not a field of the kind 'stall'"),
        ({"kind": "outage", "rate": 0.5}, ".rate", "must be left out, or 1: an outage refuses every call"),
        ({"times": 3}, ".times", "is not a field"),
    ]:
        with subtests.test(rule=rule):
            wrong = refusal({"seed": 1, "rules": [{"provider": "tts", "kind": "error"} | rule]})
            assert str(wrong) == f"The fault plan has 1 error: rules[0]{param} {text}."
            assert (wrong.param, wrong.code, wrong.status) == (f"rules[0]{param}", "invalid_fault_plan", 400)


def test_all_errors_are_named_at_once() -> None:
    wrong = refusal(
        {
            "seed": "x",
            "name": "n",
            "rules": [
                {"provider": "tts", "kind": "error", "rate": 2, "seconds": 3},
                {"provider": "nothing", "kind": "magic", "rate": 0, "extra": 1},
                {"provider": "tts", "kind": "error"},
                {"provider": "tts", "kind": "latency", "status": 500},
                {},
                5,
            ],
        }
    )
    assert str(wrong) == (
        "The fault plan has 14 errors: "
        'seed is "x" and must be an integer of 64 bits; '
        "name is not a field; "
        "rules[0].rate is 2 and must be a number above 0 and at most 1; "
        "rules[0].seconds is not a field of the kind 'error'; "
        'rules[1].provider is "nothing" and must be one of llm, tts, image; '
        'rules[1].kind is "magic" and must be one of outage, stall, error, corrupt, latency; '
        "rules[1].rate is 0 and must be a number above 0 and at most 1; "
        "rules[1].extra is not a field; "
        "rules[2] has the provider and the kind of rules[0]; "
        "rules[3].seconds is missing; the kind 'latency' needs it; "
        "rules[3].status is not a field of the kind 'latency'; "
        "rules[4].provider is missing; "
        "rules[4].kind is missing; "
        "rules[5] must be an object."
    )
    assert wrong.param == "seed"


def test_what_is_no_plan_at_all(subtests: pytest.Subtests) -> None:
    for body, message, code in [
        (b"{", "The body is not valid JSON: Input data was truncated.", "invalid_json"),
        (
            b'{"seed":' + b"9" * 5000 + b',"rules":[]}',
            "Integer value out of range.",
            "invalid_value",
        ),
        (b" " * 65_537, "A fault plan has at most 65536 bytes.", "plan_too_large"),
        (b"[" * 50_000, "The body is nested too deeply to be a fault plan.", "invalid_json"),
        (b'{"seed":NaN}', "The body is not valid JSON: JSON is malformed: invalid character (byte 8).", "invalid_json"),
        (
            b"[]",
            'The fault plan has 1 error: the body must be an object like {"seed": 1, "rules": []}.',
            "invalid_fault_plan",
        ),
        (b"{}", "The fault plan has 2 errors: seed is missing; rules is missing.", "invalid_fault_plan"),
        (
            b'{"seed":1,"rules":{}}',
            "The fault plan has 1 error: rules is an object and must be a list of rules.",
            "invalid_fault_plan",
        ),
        (
            b'{"seed":9223372036854775808,"rules":[]}',
            "The fault plan has 1 error: seed is 9223372036854775808 and must be an integer of 64 bits.",
            "invalid_fault_plan",
        ),
    ]:
        with subtests.test(body=body[:40]):
            wrong = refusal(body)
            assert (str(wrong), wrong.code) == (message, code)


def test_a_lifetime_is_above_0_and_at_most_an_hour() -> None:
    for lifetime in (1e-3, 30, 3600):
        assert read(json.dumps({"seed": 1, "rules": [], "lifetime": lifetime}).encode(), OFFER).lifetime == lifetime
    for lifetime, shown in ((0, "0"), (-1, "-1"), (3600.1, "3600.1"), ("30", '"30"'), (None, "null"), (True, "true")):
        wrong = refusal({"seed": 1, "rules": [], "lifetime": lifetime})
        assert str(wrong) == (
            f"The fault plan has 1 error: lifetime is {shown} and must be a number above 0 and at most 3600."
        )
        assert (wrong.param, wrong.code) == ("lifetime", "invalid_fault_plan")


def test_each_side_takes_its_own_targets_kinds_and_fields() -> None:
    kinds = [{"kind": "outage"}, {"kind": "stall"}, {"kind": "error"}, {"kind": "latency", "seconds": 0.5}]
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
    assert str(wrong) == (
        "The fault plan has 5 errors: "
        "lifetime is 9999 and must be a number above 0 and at most 3600; "
        'rules[0].provider is "llm" and must be store; '
        'rules[1].kind is "corrupt" and must be one of outage, stall, error, latency; '
        "rules[1].rate is 1.5 and must be a number above 0 and at most 1; "
        "rules[2].status is not a field of the kind 'error'."
    )
    assert str(refusal({"seed": 1, "rules": [{"provider": "store", "kind": "outage"}]})) == (
        'The fault plan has 1 error: rules[0].provider is "store" and must be one of llm, tts, image.'
    )

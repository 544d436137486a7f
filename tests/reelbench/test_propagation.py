"""Baggage is read and written as the propagator of OpenTelemetry's API does."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import baggage
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context, attach, detach, set_value

from reelbench.telemetry.propagation import KeptBaggage, baggage_header

HEADERS = [
    "run_id=r1,scenario=normal_operation,case=n05",
    "a=1,a=2",
    "a=%20b%2C,%C3%A9=x",
    " a = 1 ;property , b=2",
    ";;;,=,==,a",
    "",
    "a=" + "x" * 5000,
    "a=1," * 3000,
    ",".join(f"k{n}=v" for n in range(200)),
]


def members(context: Context) -> dict[str, object]:
    return dict(baggage.get_all(context))


@pytest.mark.parametrize("header", HEADERS)
def test_a_header_has_the_same_members(header: str) -> None:
    for carrier in ({"baggage": header}, {"baggage": [header, "second=1"]}, {"other": header}):
        for _ in range(2):
            expected = W3CBaggagePropagator().extract(carrier, Context())
            assert members(KeptBaggage().extract(carrier, Context())) == members(expected)


@given(st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), st.none()), max_size=5))
def test_any_members_have_the_same_header(found: dict[str, object]) -> None:
    context = Context()
    for name, value in found.items():
        context = baggage.set_baggage(name, value, context)
    mine, official = dict[str, str](), dict[str, str]()
    try:
        W3CBaggagePropagator().inject(official, context)
    except UnicodeEncodeError:  # half of a surrogate pair
        return
    KeptBaggage().inject(mine, context)
    assert mine == official


def test_other_values_of_the_context_stay_and_members_are_added() -> None:
    before = baggage.set_baggage("first", "1", set_value("other", "kept", Context()))
    found = KeptBaggage().extract({"baggage": "second=2"}, before)
    assert members(found) == {"first": "1", "second": "2"}
    assert found["other"] == "kept"
    found = KeptBaggage().extract({"baggage": "second=2"}, set_value("other", "kept", Context()))
    assert (members(found), found["other"]) == ({"second": "2"}, "kept")
    # A member that is added later is not in the baggage of the next request with this header.
    baggage.set_baggage("third", "3", found)
    assert members(KeptBaggage().extract({"baggage": "second=2"}, Context())) == {"second": "2"}


def test_without_a_context_the_current_one_is_read_and_written() -> None:
    token = attach(baggage.set_baggage("a", "1", Context()))
    try:
        carrier = dict[str, str]()
        KeptBaggage().inject(carrier)
        assert carrier == {"baggage": "a=1"}
        assert members(KeptBaggage().extract({"baggage": "b=2"})) == {"a": "1", "b": "2"}
    finally:
        detach(token)


def test_no_members_give_no_header() -> None:
    carrier = dict[str, str]()
    KeptBaggage().inject(carrier, Context())
    assert (carrier, baggage_header(())) == ({}, "")


def test_a_header_that_is_too_long_is_refused_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert members(KeptBaggage().extract({"baggage": "b=" + "y" * 9000}, Context())) == {}
    assert "exceeded the maximum number of bytes" in caplog.text


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        ("tracecontext,baggage", "['TraceContextTextMapPropagator', 'KeptBaggage']"),
        ("tracecontext", "['TraceContextTextMapPropagator']"),
        ("none", "[]"),
    ],
)
def test_the_propagators_of_the_environment_stay(variable: str, expected: str) -> None:
    code = (
        "from opentelemetry import propagate; from reelbench.telemetry import propagation; propagation.install(); "
        "print([type(one).__name__ for one in propagate.get_global_textmap()._propagators])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={"OTEL_PROPAGATORS": variable}, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == expected, done.stderr

from __future__ import annotations

import re

import pytest

from reelbench.loadgen.plan.quantity import QuantityError, must_measure, objective, seconds


@pytest.mark.parametrize(
    ("text", "value"), [("90s", 90), ("20m", 1200), ("1h30m", 5400), ("1.5h", 5400), ("250ms", 0.25), ("1d", 86400)]
)
def test_a_length_of_time(text: str, value: float) -> None:
    assert seconds(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "20", "soon", "20 m", "m20", "1h30", "-5m", "0s"])
def test_what_is_no_length_of_time_is_refused(text: str) -> None:
    with pytest.raises(QuantityError, match="length of time"):
        seconds(text)


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("p95_response_time=120s", "p95_response_time", 120),
        ("success_rate=95%", "success_rate", 0.95),
        ("throughput=30/h", "throughput", 30 / 3600),
        ("memory_per_job=1.5GiB", "memory_per_job", 1.5 * 2**30),
        ("breaker_opened=1", "breaker_opened", 1),
    ],
)
def test_an_objective(text: str, name: str, value: float) -> None:
    found, number = objective(text)
    assert (found, number) == (name, pytest.approx(value))


@pytest.mark.parametrize("text", ["p95", "p95=", "=3", "P95=3s", "p95=fast", "p95=3parsecs", "p95=3s4"])
def test_what_is_no_objective_is_refused(text: str) -> None:
    with pytest.raises(QuantityError):
        objective(text)


@pytest.mark.parametrize(
    ("value", "base"),
    [("3s", "s"), ("3", "s"), ("95%", "ratio"), ("0.95", "ratio"), ("30/h", "jobs/s"), ("1MiB", "By"), ("2", "jobs")],
)
def test_a_unit_that_measures_what_the_indicator_measures_passes(value: str, base: str) -> None:
    must_measure(f"one={value}", base)


@pytest.mark.parametrize(
    ("value", "base", "cure"),
    [
        ("3%", "s", "the unit '%' does not fit an indicator in seconds"),
        ("3s", "ratio", "the unit 's' does not fit an indicator in percent"),
        ("3s", "jobs/s", "the unit 's' does not fit an indicator in jobs/s"),
        ("3/h", "By", "the unit '/h' does not fit an indicator in bytes"),
        ("3MB", "s", "the unit 'MB' does not fit an indicator in seconds"),
        ("95", "ratio", "is more than all; write 95%"),
    ],
)
def test_a_unit_that_measures_something_else_is_refused(value: str, base: str, cure: str) -> None:
    with pytest.raises(QuantityError, match=re.escape(cure)):
        must_measure(f"one={value}", base)

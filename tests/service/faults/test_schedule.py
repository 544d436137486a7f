from __future__ import annotations

import itertools
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reelbench.service.faults.faults import hits


def drawn(rate: float, calls: int, *, seed: int = 1, provider: str = "tts", kind: str = "error") -> str:
    return "".join("x" if hits(seed, provider, kind, rate, ordinal) else "." for ordinal in range(calls))


def test_a_schedule_is_reproducible(subtests: pytest.Subtests) -> None:
    for seed, provider, kind, rate, schedule in [
        (1, "tts", "error", 0.3, "x..xx......x....x.x....xx.x....xx.x....."),
        (2, "tts", "error", 0.3, "..xx..x......x...xx......xx..xx.x....x.."),
        (1, "llm", "error", 0.3, "...x...xx.x.......xx...x..x..xxx......x."),
        (1, "tts", "stall", 0.3, "xx...x......x..x.x....x.x....x..xx..x..."),
        (1, "tts", "error", 0.5, "x..xx..xx..xx.x.x.x..xx.x.x..x.xx..x.x.x"),
        (1, "tts", "error", 1.0, "x" * 40),
    ]:
        with subtests.test(seed=seed, provider=provider, kind=kind, rate=rate):
            assert drawn(rate, 40, seed=seed, provider=provider, kind=kind) == schedule


def test_the_number_of_hits_is_exact_at_the_end_of_a_block(subtests: pytest.Subtests) -> None:
    for rate, calls, expected in [
        (0.3, 10, 3),
        (0.3, 20, 6),
        (1 - 0.7, 20, 6),
        (1 / 3, 30, 10),
        (0.25, 20, 5),
        (0.05, 20, 1),
        (0.29, 100, 29),
        (0.123, 100, 12),
        (0.123, 1000, 123),
        (0.005, 1000, 5),
        (1, 7, 7),
    ]:
        with subtests.test(rate=rate, calls=calls):
            for seed in range(5):
                assert drawn(rate, calls, seed=seed).count("x") == expected


@given(st.integers(1, 1000), st.integers(-5, 5))
@settings(max_examples=30, deadline=None)
def test_every_thousand_calls_have_the_exact_number_of_hits(thousandths: int, seed: int) -> None:
    schedule = drawn(thousandths / 1000, 1000, seed=seed)
    assert schedule.count("x") == thousandths
    size = min(Fraction(thousandths, 1000).denominator, 100)
    for calls in range(size, 1001, size):
        assert abs(schedule[:calls].count("x") - thousandths * calls / 1000) <= 0.5


def test_hits_deviate_by_at_most_one_block(subtests: pytest.Subtests) -> None:
    for rate in [0.3, 0.29, 0.123, 0.9]:
        with subtests.test(rate=rate):
            size = 10 if rate in {0.3, 0.9} else 100
            schedule, count = drawn(rate, 1000), 0
            for number, call in enumerate(schedule, 1):
                count += call == "x"
                assert abs(count - rate * number) <= rate * (1 - rate) * size + 1


def test_a_retry_can_meet_the_fault_again() -> None:
    schedule = drawn(0.3, 10_000)
    again = sum(first == second == "x" for first, second in itertools.pairwise(schedule))
    assert again == 705, "of 3000 hits; an even spread would have none"


def test_hits_do_not_depend_on_the_order_of_queries() -> None:
    backwards = [hits(1, "tts", "error", 0.3, ordinal) for ordinal in reversed(range(400))]
    assert "".join("x" if hit else "." for hit in reversed(backwards)) == drawn(0.3, 400)

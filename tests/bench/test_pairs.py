"""Pairs of load generators: their order, and their rates."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise

import pytest

from reelbench.bench import pairs
from reelbench.bench.generators import BenchError, Figures, Generator, Load
from reelbench.bench.ours import Ours
from reelbench.bench.pairs import (
    FIXED_RUNS,
    Comparison,
    Pair,
    Rate,
    by_comparison,
    measure,
    net,
    rates_of,
    reversals,
    schedule,
)
from reelbench.bench.pairs_simulation import by_pairs, by_rounds, simulate
from reelbench.bench.rig import Cores, Sent

SAID = Figures(requests=30, p95=0.1, dropped=0)
HEADERS, SPANS = Ours(spans=False), Ours(spans=True)


def sent(requests: int, cpu: float, wall: float = 1.0) -> Sent:
    return Sent(requests, requests // 3, cpu, wall, SAID, None)


def test_every_second_pair_has_the_opposite_order() -> None:
    for count in (0, 1, 7, 20):
        drawn = reversals(count, random.Random(count))
        assert len(drawn) == count
        assert all(first != second for first, second in zip(drawn[::2], drawn[1::2], strict=False))
    firsts = Counter(reversals(1, random.Random(seed))[0] for seed in range(200))
    assert min(firsts.values()) > 70


def test_the_pairs_of_all_comparisons_are_spread_over_the_whole_time() -> None:
    many, few = Comparison(HEADERS, SPANS, 20), Comparison(SPANS, HEADERS, 2)
    planned = schedule([many, few], 1)
    assert planned == schedule([many, few], 1) != schedule([many, few], 2)
    assert Counter(one.pairs for one, _ in planned) == {20: 20, 2: 2}
    (first, second) = (at for at, (one, _) in enumerate(planned) if one is few)
    assert first < len(planned) / 2 <= second


def test_rates_exclude_start_and_end() -> None:
    assert net(sent(3048, 2.5, 2.0), [sent(48, 1.25), sent(48, 1.75)]) == Rate(per_core=3000.0, per_second=1524.0)
    with pytest.raises(BenchError, match=r"^3048 requests took no more CPU time than 48; send more jobs$"):
        net(sent(3048, 1.5), [sent(48, 1.5)])


def test_the_two_of_a_pair_run_directly_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[tuple[str, int]] = []

    def send(generator: Generator, load: Load, on: Cores) -> Sent:
        del on
        ran.append((generator.name, load.jobs))
        own = 1.0 if generator is HEADERS else 2.0
        return sent(3 * load.jobs, 0.5 + own * load.jobs / 1000)

    monkeypatch.setattr(pairs, "send", send)
    said: list[str] = []
    found = measure([Comparison(HEADERS, SPANS, 6)], Load("rate", 16, jobs=1016), 1, on=Cores(0, 1), say=said.append)
    small = [(name, at) for at, (name, jobs) in enumerate(ran) if jobs == 16]
    assert Counter(name for name, _ in small) == {HEADERS.name: FIXED_RUNS, SPANS.name: FIXED_RUNS}
    assert small[0][1] == 0
    assert small[-1][1] > len(ran) / 2  # start and shutdown are measured over the whole time
    names = [name for name, jobs in ran if jobs != 16]
    assert [set(names[at : at + 2]) for at in range(0, 12, 2)] == [{HEADERS.name, SPANS.name}] * 6
    assert sum(one == other for one, other in pairwise(names)) >= 3  # the order is turned in every second pair
    assert [pair.mine.per_core for pair in found] == pytest.approx([3000.0] * 6)
    ratio = by_comparison(found)[HEADERS.name, SPANS.name]
    assert (ratio.value, ratio.lower, ratio.upper) == pytest.approx((2.0, 2.0, 2.0))
    assert said[0].startswith("pair 1 of 6: CPU time of a request with start and shutdown: ")


def test_the_rates_of_a_reference_are_those_of_all_its_pairs() -> None:
    one, two, three = Rate(1.0, 1.0), Rate(2.0, 2.0), Rate(3.0, 3.0)
    found = rates_of([Pair("a", "k6", one, two), Pair("b", "k6", three, one)])
    assert found == {"a": [one], "k6": [two, one], "b": [three]}


def test_pairs_have_a_narrower_interval_than_rounds_in_the_same_time() -> None:
    rounds, paired = (simulate(plan, 20.0, 40, 1) for plan in (by_rounds, by_pairs))
    assert paired.seconds < 1.2 * rounds.seconds
    assert paired.width < 0.5 * rounds.width
    assert paired.held >= 0.85

"""The tools of the matrix: the link that loses packets, and the table of the page."""

from __future__ import annotations

from random import Random

import pytest

from reelbench.exit_code import ExitCode
from tests.faults.matrix import ROWS, Ended
from tests.faults.network import Packets
from tests.faults.page import BEGIN, END, written_into

COUNT = 1000


@pytest.mark.parametrize(("loss", "fewest", "most"), [(0.0, COUNT, COUNT), (0.02, 970, 990), (1.0, 0, 0)])
def test_a_link_loses_its_share_and_delays_the_rest_in_order(loss: float, fewest: int, most: int) -> None:
    packets = Packets(Random(1))
    packets.delay, packets.loss = 0.025, loss
    for number in range(COUNT):
        packets.take(number / COUNT, number % 2, b"%d" % number)
    assert list(packets.due(0.024)) == []
    assert packets.wait(0.0) == (None if loss == 1 else pytest.approx(0.025))
    arrived = list(packets.due(2.0))
    assert fewest <= len(arrived) <= most
    assert [int(packet) for _, packet in arrived] == sorted(int(packet) for _, packet in arrived)
    assert all(to == int(packet) % 2 for to, packet in arrived)


def test_rows_that_did_not_run_keep_what_the_page_says() -> None:
    first, second = ROWS[0], ROWS[1]
    page = f"before\n{BEGIN}\n{END}\nafter\n"
    once = written_into(page, {first.name: Ended(ExitCode.ABSENT, "", "", 3.25)})
    assert once.startswith(f"before\n{BEGIN}\n| process or place |")
    assert once.endswith(f"|\n{END}\nafter\n")
    assert "3.25" not in once
    twice = written_into(once, {second.name: Ended(ExitCode.FAIL, "", "", 1.0)})
    seen = {line.split(" | ")[1] + line.split(" | ")[2]: line.rsplit(" | ", 1)[1] for line in twice.splitlines()[4:6]}
    assert list(seen.values()) == ["4 stack not there |", "1 FAIL |"]
    assert twice.count("not run") == len(ROWS) - 2
    assert len({row.name for row in ROWS}) == len(ROWS) == 37

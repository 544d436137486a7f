from __future__ import annotations

from threading import Event

from reelbench.bench.machine_speed import MachineSpeed, median_within, piece


def test_each_piece_is_noted_with_its_time_until_the_end() -> None:
    costs, times = iter(range(1, 100)), iter(range(1000, 1100))
    enough = Event()

    def work() -> float:
        cost = next(costs)
        if cost == 3:
            enough.set()
        return float(cost)

    with MachineSpeed(work, interval=0.001, clock=lambda: float(next(times))) as speed:
        assert enough.wait(10)
    assert speed.pieces[:3] == [(1000.0, 1.0), (1001.0, 2.0), (1002.0, 3.0)]
    after = len(speed.pieces)
    Event().wait(0.05)
    assert len(speed.pieces) == after


def test_the_median_is_that_of_the_pieces_within_the_times() -> None:
    pieces = [(1.0, 9.0), (2.0, 0.1), (3.0, 0.3), (4.0, 0.2), (5.0, 9.0)]
    assert median_within(pieces, 2.0, 4.0) == 0.2
    assert median_within(pieces, 6.0, 7.0) is None


def test_a_piece_takes_cpu_time() -> None:
    assert 0.0001 < piece() < 1.0

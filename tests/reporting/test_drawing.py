"""Figures drawn in processes of their own: the same bytes, and nothing lost when a process ends early."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from reelbench.reporting.document.report import Chart, Series
from reelbench.reporting.render import figures
from reelbench.reporting.render.drawing import Drawing

CHARTS = tuple(
    Chart(name, "line", name.upper(), "Jobs in flight", "s", (Series("P50", (1, 5, 50), (1.0, 2.0, high)),), "n = 3")
    for name, high in (("a", 3.0), ("b", 4.0), ("c", 5.0))
)
EXPECTED = {(chart.name, "svg"): figures.svg(chart) for chart in CHARTS}


@pytest.fixture
def unloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this process look as if it had not loaded matplotlib: only then others draw."""
    monkeypatch.delitem(sys.modules, "matplotlib")


@pytest.mark.usefixtures("unloaded")
def test_figures_of_two_processes_are_those_of_one_in_the_order_of_the_charts() -> None:
    with Drawing(2) as drawing:
        assert len(drawing.pids) == 2
        found = drawing.draw(CHARTS, ("svg",))()
    assert list(found.items()) == list(EXPECTED.items())


@pytest.mark.usefixtures("unloaded")
def test_what_a_killed_process_leaves_is_drawn_here(monkeypatch: pytest.MonkeyPatch) -> None:
    with Drawing(1) as drawing:
        (pid,) = drawing.pids
        os.kill(pid, signal.SIGKILL)
        monkeypatch.undo()  # so that this process draws with the matplotlib that it has
        assert drawing.draw(CHARTS, ("svg",))() == EXPECTED


@pytest.mark.usefixtures("unloaded")
def test_no_process_outlives_a_report_that_failed() -> None:
    drawing = Drawing(2)
    with pytest.raises(ValueError, match="the report failed"), drawing:
        raise ValueError("the report failed")
    for pid in drawing.pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_process_with_matplotlib_draws_itself() -> None:
    with Drawing(2) as drawing:
        assert drawing.pids == ()
        assert drawing.draw(CHARTS, ("svg",))() == EXPECTED

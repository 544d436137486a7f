"""Figures drawn in processes of their own: the same bytes, and nothing lost when a process ends early."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from reelbench.reporting.document.report import Chart, Panel, Series, Timeline
from reelbench.reporting.export import export
from reelbench.reporting.render import figures
from reelbench.reporting.render.drawing import Drawing, Drawn, Form, shares

CHARTS = tuple(
    Chart(name, "line", name.upper(), "Jobs in flight", "s", (Series("P50", (1, 5, 50), (1.0, 2.0, high)),), "n = 3")
    for name, high in (("a", 3.0), ("b", 4.0), ("c", 5.0))
)
EXPECTED = {(chart.name, "svg"): figures.svg(chart) for chart in CHARTS}


@pytest.fixture
def unloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this process look as if it had not loaded matplotlib: only then others draw."""
    monkeypatch.delitem(sys.modules, "matplotlib")


@pytest.mark.extended
@pytest.mark.usefixtures("unloaded")
def test_figures_of_two_processes_are_those_of_one_in_the_order_of_the_charts() -> None:
    with Drawing(2) as drawing:
        assert len(drawing.pids) == 2
        found = drawing.draw(CHARTS, ("svg",))()
    assert list(found.items()) == list(EXPECTED.items())


@pytest.mark.extended
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


@pytest.mark.extended
def test_a_process_with_matplotlib_draws_itself() -> None:
    with Drawing(2) as drawing:
        assert drawing.pids == ()
        assert drawing.draw(CHARTS, ("svg",))() == EXPECTED


def test_processes_draw_about_equally_many_panels() -> None:
    panel = Panel("s", (Series("P50", (1.0,), (2.0,)),))
    tall = [
        msgspec.structs.replace(CHARTS[0], name=f"tall_{number}", kind="panels", panels=(panel,) * number)
        for number in (6, 4)
    ]
    found = shares([*CHARTS, *tall], 2)
    assert [sorted(chart.name for chart in share) for share in found] == [["c", "tall_6"], ["a", "b", "tall_4"]]


class Begun(Drawing):
    """Draws nothing, and remembers what it was asked for."""

    def __init__(self) -> None:
        super().__init__(0)
        self.asked: list[str] = []

    def draw(self, charts: Sequence[Chart | Timeline], forms: Sequence[Form]) -> Callable[[], Drawn]:
        self.asked += [f"{chart.name}.{form}" for chart in charts for form in forms]
        return dict


def test_reports_take_the_processes_that_have_begun(measured_dir: Path) -> None:
    with Begun() as begun:
        written = export(measured_dir, None, drawing=begun)
    assert "response_time_ecdf.svg" in begun.asked
    assert not any(path.suffix == ".svg" for path in written.paths)


def test_without_figures_the_processes_that_have_begun_draw_nothing(measured_dir: Path) -> None:
    with Begun() as begun:
        export(measured_dir, None, charts=False, drawing=begun)
    assert begun.asked == []

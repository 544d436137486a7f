"""Values on one time axis, cut into bins of equal length: the data of the charts over time."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

MOST_BINS: Final = 600
"""Bins of a time axis: about one for each pixel pair of a chart."""
STEPS: Final = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 21_600, 86_400)
"""Lengths of a bin in seconds; a multiple of a day beyond them."""


class TimeSeries(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One line of a panel."""

    id: str
    name: str
    values: tuple[float | None, ...]
    """One value for each bin; None where nothing was measured."""


class TimePanel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Lines with a common unit."""

    id: str
    title: str
    unit: str
    series: tuple[TimeSeries, ...]


class Shade(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"begin": "from", "end": "to"}):
    """A named part of the time axis; seconds since the start of the axis."""

    kind: Literal["scenario", "case", "fault", "warm_up"]
    name: str
    begin: float
    end: float


class Timeline(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Panels over one time axis; bin `i` reaches from ``start + i * step`` to ``start + (i + 1) * step``."""

    start: float
    """Unix time in seconds."""
    step: float
    """Length of a bin in seconds."""
    panels: tuple[TimePanel, ...]
    shades: tuple[Shade, ...] = ()

    @property
    def bins(self) -> int:
        """Number of bins."""
        return max((len(series.values) for panel in self.panels for series in panel.series), default=0)


def step_of(seconds: float, most: int = MOST_BINS) -> float:
    """Return the shortest length of a bin with which so many seconds need at most `most` bins."""
    for step in STEPS:
        if seconds <= step * most:
            return step
    days = -(-seconds // (STEPS[-1] * most))
    return STEPS[-1] * days

"""Puts panels on the grid: from a list of headings with lines of panels to places that never overlap."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from reelbench.monitoring.grafana import AnyPanel, Place, Row, Shown
from reelbench.reporting.document.grafana_links import panel_id

COLUMNS = 24


class LayoutError(Exception):
    """Panels that do not fit; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Line:
    """Panels beside each other, all of one height, as wide as each other."""

    height: int
    panels: Sequence[Shown]


@dataclass(frozen=True, slots=True)
class Group:
    """A heading and the lines below it."""

    title: str
    lines: Sequence[Line]


def lay(groups: Iterable[Group]) -> tuple[AnyPanel, ...]:
    """Place every panel and give it an id that depends on its title alone, so that links to it keep.

    Raises:
        LayoutError: a line is empty or has more panels than columns, or two titles are alike.
    """
    placed: list[AnyPanel] = []
    y = 0
    for group in groups:
        placed.append(
            Row(id=panel_id(f"row {group.title}"), title=group.title, grid_pos=Place(h=1, w=COLUMNS, x=0, y=y))
        )
        y += 1
        for line in group.lines:
            if not 0 < len(line.panels) <= COLUMNS:
                raise LayoutError(f"a line of {group.title!r} has {len(line.panels)} panels, not 1 to {COLUMNS}")
            edges = [round(number * COLUMNS / len(line.panels)) for number in range(len(line.panels) + 1)]
            for panel, left, right in zip(line.panels, edges, edges[1:], strict=False):
                place = Place(h=line.height, w=right - left, x=left, y=y)
                placed.append(msgspec.structs.replace(panel, id=panel_id(panel.title), grid_pos=place))
            y += line.height
    titles: dict[int, str] = {}
    for item in placed:
        if other := titles.get(item.id):
            raise LayoutError(f"panels {other!r} and {item.title!r} have the same id: give one another title")
        titles[item.id] = item.title
    return tuple(placed)

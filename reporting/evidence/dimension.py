"""The dimensions of a run: each scenario has one, and each has a report."""

from __future__ import annotations

from enum import StrEnum


class Dimension(StrEnum):
    """In the order in which the reports are written and printed."""

    PERFORMANCE = "performance"
    RELIABILITY = "reliability"
    RESOURCES = "resources"

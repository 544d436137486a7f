"""Colours, dashes and markers of the figures."""

from __future__ import annotations

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe and Ito's palette: distinct for colour-blind readers and in grey print."""
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 3)))
"""Steps have no markers: dashes make them distinct in grey print."""
MARKERS = ("o", "s", "^", "D", "v", "P")
STACK_COLOURS = ("#BBBBBB", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")
"""The whole palette, with grey for its black; more parts would not be distinct."""
LIMIT_COLOUR = "#555555"
FAULT_COLOUR = "#F0E442"
"""The palette's yellow: light enough to lie under lines in grey print."""

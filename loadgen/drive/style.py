"""How progress is shown."""

from enum import StrEnum


class Style(StrEnum):
    """How progress is shown on standard error."""

    AUTO = "auto"
    """Live on a terminal, else lines."""
    LIVE = "live"
    LINES = "lines"
    JSON = "json"
    NONE = "none"
    """Errors alone."""

"""What the records of a case say of an objective before the report."""

from __future__ import annotations

import msgspec


class Early(msgspec.Struct, frozen=True, kw_only=True):
    """What the records of a case say of an objective; the report decides after all counts are compared."""

    title: str
    place: str
    objective: str
    value: str
    n: int
    certainty: str
    """``holds, proven`` to ``violated, proven``."""
    holds: bool

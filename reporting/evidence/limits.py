"""The interval of a number, as kept in files."""

from __future__ import annotations

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A 95 % confidence interval; a limit is null where the sample is too small for it."""

    lower: float | None
    upper: float | None
    method: str
    """order statistics (percentiles), Student's t (means), Clopper and Pearson (shares), batch means (rates), Theil and
    Sen (trends), or another."""

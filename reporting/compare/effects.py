"""The impact of optimizations, as it is kept in JSON."""

from __future__ import annotations

import msgspec

from reelbench.reporting.compare.finding import ComparisonRecord, SideRecord
from reelbench.reporting.compare.folders import SCHEMA_VERSION


class Effect(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one optimization does: everything on (the run) against all but this (the baseline)."""

    optimization: str
    comparison: ComparisonRecord
    set_by_cases: tuple[str, ...]
    """Places left out: their cases set this switch themselves, so it was the same on both sides."""
    problems: tuple[str, ...]
    """What keeps the two from being compared without reserve."""


class AblationRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole ablation."""

    schema_version: int = SCHEMA_VERSION
    name: str
    full: SideRecord
    effects: tuple[Effect, ...]

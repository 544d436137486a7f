"""Recommendations: rules, each with a threshold, the number that crossed it, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

import msgspec

from reelbench.reporting.document.report import Block, Bullets, Paragraph, Section

T = TypeVar("T")

TITLE = "What to do"


class Advice(msgspec.Struct, frozen=True):
    """One recommendation."""

    finding: str
    """What was found, with the number that crossed the threshold; no full stop."""
    action: str
    """What to do, or more numbers; a sentence without its full stop."""


class Rule(msgspec.Struct, Generic[T], frozen=True):
    """A threshold, and what crossed it."""

    threshold: str
    """As the report names it."""
    apply: Callable[[T], Iterator[Advice]]


def recommend(rules: Sequence[Rule[T]], evidence: T) -> Section:
    """Return the advice of all rules, and the thresholds they use."""
    advice = tuple(f"**{one.finding}:** {one.action}." for one in advised(rules, evidence))
    blocks: list[Block] = [Bullets(advice)] if advice else [Paragraph("No threshold was crossed.")]
    thresholds = "; ".join(rule.threshold for rule in rules)
    return Section(TITLE, (*blocks, Paragraph(f"Thresholds: {thresholds}.")))


def advised(rules: Sequence[Rule[T]], evidence: T) -> tuple[Advice, ...]:
    """Return the advice of all rules."""
    return tuple(one for rule in rules for one in rule.apply(evidence))

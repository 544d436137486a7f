"""Metrics that dashboards and rules name but that nothing records."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from reelbench.monitoring.panels import Board
from reelbench.monitoring.promql import Expr
from reelbench.monitoring.rules import RuleFile
from reelbench.reporting.catalogue.sli_file import unknown_metric


def unknown(boards: Iterable[Board], files: Collection[RuleFile], known: Collection[str]) -> list[str]:
    """Return one line for each metric of a dashboard or a rule that is neither in `known` nor recorded by a rule."""
    names = frozenset(known).union(*(file.records for file in files))
    found = dict.fromkeys(
        (place, name) for place, expr in _named(boards, files) for name in sorted(expr.metrics - names)
    )
    return [f"{place}: {unknown_metric(name, names)}" for place, name in found]


def _named(boards: Iterable[Board], files: Iterable[RuleFile]) -> Iterator[tuple[str, Expr]]:
    for board in boards:
        for panel in board.panels:
            for expr in panel.exprs:
                yield f"dashboard {board.title}: panel {panel.title}", expr
    for file in files:
        for rule in file.group.rules:
            yield f"rule {rule.name}", rule.expr

"""The metrics that a query may name, and queries that name others."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from pathlib import Path

from reelbench.monitoring.grafana import Dashboard, Row
from reelbench.monitoring.rules import Recording, RuleFile
from reelbench.reporting.catalogue.instruments import METRICS_FILE, load, names
from reelbench.reporting.catalogue.sli_file import unknown_metric

_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"')
_OTHERS = re.compile(r"\{[^{}]*\}|\[[^\]]*\]|\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
"""Selectors, ranges and lists of labels: with strings away, what is left are metrics, functions and operators."""
_NAME = re.compile(r"(?<![\w:$])[a-zA-Z_:][\w:]*(?![\w:]*\s*\()")
_OPERATORS = frozenset({"and", "or", "unless", "bool", "offset", "inf", "nan"})


def metrics(path: Path = METRICS_FILE) -> frozenset[str]:
    """Names of series as Prometheus has them; of a histogram both the classic and the native ones."""
    declared = load(path)
    return names(declared.instruments) | frozenset(declared.stack)


def named(expr: str) -> frozenset[str]:
    """The metrics that a PromQL expression of a dashboard or rule names."""
    left = _OTHERS.sub("", _STRINGS.sub("", expr))
    return frozenset(_NAME.findall(left)) - _OPERATORS


def records(files: Iterable[RuleFile]) -> frozenset[str]:
    """The series that rules record."""
    rules = (rule for file in files for group in file.groups for rule in group.rules)
    return frozenset(rule.record for rule in rules if isinstance(rule, Recording))


def unknown(boards: Iterable[Dashboard], files: Iterable[RuleFile], known: Collection[str]) -> list[str]:
    """One line for each metric of a dashboard or a rule that nobody has."""
    shown = [
        (f"dashboard {board.title}: panel {panel.title}", target.expr)
        for board in boards
        for panel in board.panels
        if not isinstance(panel, Row)
        for target in panel.targets
        if isinstance(target.expr, str)
    ]
    shown += [
        (f"rule {rule.record if isinstance(rule, Recording) else rule.name}", rule.expr)
        for file in files
        for group in file.groups
        for rule in group.rules
    ]
    found = dict.fromkeys((place, name) for place, expr in shown for name in sorted(named(expr)) if name not in known)
    return [f"{place}: {unknown_metric(name, known)}" for place, name in found]

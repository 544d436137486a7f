"""A pytest plugin, `-p tests.costs`: CPU and clock seconds by file, function, test and fixture, of all workers.

CPU seconds are those of the test process and of its ended children; clock seconds say little on a busy machine.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Generator
from typing import Any

import pytest

SHOWN = 40
"""Rows of each table."""
KINDS = ("file", "function", "test", "fixture")


def now() -> tuple[float, float]:
    """CPU and clock seconds since the start of the process."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime, time.monotonic()


class Costs:
    """Measures each phase of each test where it runs, and adds all up where the results are printed."""

    def __init__(self) -> None:
        self.before = now()
        self.fixtures: list[tuple[str, float, float]] = []
        self.sums: dict[str, dict[str, tuple[float, float]]] = {kind: {} for kind in KINDS}

    def pytest_collection_finish(self) -> None:
        self.before = now()

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, Any, Any]:
        begin = now()
        value = yield
        end = now()
        self.fixtures.append((f"{fixturedef.baseid}::{fixturedef.argname}", end[0] - begin[0], end[1] - begin[1]))
        return value

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, Any, Any]:
        report = yield
        end = now()
        report.cost = [end[0] - self.before[0], end[1] - self.before[1], self.fixtures]
        self.before, self.fixtures = end, []
        return report

    def pytest_runtest_logreport(self, report: Any) -> None:
        if "PYTEST_XDIST_WORKER" not in os.environ:
            cpu, clock, fixtures = report.cost
            self._add("file", report.nodeid.split("::")[0], cpu, clock)
            self._add("function", report.nodeid.split("[")[0], cpu, clock)
            self._add("test", report.nodeid, cpu, clock)
            for one in fixtures:
                self._add("fixture", *one)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for kind, sums in self.sums.items():
            total = [round(sum(one[index] for one in sums.values())) for index in (0, 1)]
            terminalreporter.section(f"by {kind}: {total[0]} s of CPU, {total[1]} s of the clock")
            for name, (cpu, clock) in sorted(sums.items(), key=lambda item: -item[1][0])[:SHOWN]:
                terminalreporter.write_line(f"{cpu:7.2f} {clock:7.2f}  {name}")

    def _add(self, kind: str, name: str, cpu: float, clock: float) -> None:
        before = self.sums[kind].get(name, (0.0, 0.0))
        self.sums[kind][name] = (before[0] + cpu, before[1] + clock)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Costs())

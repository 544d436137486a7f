"""The jobs and gauges of a run on one time axis that grows with the run."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Sequence
from typing import Final

from reelbench.loadgen.record.jobs import JobRecord, Outcome
from reelbench.loadgen.record.run import RunRecord
from reelbench.reporting.analysis.timeline import Shade, Timeline, TimePanel, TimeSeries, step_of

LEAST_STEP: Final = 1.0
"""Seconds of a bin at the begin of a run."""
_FAILED: Final = frozenset({Outcome.FAILED, Outcome.REJECTED, Outcome.ERROR, Outcome.TIMEOUT})
_COMPLETED, _FAILURE, _STOPPED = 0, 1, 2


class Axis:
    """Bins of equal length from the start of a run; they get longer when there would be too many."""

    def __init__(self, start: float) -> None:
        self.start = math.floor(start)
        self.step = LEAST_STEP
        self._jobs = array("d")
        """Due, sent, done and kind of each job."""
        self._gauges: dict[tuple[str, str], tuple[array[float], array[float]]] = {}
        """Instants and values by panel and line."""
        self._clear()

    def _clear(self) -> None:
        self._responses: dict[int, list[float]] = {}
        self._quantiles: dict[int, tuple[float, float]] = {}
        self._rates: tuple[dict[int, int], ...] = ({}, {}, {}, {})
        """Arrivals, and ends by kind."""
        self._flight: dict[int, float] = {}

    def add(self, jobs: Sequence[JobRecord]) -> None:
        """Add jobs that have ended."""
        for job in jobs:
            kind = _COMPLETED if job.outcome is Outcome.COMPLETED else _FAILURE if job.outcome in _FAILED else _STOPPED
            self._jobs.extend((job.due, job.sent, job.done, kind))
            self._place(job.due, job.sent, job.done, kind)

    def gauge(self, panel: str, line: str, at: float, value: float) -> None:
        """Add a reading of a gauge."""
        times, values = self._gauges.setdefault((panel, line), (array("d"), array("d")))
        if not times or at > times[-1]:
            times.append(at)
            values.append(value)

    def until(self, now: float) -> bool:
        """Let the axis reach an instant; return whether its bins became longer."""
        step = max(LEAST_STEP, step_of(max(0.0, now - self.start) + 1))
        if step <= self.step:
            return False
        self.step = step
        self._clear()
        for first in range(0, len(self._jobs), 4):
            due, sent, done, kind = self._jobs[first : first + 4]
            self._place(due, sent, done, int(kind))
        return True

    def timeline(self, now: float, run: RunRecord | None, known: float) -> Timeline:
        """Return all bins until an instant.

        Args:
            now: Unix time.
            run: has scenarios, cases and faults; None: not known yet.
            known: Unix time until which every job in flight has a record; later ones still run.
        """
        count = max(1, math.ceil((now - self.start) / self.step))
        panels = tuple(panel for panel in self._panels(count, known) if panel.series)
        return Timeline(float(self.start), self.step, panels, tuple(self._shades(run, now)) if run else ())

    def _bin(self, at: float) -> int:
        return max(0, math.floor((at - self.start) / self.step))

    def _place(self, due: float, sent: float, done: float, kind: int) -> None:
        first, last = self._bin(due), self._bin(done)
        self._rates[0][first] = self._rates[0].get(first, 0) + 1
        self._rates[1 + kind][last] = self._rates[1 + kind].get(last, 0) + 1
        if kind == _COMPLETED:
            self._responses.setdefault(last, []).append(done - due)
            self._quantiles.pop(last, None)
        for number in range(self._bin(sent), last + 1):
            begin = self.start + number * self.step
            within = min(done, begin + self.step) - max(sent, begin)
            self._flight[number] = self._flight.get(number, 0.0) + within / self.step

    def _panels(self, count: int, known: float) -> Iterator[TimePanel]:
        if self._jobs:
            p50, p95 = zip(*(self._tails(number) for number in range(count)), strict=True)
            yield TimePanel(
                "response_time",
                "Response time of jobs that completed",
                "s",
                (TimeSeries("p50", "P50", p50), TimeSeries("p95", "P95", p95)),
            )
            names = ("arrivals", "completions", "failures", "stopped")
            titles = ("arrivals", "completions", "failures", "cancelled or cut off")
            yield TimePanel(
                "jobs",
                "Jobs that have ended",
                "jobs/s",
                tuple(
                    TimeSeries(name, title, self._rate(rates, count))
                    for name, title, rates in zip(names, titles, self._rates, strict=True)
                    if rates or name != "stopped"
                ),
            )
        yield TimePanel("in_flight", "Jobs in flight", "jobs", tuple(self._in_flight(count, known)))
        yield TimePanel("queue", "Jobs at the service", "jobs", tuple(self._lines("queue", count)))
        yield TimePanel("cpu", "CPU", "cores", tuple(self._lines("cpu", count, counter=True)))
        yield TimePanel("memory", "Resident memory", "MB", tuple(self._lines("memory", count)))

    def _tails(self, number: int) -> tuple[float | None, float | None]:
        if number in self._quantiles:
            return self._quantiles[number]
        values = self._responses.get(number)
        if not values:
            return None, None
        values.sort()
        found = tuple(round(values[math.ceil(q * len(values)) - 1], 4) for q in (0.5, 0.95))
        self._quantiles[number] = found[0], found[1]
        return self._quantiles[number]

    def _rate(self, counts: dict[int, int], count: int) -> tuple[float | None, ...]:
        return tuple(round(counts.get(number, 0) / self.step, 4) for number in range(count))

    def _in_flight(self, count: int, known: float) -> Iterator[TimeSeries]:
        """Yield the jobs in flight by the records as far as they are complete, and by the generator's own gauge."""
        end = self._bin(known)
        if self._jobs:
            values = tuple(round(self._flight.get(number, 0.0), 3) if number < end else None for number in range(count))
            yield TimeSeries("in_flight", "in flight", values)
        yield from self._lines("in_flight", count)

    def _lines(self, panel: str, count: int, *, counter: bool = False) -> Iterator[TimeSeries]:
        for (found, name), (times, values) in self._gauges.items():
            if found != panel:
                continue
            line: list[float | None] = [None] * count
            for index, (at, value) in enumerate(zip(times, values, strict=True)):
                number = self._bin(at)
                if number >= count or (counter and index == 0):
                    continue
                if counter:
                    spent, took = value - values[index - 1], at - times[index - 1]
                    line[number] = round(spent / took, 4) if spent >= 0 else None
                else:
                    line[number] = round(value, 3)
            yield TimeSeries(name.replace(" ", "_"), name, tuple(line))

    def _shades(self, run: RunRecord, now: float) -> Iterator[Shade]:
        def shade(kind: str, name: str, begin: float, end: float | None) -> Shade:
            until = now if end is None else end
            return Shade(kind, name, round(begin - self.start, 3), round(until - self.start, 3))  # type: ignore[arg-type]

        for scenario in run.scenarios:
            if scenario.started is None:
                continue
            yield shade("scenario", scenario.name, scenario.started, scenario.ended)
            for case in scenario.cases:
                if case.started is not None:
                    yield shade("case", f"{scenario.name} / {case.name}", case.started, case.ended)
        for fault in run.faults:
            yield shade("fault", f"{fault.target} {fault.kind}", fault.started, fault.ended)

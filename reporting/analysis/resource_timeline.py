"""CPU, memory and the server's own gauges on a time axis, from the samples that a run kept."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from reelbench.reporting.analysis import server_figures as figures
from reelbench.reporting.analysis.bins import Bins, Numbers, Values
from reelbench.reporting.analysis.timeline import TimePanel, TimeSeries
from reelbench.reporting.catalogue.server_metrics import ServerRole
from reelbench.reporting.evidence.evidence import Evidence, once
from reelbench.reporting.evidence.measurements import SampleSeries
from reelbench.reporting.evidence.process_samples import total
from reelbench.reporting.evidence.server_evidence import ServerGauge
from reelbench.reporting.evidence.usage_samples import LONGEST_GAP

MEGA = 1e6
GAPS = 3.5
"""Typical distances of two samples from which on nothing is known in between."""
MOST_SERIES = 8
"""Lines of a panel: the eye cannot separate more."""
NAMES = {"service": "service", "workers": "media workers", "providers": "providers", "loadgen": "load generator"}
_GAUGES = (
    (
        "server_jobs",
        "Requests at the server by its own metrics",
        "requests",
        1.0,
        (ServerRole.RUNNING, ServerRole.WAITING),
    ),
    ("gpu_utilisation", "GPU utilisation", "%", 100.0, (ServerRole.GPU_UTILISATION,)),
    ("gpu_memory", "GPU memory", "GB", 1e-9, (ServerRole.GPU_MEMORY,)),
    ("gpu_power", "GPU power", "W", 1.0, (ServerRole.GPU_POWER,)),
    ("gpu_temperature", "GPU temperature", "°C", 1.0, (ServerRole.GPU_TEMPERATURE,)),
    (
        "server_memory",
        "Resident memory of the server by its own metrics",
        "MB",
        1 / MEGA,
        (ServerRole.RESIDENT_MEMORY,),
    ),
)
"""Id, title, unit, factor and roles of each panel of the server's own metrics."""

_PLAIN = re.compile(r"[^\w.:-]")
"""Signs that a legend cannot show, or reads as a formula."""

Samples = tuple[Numbers, Numbers]
"""Instants and values."""


def resource_panels(evidence: Evidence, axis: Bins) -> Iterator[TimePanel]:
    """Yield the panels of which the axis has a value."""
    found = (
        TimePanel("cpu", "CPU", "cores", _lines(axis, _cpu(evidence), counter=True)),
        TimePanel("memory", "Resident memory", "MB", _lines(axis, _memory(evidence), counter=False)),
        *(
            TimePanel(name, title, unit, _lines(axis, _gauges(evidence)[name], counter=False))
            for name, title, unit, _, _ in _GAUGES
        ),
    )
    for panel in found:
        if panel.series:
            yield panel


def _lines(axis: Bins, columns: dict[str, Samples], *, counter: bool) -> tuple[TimeSeries, ...]:
    lines = [
        (name, _values(axis, times, values, counter=counter)) for name, (times, values) in columns.items() if len(times)
    ]
    return tuple(
        TimeSeries(name.replace(" ", "_"), name, values)
        for name, values in lines[:MOST_SERIES]
        if any(value is not None for value in values)
    )


def _values(axis: Bins, times: Numbers, values: Numbers, *, counter: bool) -> Values:
    gaps = np.diff(times)
    gap = max(GAPS * float(np.median(gaps)) if len(gaps) else 0.0, LONGEST_GAP)
    return axis.slopes(times, values, gap) if counter else axis.last(times, values, gap)


@once
def _cpu(evidence: Evidence) -> dict[str, Samples]:
    """Return CPU seconds by process: the readings of the machine, else the scraped ones."""
    usage = evidence.usage
    if usage.times:
        return {NAMES[part.value]: _seen(usage.times, usage.cpu[part], usage.memory[part]) for part in usage.cpu}
    return _scraped(evidence, {"cpu": "{}", "media_cpu": "media workers"}, 1.0)


@once
def _memory(evidence: Evidence) -> dict[str, Samples]:
    """Return resident megabytes by process."""
    usage = evidence.usage
    if usage.times:
        return {
            NAMES[part.value]: _seen(usage.times, [value / MEGA for value in usage.memory[part]], usage.memory[part])
            for part in usage.memory
        }
    return _scraped(evidence, {"memory": "{}", "media_memory": "media workers"}, 1 / MEGA)


def _seen(times: Sequence[float], values: Sequence[float], memory: Sequence[float]) -> Samples:
    """Return the readings at which the part had processes."""
    there = np.array(memory) > 0
    return np.array(times)[there], np.array(values)[there]


def _scraped(evidence: Evidence, names: dict[str, str], factor: float) -> dict[str, Samples]:
    """Return scraped samples by process; series of one process that differ by kind are added up.

    Args:
        evidence: The evidence.
        names: Names of the lines by reading; braces stand for the process.
        factor: Multiplies each value.
    """
    found: dict[str, dict[tuple[str, str], list[SampleSeries]]] = {}
    for series in evidence.series:
        if (name := names.get(series.reading)) is not None:
            job = series.labels.get("job", "")
            cases = found.setdefault(name.format(NAMES.get(job, job)), {})
            cases.setdefault((series.scenario, series.case), []).append(series)
    return {
        line: _joined({at: v * factor for one in cases.values() for at, v in total(one)})
        for line, cases in found.items()
    }


@once
def _gauges(evidence: Evidence) -> dict[str, dict[str, Samples]]:
    """Return the samples of the server's own gauges by panel and line."""
    found: dict[str, dict[str, Samples]] = {}
    for name, _, _, factor, roles in _GAUGES:
        lines: dict[str, dict[float, float]] = {}
        for scenario in evidence.run.scenarios:
            for case in scenario.cases:
                for role in roles:
                    for one in figures.gauges(evidence, role, scenario.name, case.name):
                        points = lines.setdefault(_name(role, one, several=len(roles) > 1), {})
                        points.update((at, v * factor) for at, v in zip(one.times, one.values, strict=True))
        found[name] = {line: _joined(points) for line, points in sorted(lines.items())}
    return found


def _name(role: ServerRole, gauge: ServerGauge, *, several: bool) -> str:
    number = gauge.labels.get("gpu") or gauge.labels.get("gpu_uuid")
    place = f"GPU {_PLAIN.sub('_', number)[:40]}" if number else "server"
    return role.value if several else place


def _joined(points: dict[float, float]) -> Samples:
    ordered = sorted(points.items())
    return np.array([at for at, _ in ordered]), np.array([value for _, value in ordered])

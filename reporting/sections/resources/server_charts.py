"""Charts of GPUs and memory of a server that is not ours, through the scenario with most jobs."""

from __future__ import annotations

import re

from reelbench.loadgen.record.run import ScenarioRecord
from reelbench.reporting.analysis import server_figures as figures
from reelbench.reporting.catalogue.server_metrics import ServerRole
from reelbench.reporting.document.report import Chart, Series
from reelbench.reporting.evidence.evidence import Evidence, began
from reelbench.reporting.sections.performance.charts import thin

POINTS = 600
MOST_LINES = 8
"""GPUs of a chart; of more, the others are in the table."""
_PLAIN = re.compile(r"[^\w.:-]")
"""Signs that a legend cannot show, or reads as a formula."""
_UNITS = {
    ServerRole.GPU_UTILISATION: ("gpu_utilisation", "GPU utilisation", "Utilisation [%]", 100.0),
    ServerRole.GPU_POWER: ("gpu_power", "GPU power", "Power [W]", 1.0),
    ServerRole.GPU_MEMORY: ("gpu_memory", "GPU memory", "Memory in use [GB]", 1e-9),
    ServerRole.RESIDENT_MEMORY: ("server_memory", "Memory of the server", "Resident memory [MB]", 1e-6),
}


def gpus(evidence: Evidence) -> tuple[Chart, ...]:
    """Return utilisation, power and memory of the GPUs over the scenario with most jobs."""
    roles = (ServerRole.GPU_UTILISATION, ServerRole.GPU_POWER, ServerRole.GPU_MEMORY)
    return tuple(chart for role in roles if (chart := _chart(evidence, role)) is not None)


def memory(evidence: Evidence) -> tuple[Chart, ...]:
    """Return the resident memory over the scenario with most jobs."""
    chart = _chart(evidence, ServerRole.RESIDENT_MEMORY)
    return () if chart is None else (chart,)


def _chart(evidence: Evidence, role: ServerRole) -> Chart | None:
    scenario = _longest(evidence)
    if scenario is None:
        return None
    lines: dict[str, dict[float, float]] = {}
    for case in scenario.cases:
        for one in figures.gauges(evidence, role, scenario.name, case.name):
            number = one.labels.get("gpu") or one.labels.get("gpu_uuid")
            name = f"GPU {_PLAIN.sub('_', number)[:40]}" if number else "server"
            lines.setdefault(name, {}).update(zip(one.times, one.values, strict=True))
    drawn = dict(sorted(lines.items())[:MOST_LINES])
    if not any(len(points) > 1 for points in drawn.values()):
        return None
    file, title, label, factor = _UNITS[role]
    start = min(min(points) for points in drawn.values())
    series = []
    for name, points in drawn.items():
        kept = thin(sorted(points.items()), POINTS)
        xs, ys = tuple(at - start for at, _ in kept), tuple(value * factor for _, value in kept)
        series.append(Series(name, xs, ys, draw="curve"))
    samples = max(len(points) for points in drawn.values())
    return Chart(
        name=file,
        kind="time",
        title=f"{title}: {scenario.name}",
        x_label="Time [s]",
        y_label=label,
        series=tuple(series),
        caption=f"Samples as scraped through all cases of `{scenario.name}`, with the time without load around them, "
        f"n = {samples}.",
    )


def _longest(evidence: Evidence) -> ScenarioRecord | None:
    """Return the scenario with most jobs, of any dimension."""
    found = [(len(evidence.scenario_jobs(s.name)), s) for s in evidence.run.scenarios if began(s)]
    return max(found, key=lambda one: one[0], default=(0, None))[1]

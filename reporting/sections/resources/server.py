"""CPU, memory, GPU, energy and cost of a server that is not ours, by its own metrics."""

from __future__ import annotations

from reelbench.loadgen.record.run import CaseRecord, ScenarioRecord
from reelbench.reporting.analysis import server_figures as figures
from reelbench.reporting.analysis.leak import HORIZON
from reelbench.reporting.catalogue.server_metrics import ServerRole
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Bullets, Paragraph, Section, Table
from reelbench.reporting.document.tables import with_values
from reelbench.reporting.document.text import literal
from reelbench.reporting.evidence.evidence import Evidence, place_name
from reelbench.reporting.evidence.server_evidence import ServerGauge
from reelbench.reporting.sections.resources import server_charts

PROCESS = (ServerRole.CPU_SECONDS, ServerRole.RESIDENT_MEMORY, ServerRole.OPEN_FILES)
GPU = (
    ServerRole.GPU_UTILISATION,
    ServerRole.GPU_MEMORY,
    ServerRole.GPU_POWER,
    ServerRole.GPU_TEMPERATURE,
    ServerRole.GPU_ERRORS,
)
MOST_GPUS = 64
"""Rows of a case."""
Place = tuple[ScenarioRecord, CaseRecord]


def places(evidence: Evidence) -> list[Place]:
    """Return every case that ended, of all dimensions: the metrics of the server cover the whole run."""
    return [
        (scenario, case)
        for scenario in evidence.run.scenarios
        for case in scenario.cases
        if case.started is not None and case.ended is not None
    ]


def process(evidence: Evidence) -> Section | None:
    """Return CPU time and memory of the server's processes; None without such metrics."""
    if not figures.has(evidence, *PROCESS):
        return None
    rows = []
    for scenario, case in places(evidence):
        used = figures.cpu_seconds(evidence, scenario.name, case.name)
        memory = figures.gauges(evidence, ServerRole.RESIDENT_MEMORY, scenario.name, case.name)
        files = figures.gauges(evidence, ServerRole.OPEN_FILES, scenario.name, case.name)
        done = figures.videos(evidence, scenario.name, case.name)
        rows.append(
            (
                place_name(scenario.name, case.name),
                text.count(done),
                text.number(used[0] if used else None),
                text.number(used[0] / used[1] if used and used[1] else None),
                text.number(used[0] / done if used and done else None),
                *_memory_cells(memory),
                text.number(sum(one.most or 0.0 for one in files) if files else None, 0),
            )
        )
    columns = (
        "Scenario / case", "Videos", "CPU [s]", "CPU [cores]", "CPU [s/video]", "Memory before [MB]", "Mean [MB]",
        "Most [MB]", "After [MB]", "Open files, most",
    )  # fmt: skip
    caption = (
        "The processes that show `process_*` metrics. CPU: the difference between the two samples around the case; "
        "they can reach one scrape interval into the time without load. Memory (resident, 10^6 bytes): samples within "
        "the case, the last one before it, and the last one of the time without load after it. Child processes that "
        "show no metrics of their own are not seen: engines and workers of many servers are such."
    )
    table = with_values(Table(columns, tuple(rows), columns[1:], caption))
    blocks: list[Block] = [*_growth(evidence), table]
    return Section("CPU and memory of the server", (*blocks, *server_charts.memory(evidence)))


def _memory_cells(found: list[ServerGauge]) -> list[str]:
    def summed(values: list[float | None]) -> float | None:
        return sum(value or 0.0 for value in values) if values and None not in values else None

    return [
        text.megabytes(summed(values))
        for values in (
            [one.before for one in found],
            [one.mean for one in found],
            [one.most for one in found],
            [one.after for one in found],
        )
    ]


def _growth(evidence: Evidence) -> list[Block]:
    """Return whether memory grows from job to job, in each case of the resources scenarios with enough samples."""
    items = []
    for scenario, case in evidence.cases("resources"):
        found = figures.memory_growth(evidence, scenario.name, case)
        if found is None:
            continue
        sentence = (
            f"{place_name(scenario.name, case.name)}: **{found.share * 100:+.2f} %** after {found.jobs} jobs, from "
            f"{text.amount(found.beginning)} to {text.amount(found.end)} (without load before and after the case)"
        )
        if found.trend is not None:
            lower, upper = (text.amount(limit) for limit in (found.trend.interval.lower, found.trend.interval.upper))
            word = "significant" if found.trend.significant else "not significant"
            sentence += (
                f"; trend within the case {word} (n = {found.n} samples, p = {found.trend.p:.3g}), slope "
                f"{text.amount(found.trend.slope)} per job (95 % CI {lower} to {upper})"
            )
        items.append(f"{sentence}.")
    if not items:
        return []
    rule = (
        f"A leak needs a significant trend (Mann-Kendall after Hamed and Rao); its lower limit over {HORIZON:,} jobs "
        "is the indicator. A server that keeps memory for reuse grows in its first jobs and then no more."
    )
    return [Bullets((*items, rule))]


def gpu(evidence: Evidence) -> Section | None:
    """Return utilisation, memory, power and temperature of every GPU; None without such metrics."""
    if not figures.has(evidence, *GPU, ServerRole.PEAK_MEMORY):
        return None
    rows, errors = [], [*_peaks(evidence)]
    for scenario, case in places(evidence):
        name = place_name(scenario.name, case.name)
        by_gpu: dict[tuple[tuple[str, str], ...], dict[str, ServerGauge]] = {}
        for role in GPU:
            for one in figures.gauges(evidence, role, scenario.name, case.name):
                by_gpu.setdefault(tuple(sorted(one.labels.items())), {})[one.role] = one
        for labels, found in sorted(by_gpu.items())[:MOST_GPUS]:
            used, held, power, heat = (found.get(role) for role in GPU[:4])
            rows.append(
                (
                    name,
                    literal(gpu_name(dict(labels))),
                    text.count(max((one.n for one in found.values()), default=0)),
                    text.percent(used.mean if used else None),
                    text.percent(used.most if used else None),
                    text.number(held.mean / 1e9 if held and held.mean is not None else None),
                    text.number(held.most / 1e9 if held and held.most is not None else None),
                    text.number(power.mean if power else None, 1),
                    text.number(power.most if power else None, 1),
                    text.number(heat.most if heat else None, 0),
                )
            )
            xid = found.get(ServerRole.GPU_ERRORS)
            if xid is not None and (codes := figures.new_errors(xid)):
                errors.append(f"**XID {', '.join(map(str, codes))}** on {literal(gpu_name(dict(labels)))} in {name}.")
    columns = (
        "Scenario / case", "GPU", "Samples", "Utilisation: mean %", "Most %", "Memory: mean [GB]", "Most [GB]",
        "Power: mean [W]", "Most [W]", "Temperature: most [°C]",
    )  # fmt: skip
    caption = (
        "Gauges within each case, as scraped (GB: 10^9 bytes). The utilisation of NVIDIA's driver is the share of time "
        "in which a kernel ran, not how much of the GPU it used. DCGM's exporter renews its values every 30 s unless "
        "its option `-c` says otherwise: in a short case they are those of the time before. Other processes on the GPU "
        "are contained."
    )
    blocks: list[Block] = [Bullets(tuple(errors))] if errors else []
    if rows:
        blocks.append(with_values(Table(columns, tuple(rows), columns[2:], caption)))
    return Section("GPUs", (*blocks, *server_charts.gpus(evidence)))


def _peaks(evidence: Evidence) -> list[str]:
    """Return the peak memory that the server itself reports, by stage, over the whole run."""
    most: dict[str, float] = {}
    for scenario, case in places(evidence):
        for one in figures.gauges(evidence, ServerRole.PEAK_MEMORY, scenario.name, case.name):
            if one.most is not None:
                stage = one.labels.get("stage", "")
                most[stage] = max(most.get(stage, 0.0), one.most)
    if not most:
        return []
    parts = [
        f"{text.amount(value)}{f' (stage {literal(stage)})' if stage else ''}" for stage, value in sorted(most.items())
    ]
    return [f"Peak memory of a request, as the server reports it: **{text.listed(parts)}** at most."]


def gpu_name(labels: dict[str, str]) -> str:
    """Return the name of a GPU as a reader knows it."""
    number = labels.get("gpu") or labels.get("gpu_uuid")
    parts = [f"GPU {number}" if number else "all GPUs", labels.get("modelName", ""), labels.get("Hostname", "")]
    return ", ".join(part for part in parts if part)


def unknown(evidence: Evidence) -> Section | None:
    """Return what this report cannot know of a server that is not ours; None for the service of this project."""
    if not evidence.foreign:
        return None
    items = [sentence for roles, sentence in _MISSING if not figures.has(evidence, *roles)]
    items += [
        (
            "Not known of any server of another maker: its caches, its connections to other services, what its bytes "
            "to others cost, and the part that other clients have in its counters."
        ),
        (
            "Memory and CPU are those of the processes that show metrics; the host, its containers and child processes "
            "are not seen."
        ),
    ]
    lead = "The indicators of this report come from the server's own metrics; what they do not show is left out."
    if evidence.server is None:
        lead = "The server shows no metrics to this run (`--metrics`, or `--prometheus` with `--selector`)."
    return Section("What is not known", (Paragraph(lead), Bullets(tuple(items))))


_MISSING: tuple[tuple[tuple[ServerRole, ...], str], ...] = (
    ((ServerRole.CPU_SECONDS,), "CPU: no `process_cpu_seconds_total` (Python's multiprocess mode does not show it)."),
    ((ServerRole.RESIDENT_MEMORY,), "Memory: no `process_resident_memory_bytes`, so growth and leaks are not judged."),
    ((ServerRole.GPU_UTILISATION,), "GPUs: no utilisation; give the page of a DCGM exporter as a further `--metrics`."),
    ((ServerRole.GPU_ENERGY, ServerRole.GPU_POWER), "Energy: no power or energy of a GPU."),
)

"""Latency, queue and stages of a server that is not ours, as its own metrics show them, next to the client's view."""

from __future__ import annotations

from statistics import fmean

from reelbench.loadgen.record.jobs import JobRecord, Outcome
from reelbench.loadgen.record.run import CaseRecord, ScenarioRecord
from reelbench.reporting.analysis import server_figures as figures
from reelbench.reporting.catalogue.server_metrics import ServerRole
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Bullets, Paragraph, Section, Table
from reelbench.reporting.document.tables import with_values
from reelbench.reporting.document.text import literal
from reelbench.reporting.evidence.dimension import Dimension
from reelbench.reporting.evidence.evidence import Evidence, place_name
from reelbench.reporting.sections.performance import server_queue

TIMES = (
    ServerRole.LATENCY,
    ServerRole.QUEUE_TIME,
    ServerRole.INFERENCE_TIME,
    ServerRole.STEP_TIME,
    ServerRole.STEPS,
    ServerRole.BATCH_SIZE,
)
MOST_STAGES = 20
"""Rows of a case."""
NARROW = 1.25
"""Ratio of the bounds of a bucket up to which an estimate within it is worth a number."""
ENDED = frozenset({Outcome.COMPLETED, Outcome.FAILED})


def section(evidence: Evidence) -> Section | None:
    """Return what the server says of its own times; None when its metrics say nothing of them."""
    places = [
        (scenario, case)
        for scenario, case in evidence.cases(Dimension.PERFORMANCE)
        if case.model != "idle" and case.ended is not None
    ]
    blocks: list[Block] = []
    if figures.has(evidence, *TIMES[:4]):
        blocks += _times(evidence, places)
    if figures.has(evidence, ServerRole.STAGE_TIME):
        blocks.append(_stages(evidence, places))
    blocks += server_queue.blocks(evidence)
    return Section("The server's own times", tuple(blocks)) if blocks else None


def key_figures(evidence: Evidence) -> list[str]:
    """Return the server's own latency and queue in the case with most jobs in flight; empty without such metrics."""
    found = []
    for scenario, case in evidence.cases(Dimension.PERFORMANCE):
        latency, queue = (figures.timing(evidence, role, scenario.name, case.name) for role in TIMES[:2])
        if latency is not None and case.model == "closed":
            found.append((case.concurrency, latency.n, place_name(scenario.name, case.name), latency, queue))
    if not found:
        return []
    single, busiest = min(found, key=lambda one: (one[0], -one[1])), max(found, key=lambda one: one[:2])
    return [_latency(*one[2:], in_flight=one[0]) for one in dict.fromkeys((single, busiest))]


def _latency(name: str, latency: figures.Timing, queue: figures.Timing | None, *, in_flight: int) -> str:
    waited = ""
    if queue is not None and latency.mean:
        waited = f", of it {queue.mean:.3f} s in the queue ({queue.mean / latency.mean * 100:.0f} %)"
    return (
        f"Latency by the server's own metrics: **{latency.mean:.3f} s**{waited} (mean, {name}, {in_flight} in flight, "
        f"n = {latency.n})."
    )


def _times(evidence: Evidence, places: list[tuple[ScenarioRecord, CaseRecord]]) -> list[Block]:
    rows, items = [], []
    for scenario, case in places:
        name = place_name(scenario.name, case.name)
        if figures.restarted(evidence, scenario.name, case.name):
            items.append(f"{name}: the server was started again, so the differences of its counters are not used.")
            continue
        latency, queue, inference, step, steps, batch = (
            figures.timing(evidence, role, scenario.name, case.name) for role in TIMES
        )
        jobs = [job for job in evidence.case_jobs(scenario.name, case.name) if job.outcome in ENDED]
        if not jobs or not any((latency, queue, inference, step)):
            continue
        client = fmean(job.done - job.sent for job in jobs)
        rows.append(
            (
                name,
                text.count(len(jobs)),
                text.seconds(client),
                text.seconds(_until_reported(jobs)),
                text.seconds(max((job.poll_gap for job in jobs if job.poll_gap is not None), default=None)),
                text.count(latency.n if latency else None),
                text.seconds(latency.mean if latency else None),
                _p95(latency),
                text.seconds(client - latency.mean if latency else None),
                text.seconds(queue.mean if queue else None),
                _p95(queue),
                text.seconds(inference.mean if inference else None),
                text.seconds(step.mean if step else None),
                text.number(steps.mean if steps else None, 1),
                text.number(batch.mean if batch else None),
            )
        )
    blocks: list[Block] = [Bullets(tuple(items))] if items else []
    if not rows:
        return blocks
    columns = (
        "Scenario / case", "Client: jobs", "Client: mean [s]", "Until reported [s]", "Between two polls: most [s]",
        "Server: n", "Server: mean [s]", "Server: P95 [s]", "Client - server [s]", "Queue: mean [s]", "Queue: P95 [s]",
        "Inference: mean [s]", "Per step: mean [s]", "Steps: mean", "Batch: mean",
    )  # fmt: skip
    caption = (
        "Client: completed and failed measured jobs, from sending to the end, with the download; until reported: up to "
        "the answer that first reported the end, which comes later than the end by at most the time between two polls. "
        "Server: differences of its cumulative metrics between the samples around the case; means are exact (sum over "
        "count), of a P95 its bucket is known. Client - server: network, polling, download and what the server does "
        "outside of its own latency. Requests of other clients of the server are contained and cannot be distinguished."
    )
    return [*blocks, with_values(Table(columns, tuple(rows), columns[1:], caption))]


def _until_reported(jobs: list[JobRecord]) -> float | None:
    known = [job.ended - job.sent for job in jobs if job.ended is not None]
    return fmean(known) if len(known) == len(jobs) else None


def _p95(found: figures.Timing | None) -> str:
    """Return a P95 as its bucket; with an estimate where the bucket is narrow."""
    if found is None or found.p95 is None or found.bound is None:
        return text.NONE
    if found.bound.upper is None:
        return f"> {text.seconds(found.bound.lower)}"
    if not found.bound.lower:
        return f"≤ {text.seconds(found.bound.upper)}"
    bucket = text.bucket(found.bound)
    return f"{text.seconds(found.p95)} ({bucket})" if found.bound.upper / found.bound.lower <= NARROW else bucket


def _named(labels: figures.Labels) -> str:
    """Return the name of a stage; a bare number with the name of its label."""
    return ", ".join(f"{name} {value}" if value.isdigit() else value for name, value in labels) or "all"


def _stages(evidence: Evidence, places: list[tuple[ScenarioRecord, CaseRecord]]) -> Block:
    rows = []
    for scenario, case in places:
        stages = figures.by_label(evidence, ServerRole.STAGE_TIME, scenario.name, case.name)
        whole = sum(found.mean * found.n for found in stages.values())
        longest = sorted(stages.items(), key=lambda one: -one[1].mean * one[1].n)
        for labels, found in longest[:MOST_STAGES]:
            rows.append(
                (
                    place_name(scenario.name, case.name),
                    literal(_named(labels)),
                    text.count(found.n),
                    text.seconds(found.mean),
                    _p95(found),
                    text.number(found.mean * found.n, 1),
                    text.percent(found.mean * found.n / whole if whole else None),
                )
            )
    if not rows:
        return Paragraph("The server's metrics have stages, but none ran in a case of this report.")
    columns = ("Scenario / case", "Stage", "n", "Mean [s]", "P95 [s]", "Sum [s]", "Share of the sums %")
    caption = (
        f"Stages as the server names them, at most {MOST_STAGES} of a case: one execution each, most time first. "
        "Stages can contain each other or run at the same time, so shares are of the sums and not of the response time."
    )
    return Table(columns, tuple(rows), columns[2:], caption)

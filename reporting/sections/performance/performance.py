"""The performance report."""

from __future__ import annotations

from reelbench.reporting.analysis.load_levels import Level, levels
from reelbench.reporting.analysis.verdicts import Analysis
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Bullets, Paragraph, Report, Section, Table
from reelbench.reporting.evidence.evidence import Evidence, place_name
from reelbench.reporting.evidence.measurements import Measurement
from reelbench.reporting.sections import common, outliers, principles, warmup
from reelbench.reporting.sections.performance import (
    charts,
    components,
    distribution,
    open_loop,
    operations,
    scalability,
    where_time_goes,
)
from reelbench.reporting.sections.performance.recommendations import recommend
from reelbench.reporting.statistics import littles_law

DIMENSION = "performance"
CROWD = 50
"""Jobs in flight at which the throughput objective is set."""

NO_CLOSED = "No closed case is part of this run; open ones are under open-loop load."
STARRED = r"\* n is too small for an upper limit of the 95 % interval; below n = 100 the P99 is the maximum."


def build(evidence: Evidence, analysis: Analysis) -> Report:
    """The performance report as data."""
    every = levels(evidence)
    load = tuple(level for level in every if level.scenario == "concurrent_load")
    return Report(
        name="performance_report",
        title=f"Performance report of run {evidence.run.run_id}",
        sections=(
            common.verdict(evidence, analysis, DIMENSION),
            _key_metrics(evidence, every),
            common.objectives(evidence, analysis),
            _response_time(evidence, every),
            _percentiles(evidence, (*every, *levels(evidence, model="open"))),
            warmup.section(evidence, DIMENSION),
            _concurrent_load(evidence, analysis, load),
            *((scalability.section(load),) if load else ()),
            _littles_law(every),
            _throughput(evidence, every),
            open_loop.section(evidence, analysis),
            operations.section(evidence),
            components.section(evidence),
            where_time_goes.section(evidence),
            outliers.section(evidence, DIMENSION),
            _recommendations(evidence, load),
            common.reconciliation(analysis),
            principles.section(evidence, analysis, DIMENSION),
            common.environment(evidence),
            common.workload(evidence, DIMENSION),
            common.method(evidence),
            common.queries(evidence, DIMENSION),
        ),
    )


def _key_metrics(evidence: Evidence, every: tuple[Level, ...]) -> Section:
    items = []
    single = next((level.times for level in every if level.scenario == "single_request" and level.times), None)
    if single:
        spread = f" +- {single.stddev:.3f}" if single.stddev is not None else ""
        promql = _first(evidence, "response_time_p95", "single_request")
        items += [
            (
                f"Response time of a single request: **{single.average:.3f}{spread} s** (average +- sample "
                f"standard deviation, n = {single.n}; 95 % CI of the average in s: "
                f"{text.interval(single.average_interval)})."
            ),
            (
                f"P95 of a single request: **{single.p95.value:.3f} s** (95 % CI in s: "
                f"{text.interval(single.p95.interval)}; PromQL {text.quantile(promql)} s)."
            ),
        ]
    best = _best(every)
    if best and best.throughput is not None:
        items.append(
            f"Maximum throughput: **{best.throughput:.2f} jobs/s** in {place_name(best.scenario, best.case)} "
            f"({best.concurrency} in flight, n = {best.times.n if best.times else 0})."
        )
    items.extend(
        f"Success rate at {level.concurrency} in flight ({level.scenario}): **{level.success.value * 100:.1f} %** "
        f"(95 % CI {level.success.lower * 100:.1f} to {level.success.upper * 100:.1f} %, n = {level.success.n})."
        for level in every
        if level.concurrency == CROWD and level.success
    )
    items += open_loop.key_figures(evidence)
    if not items:
        return Section("Key metrics", (Paragraph("No job was completed in a scenario with a key metric."),))
    note = Paragraph("For a paper; exact values from the client's records. Cite them with environment and method.")
    return Section("Key metrics", (note, Bullets(tuple(items))))


def _response_time(evidence: Evidence, every: tuple[Level, ...]) -> Section:
    if not every:
        return Section("Response time", (Paragraph(NO_CLOSED),))
    rows = tuple(
        (
            place_name(level.scenario, level.case),
            text.count(level.times.n),
            text.seconds(level.times.minimum),
            text.seconds(level.times.average),
            text.interval(level.times.average_interval),
            text.seconds(level.times.maximum),
            text.seconds(level.times.stddev),
            *(text.tail(percentile) for percentile in (level.times.p50, level.times.p95, level.times.p99)),
        )
        if level.times
        else (place_name(level.scenario, level.case), "0", *[text.NONE] * 8)
        for level in every
    )
    columns = ("Scenario / case", "n", "Min", "Avg", "95 % CI of avg", "Max", "Stddev", "P50", "P95", "P99")
    blocks: list[Block] = [
        Table(
            columns,
            rows,
            numeric=columns[1:],
            caption=f"Response time of completed jobs in seconds, exact values from the client's records. {STARRED}",
        )
    ]
    single = next((level for level in every if level.scenario == "single_request" and level.times), None)
    if single:
        blocks.append(charts.ecdf(evidence, single))
    return Section("Response time", tuple(blocks))


def _percentiles(evidence: Evidence, every: tuple[Level, ...]) -> Section:
    rows = []
    for level in every:
        if level.times is None or level.cut_off:  # PromQL has no percentile that counts cut-off jobs
            continue
        place = place_name(level.scenario, level.case)
        average = evidence.measured("response_time_avg", level.scenario, level.case)
        limits = text.interval(level.times.average_interval)
        rows.append((place, "avg", *_beside(average, level.times.average), limits))
        for name, percentile in (("P50", level.times.p50), ("P95", level.times.p95), ("P99", level.times.p99)):
            measured = evidence.measured(f"response_time_{name.lower()}", level.scenario, level.case)
            rows.append((place, name, *_beside(measured, percentile.value), text.interval(percentile.interval)))
    columns = ("Scenario / case", "Figure", "PromQL", "Bucket", "Exact", "Difference %", "95 % CI of exact")
    table = Table(
        columns,
        tuple(rows),
        numeric=("PromQL", "Bucket", "Exact", "Difference %"),
        caption="Seconds. The true sample quantile lies in the bucket; the PromQL value interpolates within it. The "
        "difference is that of PromQL from exact.",
    )
    return Section("PromQL beside exact", (table,), level=3)


def _beside(measurement: Measurement | None, exact: float) -> tuple[str, str, str, str]:
    value = measurement.value if measurement else None
    return (
        text.seconds(value),
        text.bucket(measurement.bound if measurement else None),
        text.seconds(exact),
        text.relative(value, exact),
    )


def _concurrent_load(evidence: Evidence, analysis: Analysis, load: tuple[Level, ...]) -> Section:
    if not load:
        return Section("Concurrent load", common.not_run("concurrent_load"))
    lateness = {(h.scenario, h.case): h.lateness_p99 for h in analysis.health}
    rows = tuple(
        (
            text.count(level.concurrency),
            text.count(level.success.n if level.success else 0),
            text.rate(level.success),
            text.number(level.throughput),
            text.seconds(level.times.average if level.times else None),
            text.tail(level.times.p95) if level.times else text.NONE,
            text.tail(level.times.p99) if level.times else text.NONE,
            text.quantile(level.queue_p95),
            text.milliseconds(lateness.get((level.scenario, level.case))),
            text.number(level.generator_cpu),
        )
        for level in load
    )
    columns = (
        "In flight", "n", "Success % (95 % CI)", "Jobs/s", "Avg [s]", "P95 [s]", "P99 [s]", "Queue P95 [s]",
        "Lateness P99 [ms]", "Generator CPU [cores]",
    )  # fmt: skip
    caption = (
        "Exact values from the client's records, queue time from PromQL with the bucket that holds the true sample "
        f"quantile. {STARRED}"
    )
    drawn = [level for level in load if level.times and level.throughput is not None]
    return Section(
        "Concurrent load",
        (
            Table(columns, rows, numeric=columns, caption=caption),
            *(charts.by_concurrency(evidence, drawn) if drawn else ()),
            *(
                (distribution.ecdf_by_concurrency(evidence, drawn), distribution.over_time(evidence, drawn))
                if drawn
                else ()
            ),
        ),
    )


def _littles_law(every: tuple[Level, ...]) -> Section:
    rows = tuple(
        (
            place_name(level.scenario, level.case),
            text.count(law.slots),
            text.number(law.whole.throughput),
            text.seconds(law.whole.response_time),
            text.number(law.whole.in_flight),
            text.number(law.steady.in_flight if law.steady else None),
            text.seconds(law.steady.seconds if law.steady else None),
            law.word,
        )
        for level in every
        if (law := level.littles_law) is not None
    )
    if not rows:
        return Section("Little's law", (Paragraph("No closed loop ran that the law could be checked on."),), level=3)
    columns = ("Scenario / case", "N", "X [jobs/s]", "R [s]", "X R", "X R steady", "Steady [s]", "Result")
    caption = (
        "Jobs in flight of a closed loop, N = X R (Little, Operations Research 9(3), 1961): all measured jobs whatever "
        "their outcome, over the whole case and over its steady part, from the last slot's start to the moment the "
        f"first slot has nothing left to send. Within {littles_law.TOLERANCE * 100:g} % they agree: then the records "
        "hold every job that was in flight, and the client's clocks and counts are consistent."
    )
    return Section("Little's law", (Table(columns, rows, columns[1:-1], caption),), level=3)


def _throughput(evidence: Evidence, every: tuple[Level, ...]) -> Section:
    if not every:
        return Section("Throughput", (Paragraph(NO_CLOSED),))
    rows = tuple(
        (
            place_name(level.scenario, level.case),
            text.count(level.concurrency),
            text.count(level.times.n if level.times else 0),
            text.number(evidence.value("throughput", level.scenario, level.case)),
            text.number(level.throughput),
            text.number(evidence.value("request_rate", level.scenario, level.case), 1),
            text.number(level.requests, 1),
        )
        for level in every
    )
    columns = (
        "Scenario / case", "In flight", "Completed jobs", "Jobs/s PromQL", "Jobs/s exact", "Requests/s PromQL",
        "Requests/s exact",
    )  # fmt: skip
    items = []
    best = _best(every)
    if best:
        items.append(
            f"Maximum: **{text.number(best.throughput)} jobs/s** in {place_name(best.scenario, best.case)}, "
            f"{best.concurrency} in flight."
        )
    at_crowd = [level for level in every if level.concurrency == CROWD]
    items.extend(
        f"At {CROWD} in flight ({level.scenario}): **{text.number(level.throughput)} jobs/s** and "
        f"{text.number(level.requests, 1)} HTTP requests/s."
        for level in at_crowd
    )
    if not at_crowd:
        items.append(f"No case held {CROWD} jobs in flight.")
    caption = "Completed measured jobs, and requests of measured jobs, over the recorded length of the case."
    return Section("Throughput", (Bullets(tuple(items)), Table(columns, rows, numeric=columns[1:], caption=caption)))


def _best(every: tuple[Level, ...]) -> Level | None:
    known = [level for level in every if level.throughput]
    return max(known, key=lambda level: level.throughput or 0.0, default=None)


def _recommendations(evidence: Evidence, load: tuple[Level, ...]) -> Section:
    success = evidence.catalogue.get("success_rate").objective
    response = evidence.catalogue.get("response_time_p95").objective
    advice = recommend(
        load,
        components.parts_of(evidence),
        min_success=success.value if success else 0.0,
        max_p95=response.value if response else float("inf"),
    )
    if not advice:
        text = "The run holds too little for advice: it needs `concurrent_load` or `component_speed`."
        return Section("Scalability recommendations", (Paragraph(text),))
    return Section("Scalability recommendations", (Bullets(advice),))


def _first(evidence: Evidence, sli: str, scenario: str) -> Measurement | None:
    found = evidence.scenario(scenario)
    asked = [evidence.measured(sli, scenario, case.name) for case in found.cases] if found else []
    return next((m for m in asked if m is not None and m.value is not None), None)

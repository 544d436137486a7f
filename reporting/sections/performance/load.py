"""Response times and throughput of the closed cases and of the levels of load, and the effect of the warm-up."""

from __future__ import annotations

from reelbench.loadgen.record.jobs import Outcome
from reelbench.reporting.analysis import generator_health, subjects
from reelbench.reporting.analysis.load_levels import Level, levels
from reelbench.reporting.catalogue.sli import Role
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Bullets, Paragraph, Section, Table
from reelbench.reporting.evidence.dimension import Dimension
from reelbench.reporting.evidence.evidence import Evidence, case_seconds, place_name
from reelbench.reporting.evidence.measurements import Measurement
from reelbench.reporting.evidence.stretch import Basis
from reelbench.reporting.sections.performance import charts
from reelbench.reporting.statistics import littles_law
from reelbench.reporting.statistics.intervals import summarize

STEADY = "Steady part"
NO_CLOSED = "No closed case is part of this run; open ones are under open-loop load."
STARRED = (
    r"\* n is too small for an upper limit of the 95 % interval, or the case has no steady part; below n = 100 the P99 "
    "is the maximum."
)
BASIS = (
    "Steady part: the jobs that ended from the time at which each virtual user had completed its first job until the "
    "first one found no job left. No: too few jobs end in it, and all jobs count, with the burst at the start and the "
    "drain at the end, which make times and rates smaller. -: one virtual user, a pace or faults, and all jobs count."
)


def load(evidence: Evidence) -> tuple[Level, ...]:
    """Return the levels of load: the cases of the scenario with most of them."""
    found = subjects.load_levels(evidence, Dimension.PERFORMANCE)
    return levels(evidence, found.name) if found else ()


def single(evidence: Evidence) -> Level | None:
    """Return the case of a single request."""
    found = subjects.single_request(evidence)
    every = levels(evidence, found.name) if found else ()
    return next((level for level in every if found and level.case == found.case.name), None)


def fastest(evidence: Evidence) -> Level | None:
    """Return the closed case with the highest throughput."""
    known = [level for level in levels(evidence) if level.throughput]
    return max(known, key=lambda level: level.throughput or 0.0, default=None)


def rate_limits(level: Level) -> str:
    """Return the interval of a level's throughput in words."""
    limits = level.throughput_interval
    if limits.lower is None:
        return "too few jobs for an interval"
    upper = "and more" if limits.upper is None else f"to {limits.upper:.2f}"
    return f"95 % CI {limits.lower:.2f} {upper} jobs/s"


def crowded(evidence: Evidence) -> list[Level]:
    """Return the closed cases with as many jobs in flight as the throughput objective names."""
    sli = evidence.catalogue.of_role(Role.THROUGHPUT)
    named = sli.objective.concurrency if sli and sli.objective else None
    return [level for level in levels(evidence) if level.concurrency == named]


def send_delays(evidence: Evidence) -> dict[tuple[str, str], float | None]:
    """Return the P99 of the generator's send delay in seconds, by scenario and case."""
    found = generator_health.check(evidence, Dimension.PERFORMANCE)
    return {(health.scenario, health.case): health.send_delay_p99 for health in found}


def response_time(evidence: Evidence) -> Section:
    """Return the response times of every closed case, and their distribution for a single request."""
    every = levels(evidence)
    if not every:
        return Section("Response time", (Paragraph(NO_CLOSED),))
    rows = tuple(
        (
            place_name(level.scenario, level.case),
            text.count(level.times.n),
            text.count(level.failed),
            text.seconds(level.times.minimum),
            text.seconds(level.times.average),
            text.interval(level.times.average_interval),
            text.seconds(level.times.maximum),
            text.seconds(level.times.stddev),
            *(text.tail(percentile) for percentile in (level.times.p50, level.times.p95, level.times.p99)),
            steady(evidence, level),
        )
        if level.times
        else (place_name(level.scenario, level.case), "0", text.count(level.failed), *[text.NONE] * 9)
        for level in every
    )
    columns = (
        "Scenario / case", "n", "Failed", "Min [s]", "Avg [s]", "95 % CI of avg [s]", "Max [s]", "Stddev [s]",
        "P50 [s]", "P95 [s]", "P99 [s]", STEADY,
    )  # fmt: skip
    caption = (
        "Response time of completed jobs in seconds, exact values from the client's records; jobs that failed are "
        f"counted and left out. {BASIS} {STARRED}"
    )
    blocks: list[Block] = [Table(columns, rows, columns[1:], caption)]
    alone = single(evidence)
    if alone and alone.times:
        blocks.append(charts.ecdf(evidence, alone))
    return Section("Response time", tuple(blocks))


def percentiles(evidence: Evidence) -> Section:
    """Return averages and percentiles by PromQL next to the exact ones."""
    rows = []
    for level in (*levels(evidence), *levels(evidence, model="open")):
        if level.times is None or level.cut_off:  # PromQL has no percentile that counts cut-off jobs
            continue
        place = place_name(level.scenario, level.case)
        whole = summarize(evidence.whole_times(level.scenario, level.case))
        assert whole is not None, "a part of it has times"
        average = evidence.measured(Role.RESPONSE_TIME_AVG, level.scenario, level.case)
        rows.append((place, "avg", *_beside(average, whole.average), text.interval(whole.average_interval)))
        for name, role, percentile in (
            ("P50", Role.RESPONSE_TIME_P50, whole.p50),
            ("P95", Role.RESPONSE_TIME_P95, whole.p95),
            ("P99", Role.RESPONSE_TIME_P99, whole.p99),
        ):
            measured = evidence.measured(role, level.scenario, level.case)
            rows.append((place, name, *_beside(measured, percentile.value), text.interval(percentile.interval)))
    columns = (
        "Scenario / case", "Figure", "PromQL [s]", "Bucket [s]", "Exact [s]", "Difference %", "95 % CI of exact [s]",
    )  # fmt: skip
    caption = (
        "Seconds. The sample's true percentile lies in the bucket; the PromQL value interpolates within it. "
        "Difference: PromQL relative to exact. Both are of all measured jobs of the case, as Prometheus has one "
        "histogram for a case; the number of a case with a steady part is the one under *Response time*."
    )
    return Section("PromQL and exact values", (Table(columns, tuple(rows), columns[2:6], caption),), level=3)


def _beside(measurement: Measurement | None, exact: float) -> tuple[str, str, str, str]:
    value = measurement.value if measurement else None
    return (
        text.seconds(value),
        text.bucket(measurement.bound if measurement else None),
        text.seconds(exact),
        text.relative(value, exact),
    )


def steady(evidence: Evidence, level: Level) -> str:
    """Return how many of the measured jobs end in the steady part; a dash where a case needs none."""
    if level.basis is Basis.WHOLE:
        return text.NONE
    if level.basis is Basis.NO_STEADY_PART:
        return "no"
    part, jobs = evidence.stretch(level.scenario, level.case), evidence.case_jobs(level.scenario, level.case)
    return f"{text.count(len(part.jobs))} of {text.count(len(jobs))}"


def concurrent_load(evidence: Evidence) -> Section | None:
    """Return response time, success and throughput by the number of jobs in flight."""
    every = load(evidence)
    if not every:
        return (
            None
            if evidence.foreign
            else Section("Concurrent load", (Paragraph("No scenario of this run has several levels of closed load."),))
        )
    delays = send_delays(evidence)
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
            text.milliseconds(delays.get((level.scenario, level.case))),
            text.number(level.generator_cpu),
            steady(evidence, level),
        )
        for level in every
    )
    columns = (
        "In flight", "n", "Success % (95 % CI)", "Jobs/s", "Avg [s]", "P95 [s]", "P99 [s]", "Queue P95 [s]",
        "Send delay P99 [ms]", "Generator CPU [cores]", STEADY,
    )  # fmt: skip
    caption = (
        f"Scenario `{every[0].scenario}`; exact values from the client's records: success of all measured jobs, "
        "times and jobs/s of the steady part where there is one (*Response time*). Queue time from PromQL, of the "
        f"whole case, with the bucket that holds the sample's true percentile. {STARRED}"
    )
    drawn = [level for level in every if level.times and level.throughput is not None]
    return Section("Concurrent load", (Table(columns, rows, columns, caption), *charts.of_levels(evidence, drawn)))


def check_of_littles_law(evidence: Evidence) -> Section:
    """Return whether N = X R holds in the closed cases."""
    rows = tuple(
        (
            place_name(level.scenario, level.case),
            text.count(law.virtual_users),
            text.number(law.whole.throughput),
            text.seconds(law.whole.response_time),
            text.number(law.whole.in_flight),
            text.number(law.busy.in_flight if law.busy else None),
            text.seconds(law.busy.seconds if law.busy else None),
            law.word,
        )
        for level in levels(evidence)
        if (law := level.littles_law) is not None
    )
    if not rows:
        return Section("Little's law", (Paragraph("No closed case without a pace ran."),), level=3)
    columns = ("Scenario / case", "N", "X [jobs/s]", "R [s]", "X R", "X R, all busy", "All busy [s]", "Result")
    caption = (
        "Jobs in flight of a closed loop, N = X R (Little, Operations Research 9(3), 1961): all measured jobs of any "
        "outcome, over the whole case and while all virtual users are busy, from the last virtual user's start until "
        f"the first one has no job left. Within {littles_law.TOLERANCE * 100:g} % they agree: the records then hold "
        "every job that was in flight, and the client's clocks and counts are consistent."
    )
    return Section("Little's law", (Table(columns, rows, columns[1:-1], caption),), level=3)


def throughput(evidence: Evidence) -> Section:
    """Return jobs and requests per second of every closed case."""
    every = levels(evidence)
    if not every:
        return Section("Throughput", (Paragraph(NO_CLOSED),))
    rows = tuple(
        (
            place_name(level.scenario, level.case),
            text.count(level.concurrency),
            text.count(level.times.n if level.times else 0),
            steady(evidence, level),
            text.number(level.throughput),
            text.number(level.requests, 1),
            *_whole_case(evidence, level),
        )
        for level in every
    )
    columns = (
        "Scenario / case", "In flight", "Completed jobs", STEADY, "Jobs/s", "Requests/s", "Whole case: jobs/s",
        "by PromQL", "requests/s", "by PromQL",
    )  # fmt: skip
    items = []
    if best := fastest(evidence):
        place = place_name(best.scenario, best.case)
        rate = text.job_rate(best.throughput)
        items.append(f"Maximum: **{rate}** in {place}, {best.concurrency} in flight ({rate_limits(best)}).")
    items.extend(
        f"At {level.concurrency} in flight ({level.scenario}): **{text.job_rate(level.throughput)}** and "
        f"{text.number(level.requests, 1)} HTTP requests/s."
        for level in crowded(evidence)
    )
    caption = (
        f"Completed measured jobs, and requests of measured jobs, per second of the steady part. {BASIS} Whole case: "
        "with start and drain, over the recorded length of the case; Prometheus counts only this."
    )
    return Section("Throughput", (Bullets(tuple(items)), Table(columns, rows, columns[1:], caption)))


def _whole_case(evidence: Evidence, level: Level) -> tuple[str, str, str, str]:
    """Return jobs and requests per second of the whole case, exact and by PromQL."""
    found = next(
        c for s, c in evidence.cases(Dimension.PERFORMANCE) if (s.name, c.name) == (level.scenario, level.case)
    )
    seconds = case_seconds(found)
    jobs = len(evidence.whole_times(level.scenario, level.case))
    requests = evidence.case_requests(level.scenario, level.case)
    return (
        text.number(jobs / seconds if seconds else None),
        text.number(evidence.value(Role.THROUGHPUT, level.scenario, level.case)),
        text.number(requests / seconds if seconds else None, 1),
        text.number(evidence.value(Role.REQUEST_RATE, level.scenario, level.case), 1),
    )


def warmup(evidence: Evidence) -> Section:
    """Return the figures of every case that has completed warm-up jobs."""
    rows = []
    warmed: dict[tuple[str, str], list[float]] = {}
    for job in evidence.jobs:
        if job.warmup and job.outcome is Outcome.COMPLETED:
            warmed.setdefault((job.scenario, job.case), []).append(job.done - job.due)
    for scenario, case in evidence.cases(Dimension.PERFORMANCE):
        measured = evidence.whole_times(scenario.name, case.name)
        warm = warmed.get((scenario.name, case.name), [])
        without, both = summarize(measured), summarize(measured + warm)
        if not warm or without is None or both is None:
            continue
        rows.append(
            (
                place_name(scenario.name, case.name),
                text.count(len(warm)),
                text.count(without.n),
                text.seconds(without.average),
                text.seconds(both.average),
                text.relative(both.average, without.average),
                text.tail(without.p95),
                text.tail(both.p95),
                text.seconds(without.maximum),
                text.seconds(both.maximum),
            )
        )
    if not rows:
        return Section("Warm-up", (Paragraph("No case has completed both warm-up and measured jobs."),), level=3)
    columns = (
        "Scenario / case", "Warm-up jobs", "n", "Avg [s]", "Avg incl. warm-up [s]", "Change %",
        "P95 [s]", "P95 incl. warm-up [s]", "Max [s]", "Max incl. warm-up [s]",
    )  # fmt: skip
    caption = (
        "Response time of completed jobs in seconds, without the warm-up jobs and with them; of whole cases. "
        "The number of warm-up jobs is declared in the scenario file before the run. "
        r"\* n is too small for an upper limit of the 95 % interval."
    )
    return Section("Warm-up", (Table(columns, tuple(rows), columns[1:], caption),), level=3)

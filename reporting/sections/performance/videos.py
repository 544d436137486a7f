"""How fast the server makes video, by content and by objective, and whether a cache answers repeated requests."""

from __future__ import annotations

from reelbench.reporting.analysis.video_speed import (
    CACHED,
    Repetition,
    attainments,
    repetitions,
    speeds,
    times,
)
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Paragraph, Section, Table
from reelbench.reporting.evidence.dimension import Dimension
from reelbench.reporting.evidence.evidence import Evidence, place_name


def section(evidence: Evidence) -> Section | None:
    """Return video throughput, real-time factors, the two ends of a job, and the jobs within the objective."""
    blocks = [block for block in (_speed(evidence), _times(evidence), _attainment(evidence)) if block is not None]
    return Section("Video throughput", tuple(blocks)) if blocks else None


def _speed(evidence: Evidence) -> Table | None:
    found = speeds(evidence, Dimension.PERFORMANCE)
    own = any(one.own for one in found)
    rows = tuple(
        (
            place_name(one.scenario, one.case),
            text.count(one.videos),
            text.count(one.opened),
            text.number(one.frames),
            text.number(one.seconds),
            text.number(one.factors.p50.value, 3),
            text.number(one.factors.p95.value, 3),
            *([text.number(one.own.p50.value if one.own else None, 3)] if own else []),
            text.number(one.byte_rate / 1000, 1),
        )
        for one in found
    )
    columns = (
        "Scenario / case", "Videos", "Opened", "Frames/s", "Video s/s", "Real-time factor P50", "P95",
        *(["Server's own P50"] if own else []), "kB per s of video",
    )  # fmt: skip
    caption = (
        "Frames (seconds) of video per second of the steady part, or of the whole case without one: the mean of the "
        "opened files that decode, times the videos of that part. Real-time factor: time from sending the request "
        "until the job was first reported done, including the queue, over the length of the content; ≤ 1 is faster "
        "than real time."
    )
    if own:
        caption += " The server's own factor takes the time of work that its answers name, without the queue."
    return Table(columns, rows, columns[1:], caption) if rows else None


def _times(evidence: Evidence) -> Table | None:
    rows = tuple(
        (
            place_name(one.scenario, one.case),
            text.count(one.read.n),
            text.seconds(one.reported.p50.value),
            text.tail(one.reported.p95),
            text.seconds(one.read.p50.value),
            text.tail(one.read.p95),
            text.seconds(one.read.average - one.reported.average),
            text.seconds(one.poll_gap),
        )
        for one in times(evidence, Dimension.PERFORMANCE)
    )
    columns = (
        "Scenario / case", "n", "Reported done P50", "P95", "File read P50", "File read P95", "Transfer avg",
        "Polling error ≤",
    )  # fmt: skip
    caption = (
        "Seconds from sending the request until an answer first reported the job done, and until its file was fully "
        "read. The real end lies before the reported one by at most the polling error: the longest time between the "
        r"poll that reported the end and the poll before it. \* n is too small for an upper limit of the 95 % interval."
    )
    return Table(columns, rows, columns[1:], caption) if rows else None


def _attainment(evidence: Evidence) -> Table | None:
    rows = tuple(
        (
            place_name(one.scenario, one.case),
            f"≤ {text.with_unit(one.limit, 's')}",
            text.fraction(one.share),
            text.rate(one.share),
            text.number(one.goodput, 3),
        )
        for one in attainments(evidence, Dimension.PERFORMANCE)
    )
    columns = ("Scenario / case", "Limit", "Within it", "Attainment % (95 % CI)", "Goodput [jobs/s]")
    caption = (
        "Jobs that succeeded within the objective of the P95 response time, of all of the steady part, or of the whole "
        "case without one, that were neither cancelled nor aborted; a failed job, or one with a broken file, is not "
        "within it. Goodput: such jobs per second of the same part."
    )
    return Table(columns, rows, columns[1:], caption) if rows else None


def caching_check(evidence: Evidence, dimension: Dimension) -> Section | None:
    """Return whether repeated requests are faster than distinct ones, for a server whose caches are not known."""
    found = repetitions(evidence, dimension) if evidence.foreign else ()
    return Section("Caching check", tuple(Paragraph(_repeated(one)) for one in found)) if found else None


def _repeated(one: Repetition) -> str:
    lead = (
        f"Repeated requests ({place_name(one.scenario, one.repeated)}, n = {one.again.n}) took "
        f"{one.again.average:.3f} s on average, the same ones when they were new ({one.new}, n = {one.distinct.n}) "
        f"{one.distinct.average:.3f} s"
    )
    limits = one.difference
    if limits.lower is None or limits.upper is None:
        return f"{lead}; the sample is too small to tell whether answers come from a cache."
    interval = f"95 % CI of the difference {limits.lower:+.3f} to {limits.upper:+.3f} s"
    if one.faster > CACHED and limits.upper < 0:
        return (
            f"**{lead}: {one.faster * 100:.0f} % faster** ({interval}). More than {CACHED * 100:g} %: a cache answers "
            "repeated requests, so their times do not measure generation."
        )
    return f"{lead} ({interval}): no sign of a cache (limit {CACHED * 100:g} %, as in MLPerf's TEST04)."

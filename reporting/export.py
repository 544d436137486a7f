"""Load records, query Prometheus, evaluate objectives, render reports."""

from __future__ import annotations

import math
from collections.abc import Collection
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import msgspec

from reelbench.loadgen.record.conditions import ahead_of, read_conditions
from reelbench.loadgen.record.jobs import read_calls, read_jobs, read_requests
from reelbench.loadgen.record.processes import read_usage
from reelbench.loadgen.record.run import RunRecord, read_run
from reelbench.loadgen.record.run_files import MEASUREMENTS_FILE, TRACES_DIR, RecordError
from reelbench.loadgen.record.stack import StackRecord, read_stack
from reelbench.loadgen.record.videos import read_videos
from reelbench.reporting.analysis import objectives, server_slis, subjects
from reelbench.reporting.analysis.record_slis import compute
from reelbench.reporting.analysis.verdicts import Status, Verdict, analyse, worst
from reelbench.reporting.catalogue.prices import PRICES_FILE, load_prices
from reelbench.reporting.catalogue.sli import Catalogue, ReportSection
from reelbench.reporting.catalogue.sli_file import CATALOGUE_FILE, load
from reelbench.reporting.evidence import integrity
from reelbench.reporting.evidence import measurements as measured
from reelbench.reporting.evidence.dimension import Dimension
from reelbench.reporting.evidence.evidence import Evidence
from reelbench.reporting.evidence.file_traces import FileTraces
from reelbench.reporting.evidence.kept import stronger
from reelbench.reporting.evidence.measurements import Measurements
from reelbench.reporting.evidence.process_samples import read_series
from reelbench.reporting.evidence.prometheus import Prometheus, QueryError, connect
from reelbench.reporting.evidence.queries import collect, questions
from reelbench.reporting.evidence.requests import Requests
from reelbench.reporting.evidence.server_samples import in_theirs, lag_of, server_of
from reelbench.reporting.evidence.trace_sampling import wanted
from reelbench.reporting.evidence.traces import TraceEvidence, TraceSource
from reelbench.reporting.evidence.usage_samples import UsageSamples
from reelbench.reporting.formats import DRAWN, Format
from reelbench.reporting.publish import publish
from reelbench.reporting.render import terminal
from reelbench.reporting.render.drawing import Drawing, drawing_processes
from reelbench.reporting.results.outcome import DimensionResult, RunResult
from reelbench.reporting.results.summary import Summary
from reelbench.reporting.sections.build import build_appendix, build_report
from reelbench.reporting.sections.summary.blocks import summary_report
from reelbench.reporting.sections.summary.make import summarize_run

REPORTS_DIR = "reports"
SETTLE = 30.0
"""Seconds after the end of a run at which telemetry is read if the stack recorded no instant."""


class Exported(msgspec.Struct, frozen=True):
    """The files and verdicts of an export."""

    paths: tuple[Path, ...]
    verdicts: tuple[Verdict, ...]
    status: Status
    exit_code: int
    """0 pass, 1 an objective failed, 3 inconclusive or invalid."""
    problems: tuple[str, ...]
    """Reasons not to trust the numbers, one sentence each, starting with the scenario."""
    summary: tuple[str, ...]
    """Lines for the terminal: at most 30, then the path of the summary."""
    short: Summary
    """The same as data."""
    source: str
    """Where the numbers of telemetry are from, in words."""


def export(
    run_dir: Path,
    prometheus_url: str | None,
    *,
    theirs: str | None = None,
    instant: float | None = None,
    window: float | None = None,
    charts: bool = True,
    drawing: Drawing | None = None,
    formats: Collection[Format] = (Format.MARKDOWN,),
    traces: TraceSource | None = None,
    catalogue: Path = CATALOGUE_FILE,
    prices: Path = PRICES_FILE,
) -> Exported:
    """Write ``measurements.json`` and the reports of a run; the same run gives the same bytes.

    Args:
        run_dir: The run directory.
        prometheus_url: Prometheus that holds the run. None: the kept ``measurements.json`` is used, or, without one,
            every objective is NO DATA.
        theirs: Prometheus of the user that has metrics of the server. None: what was kept of it is used.
        instant: Unix time of all queries; default: when the stack had settled, or 30 s after the end of the run.
        window: Range of the queries in seconds; default: from the start of the run to the instant.
        charts: Also draw the figures (imports matplotlib, about a second).
        drawing: Processes that draw and have begun already; default: they begin now. Ignored without figures.
        formats: What to write; the commands write more than Markdown.
        traces: Where traces are kept; default: the Tempo that the stack recorded, else the files of the run.
        catalogue: The catalogue of indicators.
        prices: The price list of the costs.

    Raises:
        RecordError: the run directory cannot be read.
        CatalogueError: the catalogue is wrong.
        PricesError: the price list is wrong.
        QueryError: Prometheus did not answer. Without traces, from a Tempo that is gone, the reports say so.
    """
    with ExitStack() as begun:
        if not charts or DRAWN.isdisjoint(formats):
            drawing = None
        elif drawing is None:
            drawing = begun.enter_context(Drawing(drawing_processes()))
        evidence = _evidence(
            run_dir, prometheus_url, theirs, instant, window, traces, read_evidence(run_dir, catalogue, prices)
        )
        found = judge(evidence)
        paths = [measured.write(run_dir, evidence.measurements)]
        paths += publish(run_dir / REPORTS_DIR, found, formats, drawing)
    return Exported(
        paths=tuple(paths),
        verdicts=tuple(verdict for one in found.dimensions for verdict in one.analysis.verdicts),
        status=found.status,
        exit_code=found.exit_code,
        problems=tuple(problem for one in found.dimensions for problem in one.analysis.problems),
        short=found.summary,
        summary=(
            *terminal.lines(found.summary),
            *(str(path) for path in paths if path.name == f"{found.head.name}.md"),
        ),
        source=evidence.kept or _source(evidence.measurements, asked=prometheus_url is not None),
    )


def _evidence(  # noqa: PLR0917 - where the numbers of telemetry are from
    run_dir: Path,
    prometheus_url: str | None,
    theirs: str | None,
    instant: float | None,
    window: float | None,
    traces: TraceSource | None,
    records: Evidence,
) -> Evidence:
    """Return the records of a run with what telemetry says of it."""
    run = records.run
    evidence = replace(records, catalogue=server_slis.of_target(records, run_dir))
    evidence = replace(evidence, catalogue=objectives.of_run(evidence.catalogue, run))
    slis = subjects.of_run(evidence)
    evidence = replace(evidence, catalogue=slis)
    at = instant if instant is not None else _instant(run, evidence.stack)
    length = f"{math.ceil(window if window is not None else at - run.started) + 1}s"
    with ExitStack() as connections:
        ours, users = (
            connections.enter_context(closing(connect(url, ahead=ahead_of(evidence.conditions, source))))
            if url
            else None
            for url, source in ((prometheus_url, "prometheus"), (theirs, "their prometheus"))
        )
        needed = ours is None or (users is None and in_theirs(evidence.stack))
        kept = _kept(run_dir, run, slis, needed=needed)
        measurements = kept if ours is None else None
        if measurements is None:
            measurements = _measured(evidence, ours, users, kept, instant=at, window=length)
            if (better := stronger(kept, measurements)) is not None:
                measurements, evidence, ours, users = (
                    better.measurements,
                    replace(evidence, kept=better.why),
                    None,
                    None,
                )
        evidence = replace(evidence, measurements=measurements, server=server_of(run_dir, evidence, ours, users))
    evidence = replace(evidence, catalogue=server_slis.that_exist(evidence))
    found_traces = _traces(traces, run_dir, evidence, ask=prometheus_url is not None)
    evidence = replace(
        evidence,
        traces=found_traces,
        doubts=integrity.doubts(run_dir, run, evidence.jobs, evidence.requests, found_traces),
        notes=integrity.notes(run_dir, evidence.stack, found_traces),
    )
    return replace(evidence, measurements=compute(evidence))


def read_evidence(run_dir: Path, catalogue: Path = CATALOGUE_FILE, prices: Path = PRICES_FILE) -> Evidence:
    """Read the records of a run; the measurements and traces are still empty.

    Raises:
        RecordError: the run directory cannot be read.
        CatalogueError: the catalogue is wrong.
        PricesError: the price list is wrong.
    """
    run = read_run(run_dir)
    return Evidence(
        run=run,
        jobs=tuple(read_jobs(run_dir)),
        requests=Requests.of(read_requests(run_dir)),
        calls=tuple(read_calls(run_dir)),
        videos=tuple(read_videos(run_dir)),
        stack=read_stack(run_dir),
        conditions=read_conditions(run_dir),
        catalogue=load(catalogue),
        measurements=Measurements(run_id=run.run_id, instant=0.0, window="0s", prometheus=False, measurements=()),
        prices=load_prices(prices),
        usage=UsageSamples.of(read_usage(run_dir)),
    )


def _source(measurements: Measurements, *, asked: bool) -> str:
    if asked:
        return "the numbers of telemetry are from Prometheus, which was asked now"
    kept = measurements.prometheus
    return f"the numbers of telemetry are {f'kept in {MEASUREMENTS_FILE}' if kept else 'missing: nothing was kept'}"


def _measured(
    evidence: Evidence,
    ours: Prometheus | None,
    theirs: Prometheus | None,
    kept: Measurements | None,
    *,
    instant: float,
    window: str,
) -> Measurements:
    """Ask the Prometheus of the run, and for the indicators of the user the one that has the server's metrics."""
    slis, run = evidence.catalogue, evidence.run
    of_server = theirs if in_theirs(evidence.stack) else ours  # the queries that name times are those of the server
    ahead = of_server.ahead if of_server is not None else 0.0
    asked = questions(slis, run, window, lag=lag_of(evidence.stack), ahead=ahead)
    elsewhere = tuple(q for q in asked if q.sli.section is ReportSection.SERVER and in_theirs(evidence.stack))
    found = collect(tuple(q for q in asked if q not in elsewhere), run, ours, instant=instant, window=window)
    found = read_series(slis, run, ours, found)
    if elsewhere and theirs is None and kept is not None:
        ids = {q.sli.id for q in elsewhere}
        more = tuple(m for m in kept.measurements if m.sli in ids)
    else:
        more = collect(elsewhere, run, theirs, instant=instant, window=window).measurements
    return msgspec.structs.replace(found, measurements=(*found.measurements, *more))


def judge(evidence: Evidence) -> RunResult:
    """Return the verdicts of all dimensions with their reports, the appendix and the summary."""
    judged = tuple(_judge(evidence, dimension) for dimension in _dimensions(evidence.run))
    status, exit_code = worst([one.analysis for one in judged])
    analyses = {Dimension(one.dimension): one.analysis for one in judged}
    summary = summarize_run(evidence, analyses, status, exit_code)
    return RunResult(
        evidence=evidence,
        dimensions=judged,
        status=status,
        exit_code=exit_code,
        appendix=build_appendix(evidence, analyses),
        summary=summary,
        head=summary_report(summary),
    )


def _judge(evidence: Evidence, dimension: Dimension) -> DimensionResult:
    analysis = analyse(evidence, dimension)
    return DimensionResult(dimension, analysis, build_report(evidence, analysis, dimension))


def _dimensions(run: RunRecord) -> list[Dimension]:
    """Return the dimensions of the planned scenarios; performance for a run without scenarios, whose report says so."""
    planned = {scenario.dimension for scenario in run.scenarios}
    return [dimension for dimension in Dimension if dimension in planned] or [Dimension.PERFORMANCE]


def _kept(run_dir: Path, run: RunRecord, slis: Catalogue, *, needed: bool) -> Measurements | None:
    """Return the measurements that were kept; where they are not `needed`, None when they cannot be used.

    Raises:
        RecordError: they are needed and cannot be used.
    """
    try:
        return _usable(run_dir, run, slis)
    except RecordError:
        if needed:
            raise
        return None


def _usable(run_dir: Path, run: RunRecord, slis: Catalogue) -> Measurements | None:
    kept = measured.read(run_dir)
    if kept is None:
        return None
    if kept.run_id != run.run_id:
        raise RecordError(f"{run_dir} holds measurements of run {kept.run_id}; delete {MEASUREMENTS_FILE}")
    if unknown := {m.sli for m in kept.measurements} - {sli.id for sli in slis.slis}:
        msg = f"{run_dir} holds measurements that the catalogue does not know ({', '.join(sorted(unknown))})"
        raise RecordError(f"{msg}; export again with Prometheus")
    return kept


def _traces(traces: TraceSource | None, run_dir: Path, evidence: Evidence, *, ask: bool) -> TraceEvidence:
    """Read the traces of the run; without Prometheus, only those kept in files."""
    if traces is not None:
        return _gather(traces, evidence)
    stack = evidence.stack
    if stack is None or stack.traces_url is None:
        return _gather(FileTraces(run_dir / TRACES_DIR), evidence)
    if not ask:
        return TraceEvidence(absent=f"they are in the Tempo at {stack.traces_url}, which was not queried")
    from reelbench.reporting.evidence.tempo import connect as connect_tempo  # noqa: PLC0415 - loads the HTTP client

    tempo = connect_tempo(stack.traces_url, evidence.run)
    try:
        return _gather(tempo, evidence)
    finally:
        tempo.close()


def _gather(source: TraceSource, evidence: Evidence) -> TraceEvidence:
    try:
        return source.gather(wanted(evidence, source.per_case))
    except QueryError as error:
        return TraceEvidence(absent=str(error))


def _instant(run: RunRecord, stack: StackRecord | None) -> float:
    ends = [end for s in run.scenarios for end in (s.ended, *(c.ended for c in s.cases)) if end is not None]
    over = run.ended or max(ends, default=run.started)
    if stack is not None and stack.settled_at is not None:
        return max(stack.settled_at, over)  # a clock that was set back in the run is behind its end
    return over + SETTLE

"""The result of an export: the evidence, what each dimension found, and all of it as data."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from heapq import nsmallest

import msgspec

from reelbench.loadgen.record.jobs import JobRecord, Outcome
from reelbench.reporting.analysis.verdicts import Analysis, Status
from reelbench.reporting.document.report import Report
from reelbench.reporting.evidence.evidence import Evidence
from reelbench.reporting.results.numbers import numbers
from reelbench.reporting.results.results import (
    Audit,
    CaseWindow,
    Count,
    Dimension,
    Outlier,
    Provenance,
    Results,
)
from reelbench.reporting.results.summary import Summary

SLOWEST = 3
"""Completed jobs of each case that are listed with their trace, the slowest first."""
FAILED = 5
"""Jobs of each case that did not complete and are listed with trace and error, in order of time."""


class DimensionResult(msgspec.Struct, frozen=True):
    """The analysis of one dimension and its report."""

    dimension: str
    analysis: Analysis
    report: Report


class RunResult(msgspec.Struct, frozen=True):
    """The evidence of a run with the results of its dimensions."""

    evidence: Evidence
    dimensions: tuple[DimensionResult, ...]
    status: Status
    exit_code: int
    appendix: Report
    """What stands once for all reports."""
    summary: Summary
    """The findings of all dimensions in short."""
    head: Report
    """The summary as a document."""

    @property
    def reports(self) -> tuple[Report, ...]:
        """The reports in order."""
        return tuple(one.report for one in self.dimensions)


def results(found: RunResult) -> Results:
    """Return everything as data."""
    evidence, run = found.evidence, found.evidence.run
    verdicts = [verdict for one in found.dimensions for verdict in one.analysis.verdicts]
    return Results(
        run_id=run.run_id,
        profile=run.profile,
        target=run.target,
        state=run.state.value,
        started=run.started,
        ended=run.ended,
        verdict=found.status,
        exit_code=found.exit_code,
        summary=found.summary,
        dimensions=tuple(
            Dimension(
                name=one.dimension,
                report=one.report.name,
                verdict=one.analysis.status,
                problems=one.analysis.problems,
            )
            for one in found.dimensions
        ),
        numbers=numbers(evidence, verdicts),
        outliers=tuple(_outliers(evidence)),
        reconciliation=tuple(_counts(found)),
        cases=tuple(_cases(evidence)),
        audits=tuple(Audit(scenario=s.name, audit=s.audit) for s in run.scenarios if s.audit is not None),
        provenance=_provenance(evidence),
    )


def _outliers(evidence: Evidence) -> Iterator[Outlier]:
    for scenario in evidence.run.scenarios:
        for case in scenario.cases:
            jobs = evidence.case_jobs(scenario.name, case.name)
            completed = [job for job in jobs if job.outcome is Outcome.COMPLETED]
            slowest = nsmallest(SLOWEST, completed, key=lambda job: (job.due - job.done, job.index))
            others = (job for job in jobs if job.outcome is not Outcome.COMPLETED)
            yield from (_outlier(job, slow=True) for job in slowest)
            yield from (_outlier(job, slow=False) for job in nsmallest(FAILED, others, key=lambda job: job.due))


def _outlier(job: JobRecord, *, slow: bool) -> Outlier:
    return Outlier(
        scenario=job.scenario,
        case=job.case,
        index=job.index,
        kind="slowest" if slow else "not completed",
        outcome=job.outcome.value,
        response_time=job.done - job.due,
        job_id=job.job_id,
        trace_id=job.trace_id,
        error=job.error,
    )


def _counts(found: RunResult) -> Iterator[Count]:
    for one in found.dimensions:
        for reconciliation in one.analysis.reconciliations:
            for count in reconciliation.counts:
                yield Count(
                    scenario=reconciliation.scenario,
                    source=count.source,
                    what=count.what,
                    least=count.low,
                    most=count.high,
                    found=count.found,
                    agrees=count.agrees,
                    note=count.note,
                )


def _cases(evidence: Evidence) -> Iterator[CaseWindow]:
    for scenario in evidence.run.scenarios:
        for case in scenario.cases:
            yield CaseWindow(
                scenario=scenario.name,
                case=case.name,
                model=case.model,
                concurrency=case.concurrency,
                planned=case.planned,
                warmup=case.warmup,
                started=case.started,
                ended=case.ended,
                generator_cpu=case.generator_cpu,
                loop_lag_p99=case.loop_lag_p99,
                switches=case.switches,
            )


def _provenance(evidence: Evidence) -> Provenance:
    run, measurements = evidence.run, evidence.measurements
    return Provenance(
        seed=run.seed,
        plan_sha256=run.plan_hash,
        replica=run.replica,
        replicas=run.load_generators,
        catalogue_sha256=_sha256(evidence.catalogue),
        prices_sha256=_sha256(evidence.prices),
        instant=measurements.instant,
        window=measurements.window,
        prometheus=measurements.prometheus,
        document=run.document,
        workload=run.workload,
        switches=run.switches,
        faults=tuple(run.faults),
        environment=run.environment,
        stack=evidence.stack,
    )


def _sha256(read: object) -> str:
    return hashlib.sha256(msgspec.json.encode(read)).hexdigest()

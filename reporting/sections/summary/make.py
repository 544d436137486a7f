"""The making of the summary of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from reelbench.loadgen.record.run import RunRecord, RunState
from reelbench.reporting.analysis.causes import Cause, causes
from reelbench.reporting.analysis.certainty import Certainty
from reelbench.reporting.analysis.standstills import standstills
from reelbench.reporting.analysis.verdicts import Analysis, Status
from reelbench.reporting.document import text
from reelbench.reporting.evidence.dimension import Dimension
from reelbench.reporting.evidence.evidence import Evidence
from reelbench.reporting.results.summary import DimensionSummary, Finding, Summary
from reelbench.reporting.sections.summary.actions import actions
from reelbench.reporting.sections.summary.figures import figures
from reelbench.reporting.sections.verdict import MEANINGS


def summarize_run(
    evidence: Evidence, analyses: Mapping[Dimension, Analysis], status: Status, exit_code: int
) -> Summary:
    """Return verdict, what failed and why, figures and actions; the verdict is that of the analyses."""
    run = evidence.run
    found = {dimension: causes(evidence, analysis, dimension) for dimension, analysis in analyses.items()}
    return Summary(
        run_id=run.run_id,
        target=_target(run),
        profile=run.profile,
        state=run.state.value,
        jobs=sum(not job.warmup for job in evidence.jobs),
        seconds=run.ended - run.started if run.ended is not None else None,
        verdict=status,
        exit_code=exit_code,
        sentence=_sentence(evidence, analyses, status, exit_code),
        dimensions=tuple(_dimension(dimension, analysis) for dimension, analysis in analyses.items()),
        findings=tuple(_finding(dimension, cause) for dimension, every in found.items() for cause in every),
        problems=tuple(dict.fromkeys(problem for analysis in analyses.values() for problem in analysis.problems)),
        notes=standstills(evidence) if Dimension.PERFORMANCE in analyses else (),
        figures=figures(evidence, tuple(analyses.values())),
        actions=actions(evidence, analyses, found),
    )


def _target(run: RunRecord) -> str:
    if run.server is not None and not run.server.ours:
        return f"{run.server.title} at {run.target}"
    return f"the service of this project at {run.target}"


def _sentence(evidence: Evidence, analyses: Mapping[Dimension, Analysis], status: Status, exit_code: int) -> str:
    verdicts = [verdict for analysis in analyses.values() for verdict in analysis.verdicts]
    count = Counter(verdict.status for verdict in verdicts)
    objectives = text.counted(len(verdicts), "objective")
    problems = tuple(dict.fromkeys(problem for analysis in analyses.values() for problem in analysis.problems))
    match status:
        case Status.FAIL:
            proven = f"{count[Status.FAIL]} of {objectives} violated, and the samples prove it"
        case Status.PASS:
            few = sum(verdict.too_few for verdict in verdicts)
            left = f"; {few} {_hold(few)} with too few samples to decide" if few else ""
            sure = sum(verdict.certainty is Certainty.HOLDS_PROVEN for verdict in verdicts)
            held = count[Status.PASS]
            proven = f"{held} of {objectives} {_hold(held)}, {sure or 'none'} of them proven{left}"
        case Status.INCONCLUSIVE if exit_code == 0:
            every = "the only objective holds" if len(verdicts) == 1 else f"all {objectives} hold"
            proven = f"{every} with too few samples to decide, which this profile allows"
        case Status.INCONCLUSIVE if problems:
            more = f", and {len(problems) - 1} more reasons" if len(problems) > 1 else ""
            proven = f"the numbers are not to be trusted: {problems[0]}{more}"
        case Status.INCONCLUSIVE:
            unsure = sum(analysis.status is Status.INCONCLUSIVE for analysis in analyses.values())
            proven = f"{text.counted(unsure, 'report')} undecided: {MEANINGS[status]}"
        case _:
            proven = MEANINGS[status]
    ended = "" if evidence.run.state is RunState.COMPLETED else " The run holds what was measured until its end."
    return f"{proven}.{ended}"


def _hold(number: int) -> str:
    return "holds" if number == 1 else "hold"


def _dimension(dimension: Dimension, analysis: Analysis) -> DimensionSummary:
    statuses = Counter(verdict.status.value for verdict in analysis.verdicts)
    certainties = Counter(v.certainty.value for v in analysis.verdicts if v.certainty is not None)
    return DimensionSummary(
        name=dimension.value,
        report=f"{dimension.value}_report",
        verdict=analysis.status,
        objectives=len(analysis.verdicts),
        by_status=dict(sorted(statuses.items())),
        by_certainty=dict(sorted(certainties.items())),
    )


def _finding(dimension: Dimension, cause: Cause) -> Finding:
    verdict = cause.verdict
    return Finding(
        dimension=dimension.value,
        sli=verdict.sli.id,
        title=verdict.sli.title,
        scenario=verdict.scenario,
        case=verdict.case,
        member=verdict.member,
        verdict=verdict.status,
        certainty=verdict.certainty,
        value=verdict.value,
        unit=verdict.sli.unit,
        direction=verdict.objective.direction,
        objective=verdict.objective.value,
        n=verdict.n,
        excess=cause.excess,
        why=cause.why,
    )

"""The records of a run while it goes on: its head ``run.json``, and the jobs and requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import msgspec

from reelbench.loadgen.drive.progress import ProgressView
from reelbench.loadgen.drive.replicas import WHOLE, Share
from reelbench.loadgen.http.trace_headers import JobTrace
from reelbench.loadgen.metrics import Metrics
from reelbench.loadgen.plan.plan import PlannedJob
from reelbench.loadgen.plan.replay import ReplayCase
from reelbench.loadgen.plan.scenario import Case, Profile, Scenario
from reelbench.loadgen.record.jobs import JobRecord, RequestRecord
from reelbench.loadgen.record.journal import Journal
from reelbench.loadgen.record.rate_rule import RateLimits
from reelbench.loadgen.record.run import (
    ArrivalsRecord,
    CaseRecord,
    FaultRecord,
    RunRecord,
    RunState,
    ScenarioRecord,
    SearchRecord,
    ServerRecord,
    TransitionRecord,
)


class RunHead:
    """The current head of a run; each change replaces the record and writes ``run.json``.

    All methods raise JournalError when the file cannot be written.
    """

    def __init__(self, run: RunRecord, journal: Journal, server: Callable[[], ServerRecord] | None = None) -> None:
        """Prepare the head; nothing is written yet.

        Args:
            run: the record.
            journal: writes it.
            server: returns what is known of the server by now; None: the record does not change.
        """
        self._run = run
        self._journal = journal
        self._server = server

    @property
    def run(self) -> RunRecord:
        """The record as it is by now."""
        return self._run

    def case(self, scenario: int, case: int) -> CaseRecord:
        """Return the record of a case, by the positions of scenario and case in the run."""
        return self._run.scenarios[scenario].cases[case]

    def scenario(self, scenario: int) -> ScenarioRecord:
        """Return the record of a scenario, by its position in the run."""
        return self._run.scenarios[scenario]

    def begin(self, toggles: dict[str, bool] | None) -> None:
        """Mark the run as running, with the toggles of the service; None: the service does not report them."""
        self._replace(state=RunState.RUNNING, switches=toggles)

    def end(self, state: RunState, at: float) -> None:
        """Mark the run as ended."""
        self._replace(state=state, ended=at)

    def update_scenario(self, scenario: int, **changes: object) -> None:
        """Change fields of a scenario's record."""
        scenarios = list(self._run.scenarios)
        scenarios[scenario] = msgspec.structs.replace(scenarios[scenario], **changes)
        self._replace(scenarios=scenarios)

    def update_case(self, scenario: int, case: int, record: CaseRecord) -> None:
        """Replace the record of a case."""
        cases = list(self._run.scenarios[scenario].cases)
        cases[case] = record
        self.update_scenario(scenario, cases=cases)

    def faults_changed(self, faults: Sequence[FaultRecord]) -> None:
        """Replace the records of all faults."""
        self._replace(faults=list(faults))

    def add_transitions(self, transitions: Sequence[TransitionRecord]) -> None:
        """Append changes of circuit breakers."""
        self._replace(transitions=[*self._run.transitions, *transitions])

    def _replace(self, **changes: object) -> None:
        if self._server is not None:
            changes["server"] = self._server()
        self._run = msgspec.structs.replace(self._run, **changes)
        self._journal.head(self._run)


def pending(
    scenario: Scenario,
    profile: Profile,
    plan: Sequence[PlannedJob],
    share: Share = WHOLE,
    interval: float = 0.0,
) -> ScenarioRecord:
    """Return the record of a scenario that has not begun, with the numbers of this generator's share of the plan."""
    owned = {case.name: share_of(plan, scenario, case, share) for case in scenario.cases}

    return ScenarioRecord(
        name=scenario.name,
        dimension=scenario.dimension,
        title=scenario.title,
        why=scenario.why,
        steps=list(scenario.steps),
        state=RunState.PENDING,
        started=None,
        ended=None,
        cases=[
            CaseRecord(
                name=case.name,
                model=case.model,
                concurrency=share.users(case.concurrency),
                pace=case.pace,
                planned=sum(not job.warmup for job in owned[case.name]),
                warmup=sum(job.warmup for job in owned[case.name]),
                started=None,
                ended=None,
                generator_cpu=None,
                loop_lag_p99=None,
                switches=case.toggles.given(),
                prompts=case.prompts,
                arrivals=_arrivals(case, profile, share),
                min_duration=case.min_duration,
                idle_seconds=case.seconds.of(profile) if case.model == "idle" and case.seconds else None,
            )
            for case in scenario.cases
        ],
        objectives=dict(scenario.objectives),
        store=None,
        rest=cooldown_of(scenario, interval),
        search=_search(scenario, share),
    )


def cooldown_of(scenario: Scenario, interval: float) -> float:
    """Return the seconds without load around the cases of a scenario: 0, or enough for a sample of every gauge.

    Args:
        scenario: source of the length for a stack that samples once per second.
        interval: seconds between two samples in this stack.
    """
    return max(scenario.cooldown, 1.1 * interval) if scenario.cooldown else 0.0


def with_rest(scenario: Scenario, seconds: float) -> Scenario:
    """Return a scenario whose cases have at least that many seconds without load around them."""
    return scenario.model_copy(update={"cooldown": max(scenario.cooldown, seconds)})


def share_of(plan: Sequence[PlannedJob], scenario: Scenario, case: Case, share: Share) -> list[PlannedJob]:
    """Return the jobs of a case that a share owns."""
    return [
        job
        for job in plan
        if (job.scenario, job.case) == (scenario.name, case.name)
        and (share.owns_arrival(job.index) if case.model == "open" else share.owns(job.index, case.concurrency))
    ]


def _search(scenario: Scenario, share: Share) -> SearchRecord | None:
    if (search := scenario.search) is None:
        return None
    limits = RateLimits(success=search.success, response_p95=search.response_p95)
    return SearchRecord(limits=limits, exhaustive=share.count > 1)


def _arrivals(case: Case, profile: Profile, share: Share) -> ArrivalsRecord | None:
    process = "trace" if isinstance(case, ReplayCase) else case.arrivals
    if case.rate is None or case.seconds is None or process is None:
        return None
    return ArrivalsRecord(
        process=process,
        rate=case.rate.of(profile) / share.count,
        seconds=case.seconds.of(profile),
        drain=case.graceful_stop,
        max_in_flight=share.most(case.max_in_flight),
        burst_rate=case.burst.rate.of(profile) / share.count if case.burst else None,
        burst_at=case.burst.at.of(profile) if case.burst else None,
        burst_seconds=case.burst.seconds.of(profile) if case.burst else None,
    )


class Recorder:
    """Distributes the records of jobs and requests to the journal, the metrics and the progress view."""

    def __init__(self, *, run_id: str, journal: Journal, metrics: Metrics, view: ProgressView) -> None:
        self._run_id = run_id
        self._journal = journal
        self._metrics = metrics
        self._view = view
        self._stored: set[str] = set()
        self._kept: list[JobRecord] | None = None

    @contextmanager
    def keeping(self) -> Iterator[list[JobRecord]]:
        """Collect the records of measured jobs that end meanwhile."""
        kept: list[JobRecord] = []
        self._kept = kept
        try:
            yield kept
        finally:
            self._kept = None

    @property
    def stored(self) -> frozenset[str]:
        """Ids of the jobs accepted and not deleted in this scenario: the service's list must contain them."""
        return frozenset(self._stored)

    def begin_scenario(self) -> None:
        """Forget the jobs of the scenario before."""
        self._stored.clear()

    def job_started(self) -> None:
        """Count a job that was sent."""
        self._metrics.job_started()
        self._view.job_started()

    def job_ended(self, job: JobRecord, trace: JobTrace) -> None:
        """Store the record of a job."""
        if job.job_id is not None and not job.deleted:
            self._stored.add(job.job_id)
        if self._kept is not None and not job.warmup:
            self._kept.append(job)
        self._journal.job(job)
        self._metrics.job_ended(self._run_id, job, trace)
        self._view.job_ended(job)

    def request_ended(self, request: RequestRecord, trace: JobTrace) -> None:
        """Store the record of a request."""
        self._journal.request(request)
        self._metrics.request_ended(self._run_id, request, trace)

"""One job: its steps in order, its trace, and exactly one record.

Response time ends with the last byte of the content if the steps contain ``content``, else with the answer to ``wait``.
Later steps, such as ``delete``, are cleanup and do not count. With the step ``cancel``, response time ends with the
answer to the cancellation.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from opentelemetry.trace import Tracer

from reelbench.loadgen.clock import Clock
from reelbench.loadgen.drive.steps import EndedError, JobState, Steps
from reelbench.loadgen.http.job_spans import JobSpans
from reelbench.loadgen.http.trace_headers import IdTrace, JobTrace, SpanTrace
from reelbench.loadgen.http.transport import header_line
from reelbench.loadgen.plan.plan import PlannedJob
from reelbench.loadgen.plan.scenario import Scenario
from reelbench.loadgen.record.jobs import JobRecord, Outcome, RequestRecord
from reelbench.loadgen.target.wire import Call
from reelbench.telemetry.propagation import baggage_header

ENDED_WELL = frozenset({Outcome.COMPLETED, Outcome.CANCELLED})


class Sink(Protocol):
    """Receiver of complete records."""

    def job_started(self) -> None:
        """Count a job that was sent."""

    def job_ended(self, job: JobRecord, trace: JobTrace) -> None:
        """Store the record of a job of this trace."""

    def request_ended(self, request: RequestRecord, trace: JobTrace) -> None:
        """Store the record of a request."""


@dataclass(frozen=True, slots=True)
class JobRunner:
    """Runs planned jobs against a target."""

    run_id: str
    steps: Steps
    clock: Clock
    tracer: Tracer | None
    """Creates the spans; None: only ids are generated."""
    sink: Sink

    async def run(
        self,
        planned: PlannedJob,
        scenario: Scenario,
        intended_start: float,
        *,
        admitted: float | None = None,
        cut_off_at: float = math.inf,
    ) -> JobRecord:
        """Run one job to its end.

        The sink always receives a record, also when this task is cancelled (outcome ``aborted``).

        Args:
            planned: the job.
            scenario: source of time limit and poll interval.
            intended_start: when the plan wanted the job sent, by the clock of this runner.
            admitted: when the limit of jobs in flight admitted the job; None: the job did not wait.
            cut_off_at: when the job is cut off (outcome ``timeout``), even within its time limit.
        """
        state = self._state(planned, scenario)
        limit = seconds = scenario.time_limit
        if cut_off_at < math.inf:
            seconds = min(limit, cut_off_at - self.clock.now())
        try:
            try:
                with self.steps.deadlines.within(seconds):
                    await self.steps.run(state)
            except EndedError as end:
                if state.done is None:  # else the job has its outcome, and the failed cleanup is in requests.jsonl
                    state.outcome, state.error, state.done = end.outcome, end.error, self.clock.now()
            except TimeoutError:
                await self._time_out(state, cut_off=seconds < limit)
            if "delete" in planned.steps and state.given_up is None and not state.deleted:
                await self._delete(state)
        except asyncio.CancelledError:
            if state.done is None:
                state.outcome, state.error = Outcome.ABORTED, "the run was stopped"
            raise
        finally:
            record = self._end(state, intended_start, admitted)
        return record

    def never_sent(
        self, planned: PlannedJob, scenario: Scenario, intended_start: float, outcome: Outcome, *, held: bool, why: str
    ) -> None:
        """Record a job that will not be sent although its intended start has passed.

        Args:
            planned: the job.
            scenario: the scenario of the job.
            intended_start: when the plan wanted the job sent.
            outcome: timeout or aborted.
            held: whether the job waited for the limit of jobs in flight until now.
            why: the reason in one line.
        """
        admitted = self.clock.now() if held else None
        state = self._state(planned, scenario)
        state.outcome, state.error, state.done = outcome, f"never sent: {why}", state.sent
        self._end(state, intended_start, admitted)

    def _state(self, planned: PlannedJob, scenario: Scenario) -> JobState:
        """Return the state of a job that begins now."""
        trace, call, poll_call = self._begin(planned)
        self.sink.job_started()
        return JobState(planned, scenario, trace, call, poll_call, self.clock.now())

    def _begin(self, planned: PlannedJob) -> tuple[JobTrace, Call, Call]:
        """Begin the trace of a job; return it with the calls of the job: of its requests, and of its polls."""
        scenario, case = planned.scenario, planned.case
        index, warmup, ended = planned.index, planned.warmup, self.sink.request_ended
        trace: JobTrace
        if self.tracer is None:
            trace = IdTrace()
        elif spans := getattr(self.tracer, "sink", None):  # of `RecordingTracer`
            trace = JobSpans(spans, (self.run_id, scenario, case, warmup), index)
        else:
            place = {"run_id": self.run_id, "scenario": scenario, "case": case}
            trace = SpanTrace(self.tracer, {**place, "loadgen.job.index": index, "loadgen.job.warmup": warmup})

        def observe(operation: str, sent: float, duration: float, status: int | None, size: int) -> None:
            ended(RequestRecord(scenario, case, index, warmup, operation, sent, duration, status, size), trace)

        # Without baggage on warm-up jobs, the labelled series of the service contain measured jobs only.
        headers = "" if warmup else _baggage(self.run_id, scenario, case)
        call = Call(observe, trace, headers, planned.send_rate, planned.read_rate)
        # Without the sampled flag: polls are part of the trace, but the service records no spans for them.
        return trace, call, Call(observe, trace, headers, polls=True)

    def _end(self, state: JobState, intended_start: float, admitted: float | None) -> JobRecord:
        """Send the record of a job to the sink and end the root span."""
        planned, findings = state.planned, state.findings
        if state.manifest is not None and state.content is not None:
            findings.compare_content(state.manifest, state.content)
        manifest, content = state.manifest, state.content
        record = JobRecord(  # by position: by name, it takes seven times as long
            planned.scenario,
            planned.case,
            planned.index,
            planned.warmup,
            intended_start,
            state.sent,
            state.accepted,
            self.clock.now() if state.done is None else state.done,
            state.outcome,
            state.video_id,
            state.trace.trace_id,
            content.bytes if content else 0,
            state.deleted,
            findings.verdict,
            state.error or findings.summary,
            findings.files,
            len(manifest.scenes) if manifest else None,
            sum(scene.complete for scene in manifest.scenes) if manifest else None,
            state.cancel_sent,
            state.leftover,
            admitted,
            state.reported,
            state.ended,
            state.poll_gap,
            state.throttled,
            state.given_up,
            state.server,
            planned.reference,
            planned.send_rate is not None or planned.read_rate is not None,
        )
        try:
            self.sink.job_ended(record, state.trace)
        finally:
            outcome = record.outcome
            state.trace.end(str(outcome), record.job_id, record.error, well=outcome in ENDED_WELL)
        return record

    async def _time_out(self, state: JobState, *, cut_off: bool) -> None:
        """End a job whose time is over; the case was cut off, or the job has reached its own time limit."""
        if state.done is None:
            state.outcome, state.done = Outcome.TIMEOUT, self.clock.now()
            state.error = _why(state, cut_off=cut_off)
            # A job that the client gives up must not load the server during the next jobs.
            await self.steps.give_up(state)
        elif cut_off and "delete" not in state.planned.steps:
            await self._delete(state)

    async def _delete(self, state: JobState) -> None:
        if state.video_id is not None and not state.deleted:
            await self.steps.delete(state)


@lru_cache
def _baggage(run_id: str, scenario: str, case: str) -> str:
    """Return the header of the requests of a case."""
    return header_line("baggage", baggage_header((("run_id", run_id), ("scenario", scenario), ("case", case))))


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _why(state: JobState, *, cut_off: bool) -> str:
    """Return why a job was given up, in one line."""
    what = "finished" if state.ended is None else "downloaded"
    if state.accepted is None and state.throttled:
        what = f"accepted (refused with Retry-After {_times(state.throttled)})"
    if cut_off:
        return f"not {what} when the case was cut off"
    return f"not {what} after {state.scenario.time_limit:g} s"

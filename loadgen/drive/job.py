"""One job: its steps in order, its trace, and exactly one record.

Response time ends with the last byte of the content if the steps contain ``content``, else with the answer to ``wait``.
Later steps, such as ``delete``, are cleanup and do not count. With the step ``cancel``, response time ends with the
answer to the cancellation.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol

import msgspec
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, format_trace_id, set_span_in_context

from reelbench.loadgen.clock import Clock, Deadline
from reelbench.loadgen.document import Document
from reelbench.loadgen.drive.job_integrity import Findings
from reelbench.loadgen.http.trace_headers import UNSAMPLED, baggage_header, traceparent
from reelbench.loadgen.plan.plan import PlannedJob
from reelbench.loadgen.plan.scenario import Scenario, Step
from reelbench.loadgen.record.records import JobRecord, Outcome, RequestRecord
from reelbench.loadgen.target.answer import Content, Reply
from reelbench.loadgen.target.api_types import Manifest
from reelbench.loadgen.target.target import NOT_OFFERED, Call, Exchange, Target

LONG_POLL_SECONDS = 10.0
POLL_ATTEMPTS = 3
"""Consecutive polls without a valid answer after which a job ends with an error."""
CLEANUP_SECONDS = 5.0
ENDED_WELL = frozenset({Outcome.COMPLETED, Outcome.CANCELLED})
ENDS: tuple[Step, ...] = ("cancel", "content", "wait")
"""Steps that end the response time; the first of them in the steps of a job does."""


class Sink(Protocol):
    """Receiver of complete records."""

    def job_started(self) -> None:
        """Count a job that was sent."""

    def job_ended(self, job: JobRecord, context: Context) -> None:
        """Store the record of a job; `context` holds its root span."""

    def request_ended(self, request: RequestRecord, context: Context) -> None:
        """Store the record of a request."""


class _EndedError(Exception):
    """The job ended before its last step."""

    def __init__(self, outcome: Outcome, error: str) -> None:
        super().__init__(error)
        self.outcome = outcome
        self.error = error


@dataclass(slots=True)
class _JobState:
    """State of a job in progress."""

    planned: PlannedJob
    scenario: Scenario
    call: Call
    poll_call: Call
    span: Span
    sent: float
    video_id: str | None = None
    accepted: float | None = None
    done: float | None = None
    outcome: Outcome = Outcome.ERROR
    error: str | None = "internal error of the load generator"
    content: Content | None = None
    manifest: Manifest | None = None
    findings: Findings = field(default_factory=Findings)
    deleted: bool = False
    cancel_sent: float | None = None
    leftover: bool | None = None

    @property
    def id(self) -> str:
        assert self.video_id is not None, "create comes first"
        return self.video_id


@dataclass(frozen=True, slots=True)
class JobRunner:
    """Runs planned jobs against a target."""

    run_id: str
    document: Document
    target: Target
    clock: Clock
    tracer: Tracer
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
        state = self._begin(planned, scenario)
        try:
            await self._drive(state, cut_off_at)
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
        state = self._begin(planned, scenario)
        state.outcome, state.error, state.done = outcome, f"never sent: {why}", state.sent
        self._end(state, intended_start, admitted)

    def _begin(self, planned: PlannedJob, scenario: Scenario) -> _JobState:
        """Start the root span of a job and return the state of the job."""
        attributes = {"run_id": self.run_id, "scenario": planned.scenario, "case": planned.case}
        span = self.tracer.start_span(
            "loadgen.job",
            context=Context(),  # empty: the current span must not become the parent
            kind=SpanKind.INTERNAL,
            attributes={**attributes, "loadgen.job.index": planned.index, "loadgen.job.warmup": planned.warmup},
        )
        root = span.get_span_context()
        context = set_span_in_context(span, Context())
        place = (("run_id", self.run_id), ("scenario", planned.scenario), ("case", planned.case))
        # Without baggage on warm-up jobs, the labelled series of the service contain measured jobs only.
        carried = "" if planned.warmup else baggage_header(place)

        def observe(exchange: Exchange) -> None:
            record = RequestRecord(
                scenario=planned.scenario,
                case=planned.case,
                index=planned.index,
                warmup=planned.warmup,
                operation=exchange.operation,
                sent=exchange.sent,
                duration=exchange.duration,
                status=exchange.status,
                bytes=exchange.bytes,
            )
            self.sink.request_ended(record, context)

        state = _JobState(
            planned=planned,
            scenario=scenario,
            span=span,
            call=Call(context, observe, baggage=carried),
            # Without the sampled flag: polls are part of the trace, but the service records no spans for them.
            poll_call=Call(context, observe, traceparent=traceparent(root, UNSAMPLED), baggage=carried),
            sent=self.clock.now(),
        )
        self.sink.job_started()
        return state

    def _end(self, state: _JobState, intended_start: float, admitted: float | None) -> JobRecord:
        """Send the record of a job to the sink and end the root span."""
        planned, span = state.planned, state.span
        if state.manifest is not None and state.content is not None:
            state.findings.compare_content(state.manifest, state.content)
        record = JobRecord(
            scenario=planned.scenario,
            case=planned.case,
            index=planned.index,
            warmup=planned.warmup,
            due=intended_start,
            sent=state.sent,
            accepted=state.accepted,
            done=self.clock.now() if state.done is None else state.done,
            outcome=state.outcome,
            job_id=state.video_id,
            trace_id=format_trace_id(span.get_span_context().trace_id),
            bytes=state.content.bytes if state.content else 0,
            deleted=state.deleted,
            integrity=state.findings.verdict,
            error=state.error or state.findings.summary,
            files=state.findings.files,
            scenes=len(state.manifest.scenes) if state.manifest else None,
            scenes_completed=sum(s.complete for s in state.manifest.scenes) if state.manifest else None,
            cancel_sent=state.cancel_sent,
            leftover=state.leftover,
            released=admitted,
        )
        span.set_attribute("loadgen.job.outcome", record.outcome.value)
        if record.job_id is not None:
            span.set_attribute("video.id", record.job_id)
        if record.outcome not in ENDED_WELL:
            span.set_status(StatusCode.ERROR, record.error)
        try:
            self.sink.job_ended(record, state.call.context)
        finally:
            span.end()
        return record

    async def _drive(self, state: _JobState, cut_off_at: float) -> None:
        seconds = min(state.scenario.time_limit, cut_off_at - self.clock.now())
        cut_off = False
        try:
            with Deadline(seconds):
                await self._steps(state)
        except _EndedError as end:
            if state.done is None:  # else the job has its outcome already, and the failed cleanup is in requests.jsonl
                state.outcome, state.error, state.done = end.outcome, end.error, self.clock.now()
        except TimeoutError:
            cut_off = seconds < state.scenario.time_limit
            if state.done is None:
                state.outcome, state.done = Outcome.TIMEOUT, self.clock.now()
                state.error = (
                    "not finished when the case was cut off"
                    if cut_off
                    else f"not finished after {state.scenario.time_limit:g} s"
                )
        # A job that is cut off must not load the service during the next case.
        if (cut_off or "delete" in state.planned.steps) and state.video_id is not None:
            await self._delete(state)

    async def _steps(self, state: _JobState) -> None:
        actions = {
            "create": self._create,
            "retrieve": self._retrieve,
            "list": self._list,
            "wait": self._wait,
            "manifest": self._manifest,
            "content": self._content,
            "assets": self._assets,
            "cancel": self._cancel,
        }
        steps = state.planned.steps
        ends_with = next(step for step in ENDS if step in steps)
        for step in steps:
            if step == "delete":
                continue
            await actions[step](state)
            if step == ends_with and state.done is None:
                state.outcome, state.error, state.done = Outcome.COMPLETED, None, self.clock.now()

    async def _create(self, state: _JobState) -> None:
        # The run id makes prompts new for a service that cached those of an earlier run of the same plan.
        asked = msgspec.structs.replace(state.planned, prompt=f"{state.planned.prompt} Run {self.run_id}.")
        reply = await self.target.create(asked, self.document, state.call)
        if reply.value is None:
            refused = reply.status is not None and (400 <= reply.status < 500 or reply.status == 503)  # noqa: PLR2004 - HTTP's own classes
            _fail(reply, Outcome.REJECTED if refused else Outcome.ERROR)
        state.video_id, state.accepted = reply.value.id, self.clock.now()

    async def _retrieve(self, state: _JobState) -> None:
        reply = await self.target.retrieve(state.id, state.poll_call)
        if reply.value is None:
            _fail(reply)

    async def _list(self, state: _JobState) -> None:
        reply = await self.target.list(state.call)
        if reply.value is None:
            _fail(reply)

    async def _wait(self, state: _JobState) -> None:
        lost = 0
        while True:
            asked = self.clock.now()
            reply = await self.target.poll(state.id, min(LONG_POLL_SECONDS, state.scenario.time_limit), state.poll_call)
            video = reply.value
            if video is None:
                lost += 1
                transient = reply.status is None or reply.status == 429 or reply.status >= 500  # noqa: PLR2004 - HTTP's own classes
                if not transient or lost == POLL_ATTEMPTS:
                    _fail(reply)
            else:
                lost = 0
                if video.terminal:
                    break
            # A long poll that answers early must not become a busy loop.
            await asyncio.sleep(max(0.0, asked + state.scenario.poll_interval - self.clock.now()))
        if video.status == "failed":
            raise _EndedError(Outcome.FAILED, _short(video.error.message if video.error else "") or "no reason given")

    async def _manifest(self, state: _JobState) -> None:
        reply = await self.target.manifest(state.id, state.call)
        if reply.value is not None:
            state.manifest = reply.value
            state.findings.check_manifest(state.id, reply.value)
        elif reply.code == "video_not_found":
            state.findings.missing("the manifest")
        elif reply.status not in NOT_OFFERED:  # without manifests there is nothing to check
            _fail(reply)

    async def _content(self, state: _JobState) -> None:
        reply = await self.target.content(state.id, state.call, checksum="manifest" in state.planned.steps)
        if reply.value is None:
            if reply.status == 404:  # noqa: PLR2004 - HTTP Not Found
                state.findings.missing("the content")
            _fail(reply)
        state.content = reply.value

    async def _assets(self, state: _JobState) -> None:
        for asset in state.manifest.files if state.manifest else ():
            reply = await self.target.asset(state.id, asset.path, state.call)
            if reply.value is not None:
                state.findings.compare(asset, reply.value)
            elif reply.status == 404:  # noqa: PLR2004 - HTTP Not Found
                state.findings.missing(asset.path)
            else:
                _fail(reply)

    async def _cancel(self, state: _JobState) -> None:
        assert state.accepted is not None, "create comes first"
        assert state.planned.cancel_after is not None, "the scenario is checked"
        await asyncio.sleep(max(0.0, state.accepted + state.planned.cancel_after - self.clock.now()))
        state.cancel_sent = self.clock.now()
        reply = await self.target.cancel(state.id, state.call)
        if reply.value is None or not reply.value.deleted:
            _fail(reply)
        state.deleted, state.done = True, self.clock.now()
        # Without the extension `cancelled` the job counts as cancelled: the moment was chosen within its work.
        ended_before = reply.value.cancelled is False
        state.outcome, state.error = (Outcome.COMPLETED if ended_before else Outcome.CANCELLED), None
        look = await self.target.retrieve(state.id, state.poll_call)
        if look.status is not None:
            state.leftover = look.status != 404  # noqa: PLR2004 - HTTP Not Found

    async def _delete(self, state: _JobState) -> None:
        try:
            with Deadline(CLEANUP_SECONDS):
                reply = await self.target.delete(state.id, state.call)
        except TimeoutError:
            return
        state.deleted = reply.value is not None and reply.value.deleted


def _fail(reply: Reply[Any], outcome: Outcome = Outcome.ERROR) -> NoReturn:
    raise _EndedError(outcome, reply.error or "no answer")


def _short(text: str) -> str:
    return " ".join(text.split())[:200]

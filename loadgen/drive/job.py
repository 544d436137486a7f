"""One job: its steps in order, its trace, and exactly one record whatever happens.

Response time ends with the last byte of the content if the steps have ``content`` (the user has the video), else with
the answer to ``wait`` (the user knows the end). Steps after that, such as ``delete``, are cleanup and do not count.
A job whose steps have ``cancel`` ends with the answer to its cancellation.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol

import msgspec
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, format_trace_id, set_span_in_context

from reelbench.loadgen.document import Document
from reelbench.loadgen.drive.clock import Clock
from reelbench.loadgen.drive.deadline import Deadline
from reelbench.loadgen.drive.download_integrity import Findings
from reelbench.loadgen.http.trace_headers import UNSAMPLED, baggage_header, traceparent
from reelbench.loadgen.plan.plan import PlannedJob
from reelbench.loadgen.plan.scenario import Scenario, Step
from reelbench.loadgen.record.jobs import JobRecord, Outcome, RequestRecord
from reelbench.loadgen.target.api_types import Manifest, Video
from reelbench.loadgen.target.target import Call, Content, Exchange, Reply, Target

LONG_POLL_SECONDS = 10.0
POLL_ATTEMPTS = 3
"""Polls in a row without a valid answer until a job counts as lost: one lost poll says nothing about the job."""
CLEANUP_SECONDS = 5.0
NOT_OFFERED = frozenset({404, 405, 501})
ENDED_WELL = frozenset({Outcome.COMPLETED, Outcome.CANCELLED})
ENDS: tuple[Step, ...] = ("cancel", "content", "wait")
"""Steps that can end a job; the first of them that it has does."""


class Sink(Protocol):
    """Where records go as soon as they are complete."""

    def job_started(self) -> None:
        """Take note that a job was sent."""

    def job_ended(self, job: JobRecord, context: Context) -> None:
        """Keep the record of a job; `context` holds its root span."""

    def request_ended(self, request: RequestRecord, context: Context) -> None:
        """Keep the record of a request."""


class _EndedError(Exception):
    """The job ended before its last step."""

    def __init__(self, outcome: Outcome, error: str) -> None:
        super().__init__(error)
        self.outcome = outcome
        self.error = error


@dataclass(slots=True)
class _Course:
    """What is known of a job so far."""

    planned: PlannedJob
    limits: Scenario
    call: Call
    poll: Call
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
        due: float,
        *,
        released: float | None = None,
        until: float = math.inf,
    ) -> JobRecord:
        """Run one job to its end.

        The record goes to the sink in every case, also when this task is cancelled (outcome ``aborted``).

        Args:
            planned: the job.
            scenario: its time limit and poll interval.
            due: the instant it was due, of this runner's clock.
            released: the instant at which a limit of jobs in flight let it go; None: it did not wait for one.
            until: the instant at which it is cut off (outcome ``timeout``), whatever its time limit is.
        """
        course = self._begin(planned, scenario)
        try:
            await self._drive(course, until)
        except asyncio.CancelledError:
            if course.done is None:
                course.outcome, course.error = Outcome.ABORTED, "the run was stopped"
            raise
        finally:
            record = self._end(course, due, released)
        return record

    def never_sent(
        self, planned: PlannedJob, scenario: Scenario, due: float, outcome: Outcome, *, held: bool, why: str
    ) -> None:
        """Keep the record of a job that was due but is not sent any more.

        Args:
            planned: the job.
            scenario: it belongs to.
            due: the instant it was due.
            outcome: timeout or aborted.
            held: whether it waited for the limit of jobs in flight until now.
            why: as one line.
        """
        released = self.clock.now() if held else None
        course = self._begin(planned, scenario)
        course.outcome, course.error, course.done = outcome, f"never sent: {why}", course.sent
        self._end(course, due, released)

    def _begin(self, planned: PlannedJob, scenario: Scenario) -> _Course:
        """Start a job's course and its root span."""
        attributes = {"run_id": self.run_id, "scenario": planned.scenario, "case": planned.case}
        span = self.tracer.start_span(
            "loadgen.job",
            context=Context(),  # empty: never the child of whatever is current
            kind=SpanKind.INTERNAL,
            attributes={**attributes, "loadgen.job.index": planned.index, "loadgen.job.warmup": planned.warmup},
        )
        root = span.get_span_context()
        context = set_span_in_context(span, Context())
        place = (("run_id", self.run_id), ("scenario", planned.scenario), ("case", planned.case))
        # A warm-up job says nothing of where it belongs, so that the service's series hold measured jobs alone.
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

        course = _Course(
            planned=planned,
            limits=scenario,
            span=span,
            call=Call(context, observe, baggage=carried),
            # Without the sampled flag: polls belong to the trace, but the service records no spans for them.
            poll=Call(context, observe, traceparent=traceparent(root, UNSAMPLED), baggage=carried),
            sent=self.clock.now(),
        )
        self.sink.job_started()
        return course

    def _end(self, course: _Course, due: float, released: float | None) -> JobRecord:
        """Give the record of a job to the sink and end its root span."""
        planned, span = course.planned, course.span
        if course.manifest is not None and course.content is not None:
            course.findings.compare_content(course.manifest, course.content)
        record = JobRecord(
            scenario=planned.scenario,
            case=planned.case,
            index=planned.index,
            warmup=planned.warmup,
            due=due,
            sent=course.sent,
            accepted=course.accepted,
            done=self.clock.now() if course.done is None else course.done,
            outcome=course.outcome,
            job_id=course.video_id,
            trace_id=format_trace_id(span.get_span_context().trace_id),
            bytes=course.content.bytes if course.content else 0,
            deleted=course.deleted,
            integrity=course.findings.verdict,
            error=course.error or course.findings.summary,
            files=course.findings.files,
            scenes=len(course.manifest.scenes) if course.manifest else None,
            scenes_completed=sum(s.complete for s in course.manifest.scenes) if course.manifest else None,
            cancel_sent=course.cancel_sent,
            leftover=course.leftover,
            released=released,
        )
        span.set_attribute("loadgen.job.outcome", record.outcome.value)
        if record.job_id is not None:
            span.set_attribute("video.id", record.job_id)
        if record.outcome not in ENDED_WELL:
            span.set_status(StatusCode.ERROR, record.error)
        try:
            self.sink.job_ended(record, course.call.context)
        finally:
            span.end()
        return record

    async def _drive(self, course: _Course, until: float) -> None:
        seconds = min(course.limits.time_limit, until - self.clock.now())
        cut_off = False
        try:
            with Deadline(seconds):
                await self._steps(course)
        except _EndedError as end:
            if course.done is None:  # a fault after the end is seen in the request, the job itself has its outcome
                course.outcome, course.error, course.done = end.outcome, end.error, self.clock.now()
        except TimeoutError:
            cut_off = seconds < course.limits.time_limit
            if course.done is None:
                course.outcome, course.done = Outcome.TIMEOUT, self.clock.now()
                course.error = (
                    "not finished when the case was cut off"
                    if cut_off
                    else f"not finished after {course.limits.time_limit:g} s"
                )
        # What is cut off must not work on beside the next case.
        if (cut_off or "delete" in course.planned.steps) and course.video_id is not None:
            await self._delete(course)

    async def _steps(self, course: _Course) -> None:
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
        steps = course.planned.steps
        ends_with = next(step for step in ENDS if step in steps)
        for step in steps:
            if step == "delete":
                continue
            await actions[step](course)
            if step == ends_with and course.done is None:
                course.outcome, course.error, course.done = Outcome.COMPLETED, None, self.clock.now()

    async def _create(self, course: _Course) -> None:
        # A service that stays up has cached what an earlier run of the same plan asked for.
        asked = msgspec.structs.replace(course.planned, prompt=f"{course.planned.prompt} Run {self.run_id}.")
        reply = await self.target.create(asked, self.document, course.call)
        if reply.value is None:
            refused = reply.status is not None and (400 <= reply.status < 500 or reply.status == 503)  # noqa: PLR2004 - HTTP's own classes
            _fail(reply, Outcome.REJECTED if refused else Outcome.ERROR)
        course.video_id, course.accepted = reply.value.id, self.clock.now()

    async def _retrieve(self, course: _Course) -> None:
        reply = await self.target.retrieve(course.id, course.poll)
        if reply.value is None:
            _fail(reply)

    async def _list(self, course: _Course) -> None:
        reply = await self.target.list(course.call)
        if reply.value is None:
            _fail(reply)

    async def _wait(self, course: _Course) -> None:
        lost = 0
        while True:
            asked = self.clock.now()
            reply = await self._look(course)
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
            # A long poll that answers early must not turn into a busy loop.
            await asyncio.sleep(max(0.0, asked + course.limits.poll_interval - self.clock.now()))
        if video.status == "failed":
            raise _EndedError(Outcome.FAILED, _short(video.error.message if video.error else "") or "no reason given")

    async def _look(self, course: _Course) -> Reply[Video]:
        """Read the state of the video: by long poll, or by plain polls where the target has no long poll."""
        if not self.target.long_poll:
            return await self.target.retrieve(course.id, course.poll)
        seconds = min(LONG_POLL_SECONDS, course.limits.time_limit)
        reply = await self.target.wait(course.id, seconds, course.poll)
        if reply.status not in NOT_OFFERED:
            return reply
        plain = await self.target.retrieve(course.id, course.poll)
        if plain.value is not None:  # the video is there, so it is the long poll that is not
            self.target.long_poll = False
        return plain

    async def _manifest(self, course: _Course) -> None:
        reply = await self.target.manifest(course.id, course.call)
        if reply.value is not None:
            course.manifest = reply.value
            course.findings.check_manifest(course.id, reply.value)
        elif reply.code == "video_not_found":
            course.findings.missing("the manifest")
        elif reply.status not in NOT_OFFERED:  # other targets have no manifests; there is nothing to check then
            _fail(reply)

    async def _content(self, course: _Course) -> None:
        reply = await self.target.content(course.id, course.call, checksum="manifest" in course.planned.steps)
        if reply.value is None:
            if reply.status == 404:  # noqa: PLR2004 - HTTP Not Found
                course.findings.missing("the content")
            _fail(reply)
        course.content = reply.value

    async def _assets(self, course: _Course) -> None:
        for asset in course.manifest.files if course.manifest else ():
            reply = await self.target.asset(course.id, asset.path, course.call)
            if reply.value is not None:
                course.findings.compare(asset, reply.value)
            elif reply.status == 404:  # noqa: PLR2004 - HTTP Not Found
                course.findings.missing(asset.path)
            else:
                _fail(reply)

    async def _cancel(self, course: _Course) -> None:
        assert course.accepted is not None, "create comes first"
        assert course.planned.cancel_after is not None, "the scenario is checked"
        await asyncio.sleep(max(0.0, course.accepted + course.planned.cancel_after - self.clock.now()))
        course.cancel_sent = self.clock.now()
        reply = await self.target.delete(course.id, course.call, "cancel")
        if reply.value is None or not reply.value.deleted:
            _fail(reply)
        course.deleted, course.done = True, self.clock.now()
        # A service that does not say has most likely cancelled it: that is what the moment was chosen for.
        ended_before = reply.value.cancelled is False
        course.outcome, course.error = (Outcome.COMPLETED if ended_before else Outcome.CANCELLED), None
        look = await self.target.retrieve(course.id, course.poll)
        if look.status is not None:
            course.leftover = look.status != 404  # noqa: PLR2004 - HTTP Not Found

    async def _delete(self, course: _Course) -> None:
        try:
            with Deadline(CLEANUP_SECONDS):
                reply = await self.target.delete(course.id, course.call)
        except TimeoutError:
            return
        course.deleted = reply.value is not None and reply.value.deleted


def _fail(reply: Reply[Any], outcome: Outcome = Outcome.ERROR) -> NoReturn:
    raise _EndedError(outcome, reply.error or "no answer")


def _short(text: str) -> str:
    return " ".join(text.split())[:200]

"""Steps of one job: requests to the target, and the state of the job that follows from the answers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final, Literal, NoReturn, TypeVar

import msgspec

from reelbench.loadgen.clock import Clock, Deadlines
from reelbench.loadgen.document import Document
from reelbench.loadgen.drive.job_integrity import Findings
from reelbench.loadgen.http.trace_headers import JobTrace
from reelbench.loadgen.http.transport import SILENCE_SECONDS
from reelbench.loadgen.plan.plan import PlannedJob
from reelbench.loadgen.plan.scenario import Scenario, Step
from reelbench.loadgen.record.jobs import Outcome, ServerTimes
from reelbench.loadgen.target.answer import Reply
from reelbench.loadgen.target.api import Content, Manifest, Video
from reelbench.loadgen.target.server_times import joined
from reelbench.loadgen.target.target import Target
from reelbench.loadgen.target.wire import Call
from reelbench.loadgen.videos.files import NO_FILE, Download, VideoFiles

T = TypeVar("T")

MODEL_CURE = "--model names the model"
"""End of the error of a refused job whose refusal speaks of the model."""
LONG_POLL_SECONDS = 10.0
POLL_ATTEMPTS = 3
"""Consecutive polls without a valid answer after which a job ends with an error."""
CLEANUP_SECONDS = 5.0
SHORTEST_POLL, POLL_SHARE = 0.1, 0.05
"""Time between two polls that grow: at least these seconds, and this share of the time since the job was accepted."""
LONGEST_PAUSE = 60.0
"""Longest wait in seconds before a throttled request is repeated, unless the server names a longer one."""
_COMPLETED: Final = Outcome.COMPLETED
"""Python 3.11 computes a member of an enumeration at each access."""
ENDS: tuple[Step, ...] = ("cancel", "content", "wait")
"""Steps that end the response time; the first of them in the steps of a job does."""


class EndedError(Exception):
    """The job ended before its last step."""

    def __init__(self, outcome: Outcome, error: str) -> None:
        super().__init__(error)
        self.outcome = outcome
        self.error = error


class JobState(msgspec.Struct):
    """State of a job in progress."""

    planned: PlannedJob
    scenario: Scenario
    trace: JobTrace
    call: Call
    poll_call: Call
    """For requests without a span of their own."""
    sent: float
    video_id: str | None = None
    accepted: float | None = None
    done: float | None = None
    outcome: Outcome = Outcome.ERROR
    error: str | None = "internal error of the load generator"
    content: Content | None = None
    manifest: Manifest | None = None
    findings: Findings = msgspec.field(default_factory=Findings)
    deleted: bool = False
    cancel_sent: float | None = None
    leftover: bool | None = None
    video: Video | None = None
    """The answer that reported the end."""
    ended: float | None = None
    reported: str | None = None
    poll_gap: float | None = None
    throttled: int = 0
    given_up: Literal["cancelled", "not_cancelled", "not_offered"] | None = None
    server: ServerTimes | None = None

    @property
    def id(self) -> str:
        """Id of the video; only after ``create``."""
        assert self.video_id is not None, "create comes first"
        return self.video_id

    def learn(self, video: Video, stages: dict[str, float]) -> None:
        """Keep what an answer says of the server's view of the job."""
        self.reported = video.word or self.reported
        if video.times is not None or stages:
            self.server = joined(self.server, video.times, stages)


@dataclass(frozen=True, slots=True)
class Steps:
    """Executes the steps of jobs against a target."""

    run_id: str
    document: Document | None
    """File of the jobs that name no reference; None: such jobs upload nothing."""
    target: Target
    clock: Clock
    references: Mapping[str, Document] = field(default_factory=dict)
    """Images and videos by the name that a planned job has for them."""
    deadlines: Deadlines = field(default_factory=Deadlines)
    """The time limits of the jobs."""
    videos: VideoFiles | None = None
    """Downloaded files for the check; None: no file is checked."""
    growing_polls: bool = False
    """Whether the time between two polls grows up to that of the scenario, so a short job is not measured as a long
    one. A server that has throttled a poll is polled at the scenario's pace."""

    async def run(self, state: JobState) -> None:
        """Execute the steps of a job, except ``delete``: the step ``create`` is the method `_create`.

        Raises:
            EndedError: the job ended before its last step.
        """
        for action, ends in _actions(state.planned.steps):
            await action(self, state)
            if ends and state.done is None:
                state.outcome, state.error, state.done = _COMPLETED, None, self.clock.now()

    async def _create(self, state: JobState) -> None:
        if self.target.synchronous:
            with self._file(state) as file:
                reply, video = await self._accepted(state, file)
                if file is not None and video.file is not None:
                    file.complete()
        else:
            reply, video = await self._accepted(state, None)
        state.video_id, state.accepted = video.id or None, self.clock.now()
        state.learn(video, reply.stages)
        if video.terminal:
            self._end(state, video, None)
        elif state.video_id is None:
            raise EndedError(Outcome.ERROR, f"the answer to create has neither a file nor an id (state {video.word})")

    async def _accepted(self, state: JobState, file: Download | None) -> tuple[Reply[Video], Video]:
        """Return the answer that accepts a job, whose request is repeated as `Scenario.refused` says.

        Raises:
            EndedError: the server refused the job.
        """
        asked = state.planned
        # The run id makes prompts new for a service that cached those of an earlier run of the same plan.
        prompt = asked.prompt if asked.verbatim else f"{asked.prompt} Run {self.run_id}."
        upload = self.document if asked.reference is None else self.references[asked.reference]
        silence = max(SILENCE_SECONDS, state.scenario.time_limit)  # some servers answer when the video is made
        checksum = "manifest" in asked.steps
        while True:
            reply = await self.target.create(
                asked, upload, state.call, prompt=prompt, silence=silence, checksum=checksum, sink=file
            )
            if reply.value is not None:
                return reply, reply.value
            if not self._sent_again(state, reply):
                refused = reply.status is not None and (400 <= reply.status < 500 or reply.status == 503)  # noqa: PLR2004 - HTTP's own classes
                if refused and not self.target.ours and "model" in (reply.error or "").lower():
                    raise EndedError(Outcome.REJECTED, f"{reply.error} ({MODEL_CURE})")
                _fail(reply, Outcome.REJECTED if refused else Outcome.ERROR)
            await self._pause(state, reply)

    def _file(self, state: JobState) -> AbstractContextManager[Download | None]:
        """Return the place for the bytes of a download; None: they are only counted."""
        return self.videos.download(state.planned) if self.videos else NO_FILE

    def _sent_again(self, state: JobState, reply: Reply[Video]) -> bool:
        """Return whether a refused create request is repeated: the server names a time, and the load is no overload."""
        return (
            reply.throttled
            and reply.retry_after is not None
            and state.scenario.refused == "retry"
            and not self.target.ours
        )

    async def _pause(self, state: JobState, reply: Reply[Any]) -> None:
        """Wait before a throttled request is repeated: as long as the server says, else longer each time."""
        state.throttled += 1
        wait = reply.retry_after
        if wait is None:
            draw = random.Random(f"{self.run_id}:{state.planned.scenario}:{state.planned.case}:{state.planned.index}:"
                                 f"{state.throttled}")  # fmt: skip
            grown = state.scenario.poll_interval * 2 ** min(state.throttled - 1, 10)
            wait = min(grown, LONGEST_PAUSE) * draw.uniform(0.5, 1.0)
        await asyncio.sleep(max(wait, min(state.scenario.poll_interval, LONGEST_PAUSE)))

    async def _patiently(self, state: JobState, ask: Callable[[], Awaitable[Reply[T]]]) -> Reply[T]:
        """Return the answer to a request, which is repeated while the server throttles it."""
        while True:
            reply = await ask()
            if not reply.throttled or self.target.ours:
                return reply
            await self._pause(state, reply)

    async def _retrieve(self, state: JobState) -> None:
        if self.target.synchronous:
            return
        reply = await self._patiently(state, lambda: self.target.retrieve(state.id, state.poll_call))
        if reply.value is None:
            _fail(reply)

    async def _list(self, state: JobState) -> None:
        if self.target.synchronous or not self.target.found.offers("list"):
            return
        reply = await self._patiently(state, lambda: self.target.list(state.call))
        if reply.value is None and self.target.found.offers("list"):
            _fail(reply)

    async def _wait(self, state: JobState) -> None:
        if state.ended is not None:
            return
        assert state.accepted is not None, "create comes first"
        lost, seen, before = 0, False, state.accepted
        while True:
            asked = self.clock.now()
            reply = await self.target.poll(state.id, min(LONG_POLL_SECONDS, state.scenario.time_limit), state.poll_call)
            if reply.throttled and not self.target.ours:
                self.target.found.throttles_polls = True
                await self._pause(state, reply)
                continue
            video = reply.value
            if video is None:
                lost += 1
                # Some servers answer 404 until all of their parts know the job.
                early = reply.status == HTTPStatus.NOT_FOUND and not seen and not self.target.found["wait"]
                if not (reply.transient or early) or lost == POLL_ATTEMPTS:
                    _fail(reply)
            else:
                lost, seen = 0, True
                state.learn(video, reply.stages)
                if video.terminal:
                    # A long poll is answered when the job ends.
                    self._end(state, video, None if self.target.found["wait"] else asked - before)
                    return
                before = asked
            # A long poll that answers early must not become a busy loop.
            await asyncio.sleep(max(0.0, asked + self._between_polls(state, asked) - self.clock.now()))

    def _between_polls(self, state: JobState, now: float) -> float:
        usual = state.scenario.poll_interval
        if not self.growing_polls or self.target.found.throttles_polls or state.accepted is None:
            return usual
        return min(usual, max(SHORTEST_POLL, POLL_SHARE * (now - state.accepted)))

    def _end(self, state: JobState, video: Video, poll_gap: float | None) -> None:
        """Keep the end that the server reported.

        Raises:
            EndedError: the end is not a finished video.
        """
        state.video, state.ended, state.poll_gap = video, self.clock.now(), poll_gap
        if video.state == "completed":
            return
        reason = video.error or "no reason given"
        if video.state != "failed":
            reason = f"the server reports the job as {video.state}" + (f": {video.error}" if video.error else "")
        raise EndedError(Outcome.FAILED, reason)

    async def _manifest(self, state: JobState) -> None:
        if not self.target.found.offers("manifest") or state.video_id is None:
            return
        reply = await self.target.manifest(state.id, state.call)
        if reply.value is not None:
            state.manifest = reply.value
            state.findings.check_manifest(state.id, reply.value)
        elif reply.code == "video_not_found":
            state.findings.missing("the manifest")
        elif not reply.not_offered:  # without manifests there is nothing to check
            _fail(reply)

    async def _content(self, state: JobState) -> None:
        video = state.video
        assert video is not None, "wait comes first"
        if video.file is not None:  # the answer to create was the file
            state.content = video.file
            return
        place = self._file(state)
        if place is NO_FILE:
            reply = await self._downloaded(state, video, None)
            state.content = reply.value
        else:
            with place as file:
                reply = await self._downloaded(state, video, file)
                state.content = reply.value
                if file is not None:
                    file.complete()
        if reply.stages:
            state.learn(video, reply.stages)

    async def _downloaded(self, state: JobState, video: Video, file: Download | None) -> Reply[Content]:
        """Return the download of a video, which is repeated while the server still writes the file.

        Raises:
            EndedError: there is no file.
        """
        checksum = "manifest" in state.planned.steps
        left = self.target.file.content.attempts
        while True:
            reply = await self.target.content(video, state.call, checksum=checksum, sink=file)
            if reply.value is not None:
                return reply
            if reply.throttled and not self.target.ours:
                await self._pause(state, reply)
                continue
            left -= 1
            if self.target.ours or not reply.not_yet or not left:
                if reply.status == HTTPStatus.NOT_FOUND:
                    state.findings.missing("the content")
                if file is not None and reply.status is not None:  # the server answered, without a file
                    file.refuse(reply.error or f"HTTP {reply.status}")
                _fail(reply)
            await asyncio.sleep(max(reply.retry_after or 0.0, state.scenario.poll_interval))

    async def _assets(self, state: JobState) -> None:
        for asset in state.manifest.files if state.manifest else ():
            reply = await self.target.asset(state.id, asset.path, state.call)
            if reply.value is not None:
                state.findings.compare(asset, reply.value)
            elif reply.status == HTTPStatus.NOT_FOUND:
                state.findings.missing(asset.path)
            else:
                _fail(reply)

    async def _cancel(self, state: JobState) -> None:
        assert state.accepted is not None, "create comes first"
        assert state.planned.cancel_after is not None, "the scenario is checked"
        if state.video_id is None or not self.target.found.offers("cancel"):
            raise EndedError(Outcome.ERROR, "the server cannot cancel jobs")
        await asyncio.sleep(max(0.0, state.accepted + state.planned.cancel_after - self.clock.now()))
        state.cancel_sent = self.clock.now()
        reply = await self._patiently(state, lambda: self.target.cancel(state.id, state.call))
        if reply.value is None:
            _fail(reply)
        if not reply.value.deleted:
            raise EndedError(Outcome.ERROR, "the server did not cancel the job")
        state.deleted, state.done = True, self.clock.now()
        # Without the extension `cancelled` the job counts as cancelled: the moment was chosen within its work.
        ended_before = reply.value.cancelled is False
        state.outcome, state.error = (Outcome.COMPLETED if ended_before else Outcome.CANCELLED), None
        await self._look_after(state, pending=reply.value.pending)

    async def _look_after(self, state: JobState, *, pending: bool) -> None:
        """Look whether a cancelled job is gone; servers that keep it report it as ended."""
        until = self.clock.now() + (CLEANUP_SECONDS if pending else 0.0)
        while True:
            look = await self.target.retrieve(state.id, state.poll_call)
            if look.status is None:
                return
            state.leftover = look.status != HTTPStatus.NOT_FOUND
            if look.value is not None and not self.target.ours:
                state.learn(look.value, look.stages)
                state.leftover = look.value.state not in {"cancelled", "deleted", "expired", "failed"}
            if not state.leftover or self.clock.now() >= until:
                return
            await asyncio.sleep(state.scenario.poll_interval)

    async def delete(self, state: JobState) -> None:
        """Delete the video of a job, within `CLEANUP_SECONDS`."""
        if not self.target.found.offers("delete"):
            return
        try:
            with self.deadlines.within(CLEANUP_SECONDS):
                reply = await self.target.delete(state.id, state.call)
        except TimeoutError:
            return
        state.deleted = reply.value is not None and reply.value.deleted

    async def give_up(self, state: JobState) -> None:
        """Cancel a job that the client does not wait for any longer, within `CLEANUP_SECONDS`."""
        state.given_up = "not_cancelled"
        if state.video_id is not None and self.target.found.offers("cancel"):
            try:
                with self.deadlines.within(CLEANUP_SECONDS):
                    reply = await self.target.cancel(state.id, state.call)
            except TimeoutError:
                return
            if reply.value is not None and reply.value.deleted:
                state.deleted, state.given_up = True, "cancelled"
        if self.target.synchronous or not self.target.found.offers("cancel"):
            state.given_up = "not_offered"


@lru_cache
def _actions(steps: tuple[Step, ...]) -> tuple[tuple[Callable[[Steps, JobState], Awaitable[None]], bool], ...]:
    """Return the method of each step except ``delete``, and whether the step ends the response time."""
    end = next(step for step in ENDS if step in steps)
    return tuple((getattr(Steps, f"_{step}"), step == end) for step in steps if step != "delete")


def _fail(reply: Reply[Any], outcome: Outcome = Outcome.ERROR) -> NoReturn:
    raise EndedError(outcome, reply.error or "no answer")

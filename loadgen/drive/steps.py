"""Steps of one job: requests to the target, and the state of the job that follows from the answers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, NoReturn

import msgspec
from opentelemetry.trace import Span

from reelbench.loadgen.clock import Clock, Deadline
from reelbench.loadgen.document import Document
from reelbench.loadgen.drive.job_integrity import Findings
from reelbench.loadgen.plan.plan import PlannedJob
from reelbench.loadgen.plan.scenario import Scenario, Step
from reelbench.loadgen.record.jobs import Outcome
from reelbench.loadgen.target.answer import Content, Reply
from reelbench.loadgen.target.api import Manifest
from reelbench.loadgen.target.target import NOT_OFFERED, Call, Target

LONG_POLL_SECONDS = 10.0
POLL_ATTEMPTS = 3
"""Consecutive polls without a valid answer after which a job ends with an error."""
CLEANUP_SECONDS = 5.0
ENDS: tuple[Step, ...] = ("cancel", "content", "wait")
"""Steps that end the response time; the first of them in the steps of a job does."""


class EndedError(Exception):
    """The job ended before its last step."""

    def __init__(self, outcome: Outcome, error: str) -> None:
        super().__init__(error)
        self.outcome = outcome
        self.error = error


@dataclass(slots=True)
class JobState:
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
        """Id of the video; only after ``create``."""
        assert self.video_id is not None, "create comes first"
        return self.video_id


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

    async def run(self, state: JobState) -> None:
        """Execute the steps of a job, except ``delete``.

        Raises:
            EndedError: the job ended before its last step.
        """
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

    async def _create(self, state: JobState) -> None:
        asked = state.planned
        if not asked.verbatim:
            # The run id makes prompts new for a service that cached those of an earlier run of the same plan.
            asked = msgspec.structs.replace(asked, prompt=f"{asked.prompt} Run {self.run_id}.")
        upload = self.document if asked.reference is None else self.references[asked.reference]
        reply = await self.target.create(asked, upload, state.call)
        if reply.value is None:
            refused = reply.status is not None and (400 <= reply.status < 500 or reply.status == 503)  # noqa: PLR2004 - HTTP's own classes
            _fail(reply, Outcome.REJECTED if refused else Outcome.ERROR)
        state.video_id, state.accepted = reply.value.id, self.clock.now()

    async def _retrieve(self, state: JobState) -> None:
        reply = await self.target.retrieve(state.id, state.poll_call)
        if reply.value is None:
            _fail(reply)

    async def _list(self, state: JobState) -> None:
        reply = await self.target.list(state.call)
        if reply.value is None:
            _fail(reply)

    async def _wait(self, state: JobState) -> None:
        lost = 0
        while True:
            asked = self.clock.now()
            reply = await self.target.poll(state.id, min(LONG_POLL_SECONDS, state.scenario.time_limit), state.poll_call)
            video = reply.value
            if video is None:
                lost += 1
                if not reply.transient or lost == POLL_ATTEMPTS:
                    _fail(reply)
            else:
                lost = 0
                if video.terminal:
                    break
            # A long poll that answers early must not become a busy loop.
            await asyncio.sleep(max(0.0, asked + state.scenario.poll_interval - self.clock.now()))
        if video.status == "failed":
            raise EndedError(Outcome.FAILED, _short(video.error.message if video.error else "") or "no reason given")

    async def _manifest(self, state: JobState) -> None:
        reply = await self.target.manifest(state.id, state.call)
        if reply.value is not None:
            state.manifest = reply.value
            state.findings.check_manifest(state.id, reply.value)
        elif reply.code == "video_not_found":
            state.findings.missing("the manifest")
        elif reply.status not in NOT_OFFERED:  # without manifests there is nothing to check
            _fail(reply)

    async def _content(self, state: JobState) -> None:
        reply = await self.target.content(state.id, state.call, checksum="manifest" in state.planned.steps)
        if reply.value is None:
            if reply.status == HTTPStatus.NOT_FOUND:
                state.findings.missing("the content")
            _fail(reply)
        state.content = reply.value

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
            state.leftover = look.status != HTTPStatus.NOT_FOUND

    async def delete(self, state: JobState) -> None:
        """Delete the video of a job, within `CLEANUP_SECONDS`."""
        try:
            with Deadline(CLEANUP_SECONDS):
                reply = await self.target.delete(state.id, state.call)
        except TimeoutError:
            return
        state.deleted = reply.value is not None and reply.value.deleted


def _fail(reply: Reply[Any], outcome: Outcome = Outcome.ERROR) -> NoReturn:
    raise EndedError(outcome, reply.error or "no answer")


def _short(text: str) -> str:
    return " ".join(text.split())[:200]

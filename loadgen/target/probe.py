"""One short job at a server of which little is known: what it takes, what it says meanwhile, and how the file comes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from reelbench.loadgen.clock import Clock
from reelbench.loadgen.http.credentials import Credentials
from reelbench.loadgen.plan.plan import PlannedJob
from reelbench.loadgen.record.jobs import ServerTimes
from reelbench.loadgen.target.answer import FileSink, Reply
from reelbench.loadgen.target.api import Content, Video
from reelbench.loadgen.target.server_times import joined
from reelbench.loadgen.target.target import Target
from reelbench.loadgen.target.target_error import TargetError
from reelbench.loadgen.target.target_file import Create, TargetFile
from reelbench.loadgen.target.wire import UNTRACED

PROMPT: Final = "A paper boat drifts across a quiet pond at sunrise."
MOST_CREATES: Final = 8
"""Create requests that are sent at most; one that is refused costs the server no job."""
_MOST_FAILURES: Final = 10
_LONGEST_PAUSE: Final = 5.0
_FINAL: Final = frozenset({401, 402, 403, 404})
"""Statuses of a refusal that another form of the request does not change."""
_SIZES: Final = frozenset({"size", "width", "height"})
_LENGTHS: Final = frozenset({"seconds", "num_frames"})


class Wish(msgspec.Struct, frozen=True):
    """The video that is asked for."""

    seconds: str
    size: str
    model: str | None
    models: Sequence[str]
    """Models that the server lists."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What the job showed."""

    create: Create
    """How the accepted request was written."""
    model: str | None
    status: int | None
    """Status of the answer to the accepted request."""
    seconds: str
    refused: tuple[str, ...]
    """What the server said to the requests that it refused."""
    words: tuple[str, ...]
    """Words for the state of the job, in order."""
    done: float
    """Seconds from sending until the job was first reported as ended."""
    complete: float
    """Seconds from sending until the file was read."""
    content: Content | None
    content_source: str
    error: str | None
    """Why there is no file; None: there is one."""
    throttled: int
    """Polls that were answered with 429."""
    times: ServerTimes | None
    deleted: str
    """What the server answered to the deletion."""
    has_wait: bool | None
    has_delete: bool | None


class Probe:
    """Sends one job to a server."""

    def __init__(
        self,
        url: str,
        server: TargetFile,
        credentials: Credentials,
        *,
        time_limit: float,
        clock: Clock,
        say: Callable[[str], None],
    ) -> None:
        """Prepare the probe.

        Args:
            url: base URL.
            server: what is assumed of the server.
            credentials: what the server gets with each request.
            time_limit: seconds until the job is given up, and deleted.
            clock: measures the job.
            say: receives lines about the progress.
        """
        self._url = url
        self._server = server
        self._credentials = credentials
        self._limit = time_limit
        self._clock = clock
        self._say = say

    async def run(self, wish: Wish, sink: FileSink | None = None) -> Facts:
        """Send a job, wait for its end, read its file and delete it.

        Raises:
            TargetError: no job was accepted, or the accepted one did not end.
        """
        create, model = self._server.create, wish.model or self._server.create.model
        if create.model_required and model is None and wish.models:
            model = wish.models[0]
        refused: list[str] = []
        tried: set[str] = set()
        for _ in range(MOST_CREATES):
            tried.add(_key(create, model, wish.seconds))
            server = self._server.model_copy(update={"create": create})
            target = Target(
                self._url,
                connections=2,
                clock=self._clock,
                server=server,
                model=model,
                credentials=self._credentials,
            )
            async with target:
                sent = self._clock.now()
                job = _job(create, wish)
                reply = await target.create(job, None, UNTRACED, silence=self._limit, checksum=True, sink=sink)
                if reply.value is not None:
                    self._say(f"job {reply.value.id or '(without an id)'} is accepted")
                    return await _Accepted(self, target, sent, sink).follow(reply, create, model, wish, refused)
            _must_be_a_refusal(reply)
            refused.append(reply.error or "")
            if "model" in refused[-1].lower() and (model is not None or not wish.models):
                break
            self._say(f"refused: {reply.error}")
            following = _adapted(create, model, wish, reply.error or "", tried)
            if following is None:
                break
            create, model, wish = following
        cure = (
            "name one with --model" if "model" in refused[-1].lower() else "describe it with --preset or --target-file"
        )
        raise TargetError(f"the server refuses a job ({refused[-1]}); {cure}")

    @property
    def limit(self) -> float:
        """Seconds until the job is given up."""
        return self._limit

    def now(self) -> float:
        """Return the time."""
        return self._clock.now()

    def say(self, line: str) -> None:
        """Report progress."""
        self._say(line)


class _Accepted:
    """The accepted job until it is deleted."""

    def __init__(self, probe: Probe, target: Target, sent: float, sink: FileSink | None) -> None:
        self._probe = probe
        self._target = target
        self._sent = sent
        self._sink = sink
        self._words: dict[str, None] = {}
        self._times: ServerTimes | None = None
        self._has_delete: bool | None = None
        self._throttled = 0

    async def follow(
        self, reply: Reply[Video], create: Create, model: str | None, wish: Wish, refused: Sequence[str]
    ) -> Facts:
        assert reply.value is not None, "the job is accepted"
        video = reply.value
        try:
            self._learn(video, reply)
            video = await self._ended(video)
            done = self._probe.now() - self._sent
            content, error, source = None, None, ""
            if video.state == "completed":
                content, error, source = await self._content(video)
            else:
                error = f"the job ended as {video.word or video.state}: {video.error or 'the server gives no reason'}"
            complete = self._probe.now() - self._sent
        finally:
            deleted = await asyncio.shield(self._delete(video.id))
        return Facts(
            create=create,
            model=model,
            status=reply.status,
            seconds=wish.seconds,
            refused=tuple(refused),
            words=tuple(self._words),
            done=done,
            complete=complete,
            content=content,
            content_source=source,
            error=error,
            throttled=self._throttled,
            times=self._times,
            deleted=deleted,
            has_wait=self._target.found["wait"],
            has_delete=self._has_delete,
        )

    def _learn(self, video: Video, reply: Reply[Video]) -> None:
        if video.word is not None and video.word not in self._words:
            self._words[video.word] = None
            self._probe.say(f"{self._probe.now() - self._sent:.1f} s: {video.word}")
        self._times = joined(self._times, video.times, reply.stages)

    async def _ended(self, video: Video) -> Video:
        """Return the video when its job has ended.

        Raises:
            TargetError: the time limit has passed, or the server does not answer about the job.
        """
        failures = 0
        while not video.terminal:
            if self._probe.now() - self._sent > self._probe.limit:
                word = video.word or "running"
                raise TargetError(
                    f"the job was still {word} after {self._probe.limit:g} s and is given up; give a longer "
                    "--time-limit, or name the word among the states of a target file if it means an end"
                )
            reply = await self._target.poll(video.id, 1.0, UNTRACED)
            if reply.value is not None:
                failures, video = 0, reply.value
                self._learn(video, reply)
            elif reply.throttled:
                self._throttled += 1
            else:
                failures += 1
                if failures > _MOST_FAILURES:
                    raise TargetError(f"the server does not answer about its job ({reply.error}); is --target right?")
            if not video.terminal:
                grown = max(0.2, (self._probe.now() - self._sent) / 20)
                await asyncio.sleep(max(reply.retry_after or 0.0, min(grown, _LONGEST_PAUSE)))
        return video

    async def _content(self, video: Video) -> tuple[Content | None, str | None, str]:
        source = "in the answer to create" if video.file else "base64" if video.inline else "url"
        for _ in range(self._target.file.content.attempts):
            reply = await self._target.content(video, UNTRACED, sink=self._sink)
            if reply.value is not None:
                self._times = joined(self._times, None, reply.stages)
                if not video.carries_file:
                    source = "endpoint"
                return reply.value, None, source
            if not (reply.not_yet or reply.throttled):
                break
            await asyncio.sleep(max(reply.retry_after or 0.0, 0.5))
        return None, f"the file cannot be read: {reply.error}", source

    async def _delete(self, video_id: str) -> str:
        """Delete the job, so nothing remains at the server; return what it answered."""
        if not video_id or self._target.synchronous or self._target.found["delete"] is False:
            return "not offered"
        try:
            async with asyncio.timeout(5.0):
                reply = await self._target.delete(video_id, UNTRACED)
        except TimeoutError:
            return "no answer in 5 s"
        if reply.value is not None or reply.not_offered:
            self._has_delete = reply.value is not None
        if reply.value is not None:
            return "deleted" if reply.value.deleted else "accepted"
        return reply.error or "no answer"


def _job(create: Create, wish: Wish) -> PlannedJob:
    return PlannedJob(
        scenario="probe",
        case="probe",
        index=0,
        warmup=False,
        steps=("create", "wait", "content"),
        encoding="multipart" if create.encoding == "multipart" else "json",
        prompt=PROMPT,
        seconds=wish.seconds,
        size=wish.size,
        cancel_after=None,
        intended_start=None,
    )


def _must_be_a_refusal(reply: Reply[Video]) -> None:
    """Raise TargetError unless another request may be accepted."""
    if reply.status is None or reply.throttled or reply.status in {401, 402, 403, 404}:
        model = " (a model that the server does not have is often answered so)" if reply.status == 404 else ""  # noqa: PLR2004 - not found
        if reply.status != 404 or "model" not in (reply.error or "").lower():  # noqa: PLR2004 - not found
            raise TargetError(
                f"the server takes no job ({reply.error or 'no answer'}){model}; correct it and try again"
            )


def _adapted(
    create: Create, model: str | None, wish: Wish, said: str, tried: set[str]
) -> tuple[Create, str | None, Wish] | None:
    """Return the next way to write the request that was not tried, the one first that the refusal hints at."""
    text = said.lower()
    options: list[tuple[bool, tuple[Create, str | None, Wish]]] = []
    if wish.models and model not in wish.models and wish.model is None:
        options.append(("model" in text, (create, wish.models[0], wish)))
    other = "multipart" if create.encoding != "multipart" else "json"
    about_form = re.search(r"json|form|multipart|media type|content.type|body|415", text) is not None
    options.append((about_form, (create.model_copy(update={"encoding": other}), model, wish)))
    allowed = re.search(r"(?:one of|must be|allowed|supported)\D{0,20}((?:['\"]?\d+['\"]?[,\s]*(?:or|and)?\s*)+)", text)
    about_length = re.search(r"second|duration|length|integer|i32|number", text) is not None
    if allowed and about_length:
        shortest = min(re.findall(r"\d+", allowed[1]), key=int)
        options.append((True, (create, model, msgspec.structs.replace(wish, seconds=shortest))))
    if create.seconds_as == "text":
        options.append((about_length, (create.model_copy(update={"seconds_as": "whole number"}), model, wish)))
    if "seconds" in create.fields and create.fields["seconds"] != "duration":
        renamed = create.model_copy(update={"fields": {**create.fields, "seconds": "duration"}})
        options.append(("duration" in text, (renamed, model, wish)))
    for names, about in (
        (_SIZES, re.search(r"size|width|height|resolution", text) is not None),
        (_LENGTHS, about_length),
    ):
        fewer = {name: field for name, field in create.fields.items() if name not in names}
        options.append((about, (create.model_copy(update={"fields": fewer}), model, wish)))
    new = [(hinted, way) for hinted, way in options if _key(way[0], way[1], way[2].seconds) not in tried]
    return next((way for hinted, way in sorted(new, key=lambda one: not one[0])), None)


def _key(create: Create, model: str | None, seconds: str) -> str:
    return repr((create.encoding, create.seconds_as, sorted(create.fields.items()), model, seconds))

"""Client of the server under test: follows its target file, reads its answers tolerantly, remembers what it has."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable
from functools import partial
from http import HTTPStatus
from typing import Any, Final, Self
from urllib.parse import quote

import msgspec

from reelbench.loadgen.clock import Clock
from reelbench.loadgen.document import Document
from reelbench.loadgen.http.credentials import NO_CREDENTIALS, Credentials
from reelbench.loadgen.http.transport import SILENCE_SECONDS
from reelbench.loadgen.plan.plan import PlannedJob
from reelbench.loadgen.record.address import shown_url
from reelbench.loadgen.record.run import ServerRecord
from reelbench.loadgen.target import api
from reelbench.loadgen.target.access import refusal
from reelbench.loadgen.target.answer import MAX_ANSWER, MAX_INLINE, Answer, FileSink, Reply
from reelbench.loadgen.target.api import Content, DeletedVideo, Endpoint, Manifest, Video, VideoList
from reelbench.loadgen.target.asked import Asked
from reelbench.loadgen.target.downloads import Downloads
from reelbench.loadgen.target.links import split_base
from reelbench.loadgen.target.media import problem
from reelbench.loadgen.target.offers import Found, Name
from reelbench.loadgen.target.reading import Reader
from reelbench.loadgen.target.states import Words
from reelbench.loadgen.target.target_error import TargetError
from reelbench.loadgen.target.target_file import Create, TargetFile
from reelbench.loadgen.target.wire import UNTRACED, Call, Wire

CHECK_SECONDS: Final = 10.0
NO_JOB: Final = "reelbench-check"
"""Id of a job that does not exist."""
OURS: Final = "reelbench"
"""Preset of the service of this project."""
FOUND: Final = TargetFile(
    name="found",
    title="Server of an unknown kind",
    create=Create(reference=("document", "image", "video")),
)
"""A target of which nothing is said: its manners are found out."""
_KEY: Final = re.compile(r"authenticat|api[ _-]?key|unauthori[sz]ed|no connected db", re.IGNORECASE)
"""Words about a key: some gateways answer 400 to a wrong one, LiteLLM without a database with the last of these."""
_MISSING: Final = frozenset({HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED})
"""Statuses that say for themselves that there is no such operation."""
_MANIFEST: Final = msgspec.json.Decoder(Manifest)


class Target:
    """A client with one connection pool; use as an asynchronous context manager."""

    def __init__(
        self,
        url: str,
        *,
        connections: int,
        clock: Clock,
        credentials: Credentials = NO_CREDENTIALS,
        server: TargetFile | None = None,
        model: str | None = None,
        dial: tuple[str, int] | None = None,
    ) -> None:
        """Prepare a client.

        Args:
            url: base URL; a path such as ``/v1`` or ``/v1/videos`` at its end counts once.
            connections: size of the pool; must cover all jobs in flight, else requests wait for a connection.
            clock: source of all timestamps.
            server: how to speak to the target; None: its manners are found out.
            model: model that every job names; None: that of the target file, if it has one.
            credentials: what the target gets with each request.
            dial: host and port to connect to instead of those of the URL: a TCP proxy before the target.
        """
        self.file = server or FOUND
        self.model = model or self.file.create.model
        self.ours: bool | None = True if self.file.name == OURS else None if server is None else False
        """Whether it is the service of this project; None: not known."""
        origin, self.root = split_base(url, self.file.create.path)
        self.synchronous = self.file.create.synchronous
        """Whether the answer to the create request comes when the video is made."""
        self.found = Found(self.file.offers)
        self._asked = Asked(self.file.create, self.model)
        self._credentials = credentials
        self._most = MAX_INLINE if self.file.content.source == "base64" else MAX_ANSWER
        """Most bytes of an answer about a job: more where it may hold the file."""
        self._read = Reader(Words(self.file.states), credentials.clean)
        self._read_created = partial(self._read.video, needs_id=not self.synchronous)
        self._wire = Wire(origin, connections=connections, clock=clock, credentials=credentials, dial=dial)
        self._again = partial(
            Target,
            url,
            connections=connections,
            clock=clock,
            credentials=credentials,
            server=server,
            model=model,
        )
        self._endpoints = api.endpoints(self.root, self.file.offers.cancel_path)
        self._downloads = Downloads(self._wire, self._read, self.root, self.file.content)

    async def __aenter__(self) -> Self:
        self._wire.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._wire.close()

    def through(self, dial: tuple[str, int]) -> Target:
        """Return a client with connections of its own through a TCP proxy; what is known of the target is shared."""
        other = self._again(dial=dial)
        other.ours, other.found = self.ours, self.found
        other._asked = self._asked  # noqa: SLF001 - of its own class
        return other

    @property
    def shown(self) -> str:
        """The address of the jobs, for messages."""
        return self._wire.origin + self.root

    def record(self) -> ServerRecord:
        """Return the description for ``run.json``, with what is known by now."""
        return ServerRecord(
            name=self.file.name,
            title=self.file.title,
            ours=self.ours is True,
            model=self.model,
            offers=self.found.as_dict(),
            synchronous=self.synchronous,
            metrics=[shown_url(source.url) for source in self.file.metrics if source.url is not None],
            notes=list(self.found.notes),
        )

    def takes(self, upload: Document) -> bool:
        """Return whether jobs upload a file of this kind."""
        return self._asked.takes(upload)

    async def create(
        self,
        job: PlannedJob,
        upload: Document | None,
        call: Call,
        *,
        prompt: str | None = None,
        silence: float = SILENCE_SECONDS,
        checksum: bool = False,
        sink: FileSink | None = None,
    ) -> Reply[Video]:
        """Submit a job.

        Args:
            job: what to ask for.
            upload: the file of the job, sent if the server takes its kind.
            call: trace and observer.
            prompt: what is sent as the prompt; None: the prompt of the job.
            silence: longest silence in seconds before the answer.
            checksum: whether the checksum is computed of a file that is the answer itself.
            sink: gets the bytes of such a file.
        """
        body = self._asked.body(job, upload, job.prompt if prompt is None else prompt)
        if not self.synchronous:
            answer = Answer(limit=self._most)
        else:
            answer = Answer(keep=False, textual=True, limit=MAX_INLINE, checksum=checksum, sink=sink)
        create = self._endpoints.create
        await self._wire.send(
            call, create, create.route, answer, media_type=body.media_type, body=body.parts, silence=silence
        )
        if answer.kept or answer.status is None:
            return answer.read(self._read_created, "Video object")
        wrong = problem(answer.media_type, answer.start, answer.size)
        made = answer.file()
        if wrong is not None or made.value is None:
            return Reply(answer.status, error=wrong or made.error)
        return Reply(answer.status, Video(id="", state="completed", file=made.value), stages=made.stages)

    async def retrieve(self, video_id: str, call: Call) -> Reply[Video]:
        """Return the current state of a video."""
        answer = await self._get(call, self._endpoints.retrieve, self._endpoints.retrieve.path(video_id))
        return answer.read(self._read.video, "Video object", video_id)

    async def poll(self, video_id: str, seconds: float, call: Call) -> Reply[Video]:
        """Return the state of a video: once it is terminal or after `seconds`, at once if the target has no ``/wait``.

        The first use finds out: without a video from ``/wait``, the state is read by a plain request.
        """
        offered = self.found["wait"]
        if offered is False:
            return await self.retrieve(video_id, call)
        wait, answer = self._endpoints.wait, Answer(limit=self._most)
        await self._wire.send(call, wait, f"{wait.path(video_id)}?timeout={seconds:.3f}", answer)
        reply = answer.read(self._read.video, "Video object", video_id)
        if reply.value is not None:
            if not offered:
                self.found.has("wait")
            return reply
        if self.found["wait"] or (reply.transient and not reply.not_offered):
            return reply
        # Servers answer an unknown path with 404, but also with 403 or with 200 and HTML.
        plain = await self.retrieve(video_id, call)
        if plain.value is not None:  # the video exists, so /wait does not
            self.found.lacks("wait", reply.error or "no answer")
        return plain

    async def list(self, call: Call, *, limit: int = 20, after: str | None = None) -> Reply[VideoList]:
        """Return one page of videos, newest first where the server orders them."""
        position = f"&after={quote(after, safe='')}" if after else ""
        answer = await self._get(call, self._endpoints.list, f"{self.root}?limit={limit}&order=desc{position}")
        reply = answer.read(self._read.page, "VideoList object")
        if reply.value is not None:
            self.found.has("list")
        elif self.found["list"] is None and (reply.not_offered or reply.status == HTTPStatus.BAD_REQUEST):
            self.found.lacks("list", reply.error or "no answer")
        return reply

    async def manifest(self, video_id: str, call: Call) -> Reply[Manifest]:
        """Return the manifest of a video."""
        answer = await self._get(call, self._endpoints.manifest, self._endpoints.manifest.path(video_id))
        reply = answer.read(_MANIFEST.decode, "Manifest object")
        if reply.value is not None:
            self.found.has("manifest")
        elif self.found["manifest"] is None and reply.not_offered and reply.code != "video_not_found":
            self.found.lacks("manifest", reply.error or "no answer")
        return reply

    async def delete(self, video_id: str, call: Call) -> Reply[DeletedVideo]:
        """Delete a video."""
        return await self._remove("delete", self._endpoints.delete, video_id, call)

    async def cancel(self, video_id: str, call: Call) -> Reply[DeletedVideo]:
        """Stop a job, by deletion unless the target file has a path for it; recorded as an operation of its own."""
        return await self._remove("cancel", self._endpoints.cancel, video_id, call)

    async def asset(self, video_id: str, name: str, call: Call) -> Reply[Content]:
        """Download one file of the manifest; only size and checksum are kept."""
        answer = Answer(keep=False, checksum=True)
        await self._wire.send(call, self._endpoints.asset, self._endpoints.asset.path(video_id, name), answer)
        return answer.file()

    def content(
        self, video: Video, call: Call, *, checksum: bool = True, sink: FileSink | None = None
    ) -> Awaitable[Reply[Content]]:
        """Download a video from where its answers say it is.

        Only its size is kept, and its checksum where one is needed; the sink gets its bytes.
        """
        return self._downloads.content(video, call, checksum=checksum, sink=sink)

    async def check(self) -> None:
        """Check that the target answers and may speak the API; any answer that is not clearly something else will do.

        Raises:
            TargetError: no answer, a refused key, or something else than the API.
        """
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                await self._check()
        except TimeoutError:
            raise TargetError(self._unanswered(f"time-out after {CHECK_SECONDS:g} s")) from None

    async def _check(self) -> None:
        job = self._endpoints.retrieve.path(NO_JOB)
        look: Reply[VideoList] | Reply[Video]
        if self.found["list"] is False:
            look, place = await self.retrieve(NO_JOB, UNTRACED), job
        else:
            look, place = await self.list(UNTRACED, limit=1), f"{self.root}?limit=1"
        self._judge(look)
        if look.value is None and place != job and (look.not_offered or self._is_something_else(look)):
            # A list is not needed. Servers without one still know the path of a job, and say that there is no such job.
            second = await self.retrieve(NO_JOB, UNTRACED)
            self._judge(second, last=True)
            if self._is_something_else(second):
                raise TargetError(self._something_else(place, look.error))
        elif look.value is None:
            self._judge(look, last=True)
            if self._is_something_else(look) and not look.explained:
                raise TargetError(self._something_else(place, look.error))
        if self.ours is None:
            # Only our service says this of the manifest of a job that does not exist.
            manifest = await self.manifest(NO_JOB, UNTRACED)
            self.ours = manifest.code == "video_not_found"
            if not self.ours:
                self.found.lacks("manifest", manifest.error or "an extension of this project")

    def _judge(self, reply: Reply[Any], *, last: bool = False) -> None:
        """Raise TargetError for no answer and for a refused key; 403 may be the answer to an unknown path, at first."""
        if reply.status != HTTPStatus.FORBIDDEN or last:
            about_key = reply.status == HTTPStatus.BAD_REQUEST and _KEY.search(reply.error or "") is not None
            if said := refusal(self.shown, reply.status, reply.error, self._credentials, about_key=about_key):
                raise TargetError(said)
        if reply.status is None:
            raise TargetError(self._unanswered(reply.error))

    @staticmethod
    def _is_something_else(reply: Reply[Any]) -> bool:
        """Return whether no server of jobs answers so: a web page, no JSON, a redirect, or an error of the server."""
        assert reply.status is not None, "there is an answer"
        if reply.value is not None:
            return False
        return reply.html or reply.status < HTTPStatus.BAD_REQUEST or reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR

    def _unanswered(self, error: str | None) -> str:
        return f"target {self.shown} gives no HTTP answer ({error}); start the service or correct --target"

    def _something_else(self, place: str, error: str | None) -> str:
        cure = "" if error is not None and "--target" in error else "; correct --target"
        return f"target {self.shown} does not speak the OpenAI Videos API: GET {place} gave {error}{cure}"

    async def _remove(self, name: Name, endpoint: Endpoint, video_id: str, call: Call) -> Reply[DeletedVideo]:
        answer = Answer()
        await self._wire.send(call, endpoint, endpoint.path(video_id), answer)
        reply = answer.read(self._read.deletion, "deletion", video_id)
        if reply.value is not None:
            self.found.has(name)
        elif self.found[name] is None and reply.not_offered:
            gone = reply.status not in _MISSING and (await self.retrieve(video_id, UNTRACED)).value is None
            if not gone:
                self.found.lacks(name, reply.error or "no answer")
        return reply

    async def _get(self, call: Call, endpoint: Endpoint, path: str) -> Answer:
        answer = Answer(limit=self._most)
        await self._wire.send(call, endpoint, path, answer)
        return answer


async def check_target(
    url: str,
    credentials: Credentials = NO_CREDENTIALS,
    *,
    server: TargetFile | None = None,
    model: str | None = None,
) -> None:
    """Check, before anything is started, that a target answers and speaks the API.

    Raises:
        TargetError: as `Target.check`.
    """
    target = Target(
        url,
        connections=1,
        clock=Clock.start(),
        credentials=credentials,
        server=server,
        model=model,
    )
    async with target:
        await target.check()

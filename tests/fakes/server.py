"""One fake server: the routes of a text-to-video API in the manner of one server."""

from __future__ import annotations

import asyncio
import base64
from collections import deque
from typing import Final

import msgspec
from aiohttp import web

from tests.fakes import exposition
from tests.fakes.clip import HTML, picture
from tests.fakes.creation import RefusedError, read_create
from tests.fakes.figures import figures
from tests.fakes.generation import Generation, Load
from tests.fakes.guard import Guard, Handler
from tests.fakes.manner import Manner
from tests.fakes.shapes import Body, Shapes, new_id
from tests.fakes.truth import Job, Truth

KEY: Final = "sk-fake-0123456789"
"""Key that a fake accepts, unless another one is set."""
MODEL: Final = "fake-video-1"


class Fake:
    """A text-to-video server that keeps the truth about itself."""

    def __init__(self, manner: Manner, load: Load | None = None, *, key: str = KEY, model: str = MODEL) -> None:
        self.manner = manner
        self.load = load or Load()
        self.key = key
        self.model = model
        self.truth = Truth()
        self.origin = ""
        """URL of the server, set when it is served."""
        self.elsewhere = ""
        """URL of the other host: a second port under the name localhost."""
        self.generation = Generation(self.load, self.truth)
        self._shapes = Shapes(manner, self.load, model)
        self._guard = Guard(manner, self.truth, self._shapes, key)
        self._jobs: dict[str, Job] = {}
        self._creates = 0
        self._polls: deque[float] = deque()

    def served_at(self, origin: str, elsewhere: str) -> None:
        """Take the URLs under which the fake is served."""
        self.origin, self.elsewhere = origin, elsewhere
        self._guard.elsewhere = elsewhere

    @property
    def base(self) -> str:
        """Base URL as the server's own documentation gives it, with its prefix."""
        return self.origin + self.manner.prefix

    def app(self) -> web.Application:
        """Return the application."""
        app = web.Application(client_max_size=64 * 1024**2, middlewares=[self._guard.middleware])
        videos = f"{self.manner.prefix}/videos"
        routes: list[tuple[str, str, Handler]] = [
            ("GET", "/truth", self._truth),
            ("GET", "/health", self._health),
            ("GET", f"{self.manner.prefix}/models", self._models),
            ("GET", "/files/{name}", self._stored_file),
            ("POST", videos, self._create),
        ]
        if self.manner.metrics:
            routes += [("GET", "/metrics", self._metrics), ("GET", "/metrics/{family}", self._metrics)]
        if self.manner.synchronous:
            routes.append(("POST", f"{videos}/generations", self._create))
        else:
            routes += [
                ("GET", f"{videos}/{{id}}", self._retrieve),
                ("GET", f"{videos}/{{id}}/content", self._content),
                ("GET", videos, self._list),
                ("DELETE", f"{videos}/{{id}}", self._delete),
            ]
        for method, path, handler in routes:
            app.router.add_route(method, path, handler)
        return app

    # --- The API ---

    async def _create(self, request: web.Request) -> web.StreamResponse:
        self._creates += 1
        every = self.manner.create_429_every
        if every and self._creates % every == 0:
            self._guard.throttle("too many videos at the same time")
        create = await read_create(request, self.manner, self.model)
        job = Job(
            number=len(self.truth.jobs) + 1,
            id=new_id(self.manner, create.model),
            model=create.model,
            prompt=create.prompt,
            clip=create.clip,
            steps=create.steps,
            fields=create.fields,
            created=self.truth.clock.now(),
        )
        self.truth.jobs.append(job)
        self._jobs[job.id] = job
        self.generation.start(job)
        if not (self.manner.synchronous or self.manner.blocking):
            return web.json_response(self._video(job), status=self.manner.create_status)
        try:
            await self.generation.until_over(job)
        except asyncio.CancelledError:
            await self.generation.cancel(job)
            raise
        body = self._video(job)
        if self.manner.synchronous:
            body = self._shapes.synchronous(job, self.truth.clock.now(), self.origin, self.elsewhere)
        return web.json_response(body, status=self.manner.create_status, headers=self._shapes.server_timing(job))

    async def _retrieve(self, request: web.Request) -> web.StreamResponse:
        self._limit_polls()
        job = self._job(request)
        job.polls += 1
        if job.polls <= self.manner.early_404_retrieve:
            raise RefusedError(404, "video not found", "not_found")
        first = self.manner.early_404_retrieve + 1
        if first < job.polls <= first + self.manner.poll_429:
            self._guard.throttle("polled too often")
        return web.json_response(self._video(job), headers=self._shapes.server_timing(job))

    async def _content(self, request: web.Request) -> web.StreamResponse:
        job = self._job(request)
        job.content_requests += 1
        if self.manner.content == "url" or (self.manner.content == "unsigned_urls" and self.manner.files_elsewhere):
            return self._guard.unknown(request)
        if job.content_requests <= self.manner.early_404_content:
            raise RefusedError(404, "video not found", "not_found")
        if job.end != "completed":
            raise RefusedError(400, "the video is not completed", "video_not_ready")
        if job.content_requests <= self.manner.early_404_content + self.manner.late_content:
            return web.json_response({"status": "processing"}, status=202)
        variant = request.query.get("variant", "video")
        if variant in {"thumbnail", "spritesheet"} and self.manner.variants:
            kind = "image/webp" if variant == "thumbnail" else "image/jpeg"
            return web.Response(body=picture(job.clip, variant), content_type=kind)
        match self.manner.content:
            case "redirect":
                return web.Response(status=302, headers={"Location": f"{self.elsewhere}/files/{job.id}.mp4"})
            case "base64":
                text = base64.b64encode(self.generation.file(job)).decode()
                return web.json_response({"data": [{"b64_json": text}]})
            case _:
                return self._file(job)

    async def _stored_file(self, request: web.Request) -> web.StreamResponse:
        job = self._jobs.get(request.match_info["name"].removesuffix(".mp4"))
        if job is None or not job.there or job.end != "completed":
            raise RefusedError(404, "no such file", "not_found")
        return self._file(job)

    async def _list(self, request: web.Request) -> web.StreamResponse:
        match self.manner.list:
            case "absent":
                raise self._guard.absent()
            case "broken":
                raise RefusedError(500, "the list failed", "internal_error")
            case "needs_provider":
                raise RefusedError(400, "LLM Provider NOT provided.", "invalid_request_error")
            case _:
                pass
        jobs = [job for job in self.truth.jobs if job.there]
        if self.manner.list == "everything_oldest_first":
            return web.json_response(self._shapes.page([self._video(job) for job in jobs], more=False))
        if self.manner.list != "oldest_first" and request.query.get("order", "desc") == "desc":
            jobs.reverse()
        if after := request.query.get("after"):
            place = next((n for n, job in enumerate(jobs, start=1) if job.id == after), 0)
            jobs = jobs[place:]
        limit = int(request.query.get("limit", "20"))
        return web.json_response(self._shapes.page([self._video(job) for job in jobs[:limit]], more=len(jobs) > limit))

    async def _delete(self, request: web.Request) -> web.StreamResponse:
        if self.manner.delete == "absent":
            raise self._guard.absent()
        job = self._job(request)
        running = job.end is None
        if self.manner.delete == "refused" or (running and self.manner.delete == "conflict"):
            raise RefusedError(409, "the video is in use", "conflict")
        body = self._shapes.deleted(self._video(job), running=running)
        if running:
            await self.generation.cancel(job)
        if not (running and self.manner.delete == "status"):
            job.deleted = self.truth.clock.now()
            self.generation.drop(job)
        return web.Response(status=204) if body is None else web.json_response(body)

    # --- Around the API ---

    async def _truth(self, _: web.Request) -> web.StreamResponse:
        known = msgspec.to_builtins(figures(self.truth, self.load))
        return web.json_response(self.truth.summary() | {"figures": known})

    async def _health(self, _: web.Request) -> web.StreamResponse:
        return web.json_response({"status": "ok"})

    async def _models(self, _: web.Request) -> web.StreamResponse:
        return web.json_response({"object": "list", "data": [{"id": self.model, "object": "model"}]})

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        """All families, or one alone, as an exporter at an address of its own has it."""
        one = request.match_info.get("family")
        names = self.manner.metrics if one is None else self.manner.metrics & {one}
        text = exposition.exposition(names, self.truth, self.load, self.model)
        return web.Response(text=text, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    # --- Helpers ---

    def _job(self, request: web.Request) -> Job:
        job = self._jobs.get(request.match_info["id"])
        if job is None:
            raise RefusedError(self.manner.unknown_id_status, "video not found", "not_found")
        if not job.there:
            raise RefusedError(404, "video not found", "not_found")
        return job

    def _video(self, job: Job) -> Body:
        return self._shapes.video(job, self.truth.clock.now(), self.origin, self.elsewhere)

    def _file(self, job: Job) -> web.Response:
        data = self.generation.file(job)
        return web.Response(body=data, content_type="text/html" if data == HTML else self.manner.content_type)

    def _limit_polls(self) -> None:
        limit = self.manner.polls_per_second
        if not limit:
            return
        now = self.truth.clock.now()
        while self._polls and self._polls[0] <= now - 1:
            self._polls.popleft()
        if len(self._polls) >= limit:
            self._guard.throttle("more polls per second than allowed")
        self._polls.append(now)

"""One fake server: the routes of a text-to-video API in the manner of one server."""

from __future__ import annotations

import asyncio
import base64
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from aiohttp import web

from tests.fakes import exposition
from tests.fakes.clip import HTML, picture
from tests.fakes.creation import RefusedError, read_create
from tests.fakes.figures import figures
from tests.fakes.generation import Generation, Load
from tests.fakes.manner import Manner
from tests.fakes.shapes import Body, Shapes, new_id
from tests.fakes.truth import Job, Seen, Truth

KEY: Final = "sk-fake-0123456789"
"""Key that a fake accepts, unless another one is set."""
MODEL: Final = "fake-video-1"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
OPEN_PATHS: Final = frozenset({"/truth", "/metrics", "/health"})
"""Paths that need no key and are not part of the API."""


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
        self.elsewhere_port = 0
        self.generation = Generation(self.load, self.truth)
        self._shapes = Shapes(manner, self.load, model)
        self._jobs: dict[str, Job] = {}
        self._creates = 0
        self._polls: deque[float] = deque()

    @property
    def base(self) -> str:
        """Base URL as the server's own documentation gives it, with its prefix."""
        return self.origin + self.manner.prefix

    def app(self) -> web.Application:
        """Return the application."""
        app = web.Application(client_max_size=64 * 1024**2, middlewares=[self._middleware])
        videos = f"{self.manner.prefix}/videos"
        routes: list[tuple[str, str, Handler]] = [
            ("GET", "/truth", self._truth),
            ("GET", "/health", self._health),
            ("GET", f"{self.manner.prefix}/models", self._models),
            ("GET", "/files/{name}", self._stored_file),
            ("POST", videos, self._create),
        ]
        if self.manner.metrics:
            routes.append(("GET", "/metrics", self._metrics))
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

    @web.middleware
    async def _middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            response = await self._guarded(request, handler)
        except RefusedError as refusal:
            response = web.json_response(
                self._shapes.error(refusal.status, refusal.message, refusal.code),
                status=refusal.status,
                headers=refusal.headers,
            )
        if request.path != "/truth":
            resource = request.match_info.route.resource
            self.truth.requests.append(
                Seen(
                    at=self.truth.clock.now(),
                    host=request.host,
                    method=request.method,
                    path=resource.canonical if resource is not None else request.path,
                    status=response.status,
                    bytes=int(response.headers.get("Content-Length", response.content_length or 0)),
                    authorization=request.headers.get("Authorization", ""),
                    headers={name: value for name, value in request.headers.items() if name != "Authorization"},
                )
            )
        return response

    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        port = request.get_extra_info("sockname")[1]
        if port == self.elsewhere_port and request.path.startswith("/files/"):
            return await handler(request)
        if self.manner.moved and request.path not in OPEN_PATHS and port != self.elsewhere_port:
            return web.Response(status=308, headers={"Location": self.elsewhere + request.path_qs})
        if request.path not in OPEN_PATHS:
            self._check_key(request)
        try:
            return await handler(request)
        except web.HTTPNotFound:
            return self._unknown(request)
        except web.HTTPMethodNotAllowed as error:
            status = self.manner.absent_status
            raise RefusedError(status, "Not Found" if status == 404 else error.reason, "not_found") from error

    def _check_key(self, request: web.Request) -> None:
        if not self.manner.key:
            return
        given = request.headers.get("Authorization", "")
        if not given:
            raise RefusedError(401, "no API key was given", "invalid_api_key", {"WWW-Authenticate": "Bearer"})
        if given != f"Bearer {self.key}":
            raise RefusedError(self.manner.wrong_key_status, "the API key is not valid", "invalid_api_key")

    def _unknown(self, request: web.Request) -> web.Response:
        match self.manner.unknown:
            case "html_200":
                return web.Response(body=HTML, content_type="text/html")
            case "forbidden_403":
                raise RefusedError(403, "Forbidden", "forbidden")
            case "json_404":
                raise RefusedError(404, f"Invalid URL ({request.method} {request.path})", "unknown_url")

    # --- The API ---

    async def _create(self, request: web.Request) -> web.StreamResponse:
        self._creates += 1
        every = self.manner.create_429_every
        if every and self._creates % every == 0:
            self._throttle("too many videos at the same time")
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
            self._throttle("polled too often")
        return web.json_response(self._video(job), headers=self._shapes.server_timing(job))

    async def _content(self, request: web.Request) -> web.StreamResponse:
        job = self._job(request)
        job.content_requests += 1
        if self.manner.content == "url" or (self.manner.content == "unsigned_urls" and self.manner.files_elsewhere):
            return self._unknown(request)
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
                raise RefusedError(self.manner.absent_status, "Not Found", "not_found")
            case "broken":
                raise RefusedError(500, "list needs a provider", "internal_error")
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
            raise RefusedError(self.manner.absent_status, "Method Not Allowed", "method_not_allowed")
        job = self._job(request)
        running = job.end is None
        if running and self.manner.delete == "conflict":
            raise RefusedError(409, "the video is being generated", "conflict")
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

    async def _metrics(self, _: web.Request) -> web.StreamResponse:
        text = exposition.exposition(self.manner.metrics, self.truth, self.load, self.model)
        return web.Response(text=text, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    # --- Helpers ---

    def _job(self, request: web.Request) -> Job:
        job = self._jobs.get(request.match_info["id"])
        if job is None or not job.there:
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
            self._throttle("more polls per second than allowed")
        self._polls.append(now)

    def _throttle(self, message: str) -> None:
        headers = {"Retry-After": self.manner.retry_after} if self.manner.retry_after else {}
        raise RefusedError(429, message, "rate_limit_exceeded", headers)

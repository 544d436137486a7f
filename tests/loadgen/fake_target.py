"""A fake OpenAI Videos API with a log and configurable faults."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.loadgen.fake_controls import FakeControls

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Fault = Callable[[web.Request], Awaitable[web.StreamResponse | None]]
CONTENT = b"\x00\x00\x00\x18ftypmp42" + b"v" * 5000


@dataclass
class Seen:
    operation: str
    status: int
    traceparent: str
    baggage: str
    video_id: str | None


@dataclass
class FakeTarget:
    seconds: float = 0.02
    long_poll: bool = True
    manifest: bool = True
    manifest_sha256: str = hashlib.sha256(CONTENT).hexdigest()
    scenes: list[dict[str, Any]] = field(default_factory=list)
    assets: dict[str, bytes] = field(default_factory=dict)
    says_cancelled: bool = True
    failing: Callable[[int], bool] = lambda _: False
    faults: dict[str, Fault] = field(default_factory=dict)
    log: list[Seen] = field(default_factory=list)
    videos: dict[str, dict[str, Any]] = field(default_factory=dict)
    uploads: list[dict[str, Any]] = field(default_factory=list)
    in_flight: int = 0
    peak: int = 0
    levels: list[int] = field(default_factory=list)
    ready: dict[str, asyncio.Event] = field(default_factory=dict)
    controls: FakeControls = field(default_factory=FakeControls)
    url: str = ""

    def counts(self) -> Counter[str]:
        return Counter(seen.operation for seen in self.log)

    def app(self) -> web.Application:
        app = web.Application(client_max_size=32 * 2**20)
        for method, path, operation in (
            ("POST", "/v1/videos", "create"),
            ("GET", "/v1/videos", "list"),
            ("GET", "/v1/videos/{id}", "retrieve"),
            ("GET", "/v1/videos/{id}/wait", "wait"),
            ("GET", "/v1/videos/{id}/manifest", "manifest"),
            ("GET", "/v1/videos/{id}/content", "content"),
            ("GET", "/v1/videos/{id}/assets/{name}", "asset"),
            ("DELETE", "/v1/videos/{id}", "delete"),
        ):
            app.router.add_route(method, path, self._logged(operation, getattr(self, f"_{operation}")))
        self.controls.add_to(app)
        return app

    def _logged(self, operation: str, handler: Handler) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            fault = self.faults.get(operation)
            response = await fault(request) if fault else None
            if response is None:
                known = operation in {"create", "list"} or request.match_info["id"] in self.videos
                response = await handler(request) if known else error(404, "no such video", "video_not_found")
            identity = request.match_info.get("id") or getattr(response, "video_id", None)
            headers = request.headers
            self.log.append(
                Seen(operation, response.status, headers.get("traceparent", ""), headers.get("baggage", ""), identity)
            )
            return response

        return handle

    async def _create(self, request: web.Request) -> web.StreamResponse:
        if request.content_type == "multipart/form-data":
            form = await request.post()
            upload: dict[str, Any] = {key: value for key, value in form.items() if isinstance(value, str)}
            file = form.get("input_reference")
            if isinstance(file, web.FileField):
                upload["file"] = (file.filename, file.content_type, file.file.read())
        else:
            upload = await request.json()
        number = len(self.uploads)
        self.uploads.append(upload)
        identity = f"video_{number:04}"
        self.videos[identity] = {
            "id": identity,
            "object": "video",
            "status": "in_progress",
            "created_at": int(time.time()),
            "progress": 0,
        }
        self.ready[identity] = asyncio.Event()
        self.in_flight += 1
        self.levels.append(self.in_flight)
        self.peak = max(self.peak, self.in_flight)
        asyncio.get_running_loop().call_later(self.seconds, self._finish, identity, number)
        response = web.json_response(self.videos[identity])
        vars(response)["video_id"] = identity
        return response

    def _finish(self, identity: str, number: int) -> None:
        self.in_flight -= 1
        if identity in self.videos:
            failed = self.failing(number)
            self.videos[identity]["status"] = "failed" if failed else "completed"
            if failed:
                self.videos[identity]["error"] = {"code": "render", "message": "render\nfailed"}
        self.ready[identity].set()

    async def _retrieve(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(self.videos[request.match_info["id"]])

    async def _wait(self, request: web.Request) -> web.StreamResponse:
        if not self.long_poll:
            return web.Response(status=404, text="no such route")
        identity = request.match_info["id"]
        try:
            async with asyncio.timeout(float(request.query["timeout"])):
                await self.ready[identity].wait()
        except TimeoutError:
            pass
        return web.json_response(self.videos[identity])

    async def _list(self, request: web.Request) -> web.StreamResponse:
        newest = list(self.videos.values())[::-1]
        if after := request.query.get("after"):
            newest = newest[[video["id"] for video in newest].index(after) + 1 :]
        limit = int(request.query["limit"])
        page = newest[:limit]
        return web.json_response({"object": "list", "data": page, "has_more": len(newest) > limit})

    async def _manifest(self, request: web.Request) -> web.StreamResponse:
        if not self.manifest:
            return web.Response(status=404, text="no such route")
        content = {
            "path": "video.mp4",
            "sha256": self.manifest_sha256,
            "bytes": len(CONTENT),
            "media_type": "video/mp4",
        }
        return web.json_response(
            {"video_id": request.match_info["id"], "status": "completed", "content": content} | {"scenes": self.scenes}
        )

    async def _content(self, request: web.Request) -> web.StreamResponse:
        return web.Response(body=CONTENT, content_type="video/mp4")

    async def _asset(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        if name == "video.mp4":
            return web.Response(body=CONTENT, content_type="video/mp4")
        if name not in self.assets:
            return error(404, "no such file", "asset_not_found")
        return web.Response(body=self.assets[name], content_type="image/png")

    async def _delete(self, request: web.Request) -> web.StreamResponse:
        video = self.videos.pop(request.match_info["id"])
        answer = {"id": request.match_info["id"], "object": "video.deleted", "deleted": True}
        if self.says_cancelled:
            answer["cancelled"] = video["status"] == "in_progress"
        return web.json_response(answer)


def error(status: int, message: str, code: str | None = None) -> web.Response:
    body = {"error": {"message": message, "type": "error", "param": None, "code": code}}
    return web.json_response(body, status=status)


@asynccontextmanager
async def serving(fake: FakeTarget) -> AsyncIterator[FakeTarget]:
    runner = web.AppRunner(fake.app(), shutdown_timeout=0.1)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, listener).start()
    fake.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        yield fake
    finally:
        await runner.cleanup()


async def main() -> None:
    """Serve a fake target until killed; prints its URL."""
    async with serving(FakeTarget(seconds=float(sys.argv[1]))) as fake:
        print(fake.url, flush=True)  # noqa: T201 - tells the parent process
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())

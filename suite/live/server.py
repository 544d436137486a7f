"""The live page on loopback: a page, its script and style, one stream of events, and at the end the report."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from reelbench.reporting.analysis.timeline import Timeline
from reelbench.suite.live.state import LiveRun, State
from reelbench.suite.result import PAGE, REPORTS_DIR

INTERVAL: Final = 1.0
"""Seconds between two looks at the records, while a page is open."""
PING: Final = 15.0
"""Seconds without news after which a comment keeps the connection open."""
LAST_LOOK: Final = 3.0
"""Seconds that open pages have for loading the report before the server ends."""
HOSTS: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})
CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HERE: Final = Path(__file__).parent / "page"
ASSETS: Final = Path(__file__).parents[2] / "reporting" / "render" / "assets"
FILES: Final = {
    "live.js": HERE / "live.js",
    "palette.css": ASSETS / "palette.css",
    "plain.css": ASSETS / "plain.css",
    "live.css": HERE / "live.css",
    "charts.js": ASSETS / "charts.js",
    "charts.css": ASSETS / "charts.css",
    "uPlot.js": ASSETS / "uplot" / "uPlot.iife.min.js",
    "uPlot.css": ASSETS / "uplot" / "uPlot.min.css",
}


class OwnHost:
    """Refuses other methods, and names that are not of loopback: a page of another site could send such requests."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on."""
        if scope["type"] == "http":
            request = Request(scope)
            host = request.headers.get("host", "").lower()
            name = host if host.endswith("]") else host.rpartition(":")[0] or host
            if name not in HOSTS:
                return await PlainTextResponse("this page is for 127.0.0.1 alone", 403)(scope, receive, send)
            if request.method not in {"GET", "HEAD"}:
                return await PlainTextResponse("this page is read only", 405)(scope, receive, send)
        return await self._app(scope, receive, send)


class Hub:
    """Looks at the run while a page is open, and gives each page what is new."""

    def __init__(
        self,
        newest: Callable[[], Path | None],
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Prepare the hub.

        Args:
            newest: returns the folder of the run that goes on, or was made last; None: there is none yet.
            clock: Unix time.
            sleep: waits between two looks.
        """
        self._newest = newest
        self._clock = clock
        self._sleep = sleep
        self._folder: Path | None = None
        self._run: LiveRun | None = None
        self._lock = asyncio.Lock()
        self._looked = -INTERVAL
        self._seen: tuple[bytes, bytes] = (b"", b"")
        self.pages = 0
        """Pages that are open."""
        self.over = asyncio.Event()
        """Set when the command ends."""
        self.report: Path | None = None
        """The report to which open pages go then."""
        self._awaited = 0
        """Pages that have not loaded the report yet."""
        self._loaded = asyncio.Event()

    async def look(self) -> tuple[bytes, bytes]:
        """Return state and charts as JSON; several pages share one look."""
        async with self._lock:
            now = self._clock()
            if now - self._looked >= INTERVAL:
                self._seen = await asyncio.to_thread(self._read, now)
                self._looked = now
            return self._seen

    def _read(self, now: float) -> tuple[bytes, bytes]:
        folder = self._newest()
        if folder is None:
            return msgspec.json.encode(State(run_id="")), b""
        if folder != self._folder or self._run is None:
            self._folder, self._run = folder, LiveRun(folder)
        state, charts = self._run.look(now)
        return msgspec.json.encode(state), msgspec.json.encode(charts) if isinstance(charts, Timeline) else b""

    async def events(self) -> AsyncGenerator[bytes, None]:
        """Yield the events of one page until the command ends."""
        self.pages += 1
        try:
            sent: tuple[bytes, bytes] = (b"", b"")
            quiet = 0.0
            while not self.over.is_set():
                found = await self.look()
                for name, new, old in zip((b"state", b"charts"), found, sent, strict=True):
                    if new and new != old:
                        yield event(name, new)
                        quiet = 0.0
                sent = found
                quiet += INTERVAL
                if quiet >= PING:
                    yield b": still here\n\n"
                    quiet = 0.0
                await self._pause()
            for name, new in zip((b"state", b"charts"), await self.look(), strict=True):
                if new:
                    yield event(name, new)
            yield event(b"end", msgspec.json.encode({"report": "/report" if self.report else None}))
        finally:
            self.pages -= 1

    async def _pause(self) -> None:
        """Wait for the next look, or for the end of the command."""
        done, waiting = await asyncio.wait(
            {asyncio.ensure_future(self._sleep(INTERVAL)), asyncio.ensure_future(self.over.wait())},
            return_when=asyncio.FIRST_COMPLETED,
        )
        for task in (*done, *waiting):
            task.cancel()

    async def end(self, report: Path | None) -> None:
        """Send open pages to the report, and wait until they have loaded it, a short time at most."""
        there = report is not None and await asyncio.to_thread(report.is_file)
        self.report = report if there else None
        self._awaited = self.pages if there else 0
        self.over.set()
        if self._awaited:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._loaded.wait(), LAST_LOOK)

    def loaded(self) -> None:
        """Note that a page has loaded the report."""
        self._awaited -= 1
        if self._awaited <= 0:
            self._loaded.set()


def event(name: bytes, data: bytes) -> bytes:
    """Return a server-sent event; JSON has no line breaks."""
    return b"event: " + name + b"\ndata: " + data + b"\n\n"


def application(hub: Hub) -> Starlette:
    """Return the application."""

    def own(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = CSP
        return _plain(response)

    async def page(_: Request) -> Response:
        return own(FileResponse(HERE / "live.html.j2", media_type="text/html; charset=utf-8"))

    async def asset(request: Request) -> Response:
        path = FILES.get(request.path_params["name"])
        if path is None:
            return _plain(PlainTextResponse("there is no such file", 404))
        kind = "text/css" if path.suffix == ".css" else "text/javascript"
        return own(FileResponse(path, media_type=f"{kind}; charset=utf-8"))

    async def events(_: Request) -> Response:
        return _plain(StreamingResponse(hub.events(), media_type="text/event-stream"))

    async def report(_: Request) -> Response:
        if hub.report is None:
            return _plain(PlainTextResponse("the report is not written yet", 404))
        content = await asyncio.to_thread(
            hub.report.read_bytes
        )  # whole, so that the end of the server cuts nothing off
        hub.loaded()
        return _plain(Response(content, media_type="text/html; charset=utf-8"))

    return Starlette(
        routes=[
            Route("/", page),
            Route("/assets/{name}", asset),
            Route("/events", events),
            Route("/report", report),
        ],
        middleware=[Middleware(OwnHost)],
    )


def _plain(response: Response) -> Response:
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cache-Control"] = "no-store"
    return response


def page_of(folder: Path) -> Path:
    """Return the page of a run."""
    return folder / REPORTS_DIR / PAGE

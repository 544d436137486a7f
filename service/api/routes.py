"""The paths of the API."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import Annotated, Literal, cast

import orjson
from fastapi import APIRouter, Path, Query, Request, Response
from starlette.datastructures import UploadFile

from reelbench.service.api import body, openapi
from reelbench.service.api.errors import ApiError, not_found
from reelbench.service.api.schemas import Health, Manifest, Video, VideoDeleted, VideoList
from reelbench.service.jobs.audit import Audit
from reelbench.service.jobs.job import Upload
from reelbench.service.jobs.job_reader import Catalog
from reelbench.service.jobs.queue import Jobs
from reelbench.service.pipeline.assets import CONTENT, Assets
from reelbench.service.pipeline.media import Media
from reelbench.service.pipeline.tasks import DocumentError
from reelbench.service.provider_client.resilience import Resilience
from reelbench.service.settings import Settings
from reelbench.service.store.store import Store
from reelbench.service.toggles import Switches

_POLL_AFTER_MS = "200"
"""What a client that polls is asked to leave between two polls (the OpenAI client obeys)."""
_ID = re.compile(r"video_[0-9a-f]{32}")
_MAX_WAIT = 30.0

router = APIRouter(responses=openapi.ERRORS)
VideoId = Annotated[str, Path()]


@dataclass(frozen=True, slots=True)
class Parts:
    """What the routes work with."""

    settings: Settings
    jobs: Jobs
    catalog: Catalog
    store: Store
    assets: Assets
    media: Media
    guards: tuple[Resilience, ...]
    """of the providers"""
    switches: Switches
    audit: Audit


@router.post("/v1/videos", response_model=Video, openapi_extra=openapi.CREATE)
async def create(request: Request) -> Response:
    """Create a video from a prompt and, as multipart, a document (PDF or text)."""
    parts = _parts(request)
    creation = await body.read(request)
    uploaded = creation.document
    try:

        async def store_upload(video_id: str) -> Upload | None:
            return None if uploaded is None else await _store_upload(parts, video_id, uploaded)

        job = await parts.jobs.create(creation.video, store_upload)
    finally:
        if uploaded is not None:
            await uploaded.close()
    return _video(job.video().model_dump_json().encode(), terminal=False)


@router.get("/v1/videos", response_model=VideoList)
async def page(
    request: Request,
    after: str | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    order: Literal["asc", "desc"] = "desc",
) -> Response:
    """List videos by their creation."""
    return _json(await _parts(request).catalog.page(after, limit, order))


@router.get("/v1/videos/{video_id}", response_model=Video)
async def retrieve(request: Request, video_id: VideoId) -> Response:
    """Show a video."""
    video = await _parts(request).catalog.video(_checked(video_id))
    return _video(video, terminal=_status(video) in {"completed", "failed"})


@router.get("/v1/videos/{video_id}/wait", response_model=Video)
async def wait(
    request: Request, video_id: VideoId, limit: Annotated[float, Query(alias="timeout", ge=0, le=_MAX_WAIT)] = 10.0
) -> Response:
    """Show a video as soon as it is completed or failed, or as it is after `timeout` seconds."""
    return _json(await _parts(request).catalog.wait(_checked(video_id), limit))


@router.get("/v1/videos/{video_id}/manifest", response_model=Manifest)
async def manifest(request: Request, video_id: VideoId) -> Response:
    """Show how a video was made, with the checksums of its files."""
    return _json(await _parts(request).catalog.manifest(_checked(video_id)))


@router.get("/v1/videos/{video_id}/content", response_class=Response)
async def content(request: Request, video_id: VideoId, variant: str = "video") -> Response:
    """Download the video of a completed job."""
    parts = _parts(request)
    if variant != "video":
        raise ApiError(400, "invalid_value", "Only the variant 'video' is supported.", param="variant")
    status = _status(await parts.catalog.video(_checked(video_id)))
    if status != "completed":
        # 400 rather than 409, as the OpenAI API answers: its clients retry a 409 at once, which cannot help.
        raise ApiError(400, "video_not_ready", f"Video '{video_id}' is {status}: it has no content.", param="video_id")
    file = await _file(parts, video_id, CONTENT)
    headers = {"Content-Disposition": f'attachment; filename="{video_id}.mp4"'}
    return Response(file, headers=headers, media_type="video/mp4")


@router.get("/v1/videos/{video_id}/assets/{name}", response_class=Response)
async def asset(request: Request, video_id: VideoId, name: str) -> Response:
    """Download one file that the manifest lists, by its path there."""
    parts = _parts(request)
    listed = Manifest.model_validate_json(await parts.catalog.manifest(_checked(video_id))).assets()
    found = next((asset for asset in listed if asset.path == name), None)
    if found is None:
        message = f"Video '{video_id}' has no asset '{name[:100]}'; its manifest lists those it has."
        raise ApiError(404, "asset_not_found", message, param="name")
    headers = {"Content-Disposition": f'attachment; filename="{found.path}"'}
    return Response(await _file(parts, video_id, found.path), headers=headers, media_type=found.media_type)


@router.delete("/v1/videos/{video_id}", response_model=VideoDeleted)
async def delete(request: Request, video_id: VideoId) -> Response:
    """Delete a video and its files; a job that has not ended is cancelled first."""
    cancelled = await _parts(request).jobs.delete(_checked(video_id))
    return _json(VideoDeleted(id=video_id, cancelled=cancelled).model_dump_json().encode())


@router.get("/health", response_model=Health)
async def health() -> Response:
    """Say that the process answers."""
    return _json(b'{"status":"ok"}')


@router.get("/ready", response_model=Health)
async def ready(request: Request) -> Response:
    """Say that jobs can be accepted: the store answers or they can be kept for it, and no shutdown has begun."""
    await _parts(request).jobs.check()
    return _json(b'{"status":"ok"}')


async def _store_upload(parts: Parts, video_id: str, uploaded: UploadFile) -> Upload:
    limit = parts.settings.max_upload_bytes
    if (uploaded.size or 0) > limit:
        message = f"The uploaded document is larger than {limit} bytes."
        raise ApiError(413, "document_too_large", message, param="input_reference")
    media_type = uploaded.content_type or "application/octet-stream"
    asset = await asyncio.to_thread(parts.assets.copy, video_id, "document", uploaded.file, media_type)
    path = parts.assets.path(video_id, "document")
    try:
        async with asyncio.timeout(parts.settings.parse_timeout):
            is_pdf = await parts.media.inspect(path, media_type)
    except TimeoutError as error:
        message = "The uploaded document could not be checked in time."
        raise ApiError(503, "document_timeout", message, param="input_reference", retry_after=1) from error
    except DocumentError as error:
        raise ApiError(400, error.code, error.message, param="input_reference") from error
    return Upload(asset, is_pdf)


async def _file(parts: Parts, video_id: str, name: str) -> bytes:
    try:
        return await asyncio.to_thread(parts.assets.path(video_id, name).read_bytes)
    except FileNotFoundError as error:
        # Lost, unless the video was deleted since it was looked up.
        await parts.catalog.video(video_id)
        message = f"The file '{name}' of '{video_id}' is lost; create the video again."
        raise ApiError(500, "content_unavailable", message) from error


def _parts(request: Request) -> Parts:
    return cast("Parts", request.app.state.parts)


def _checked(video_id: str) -> str:
    if not _ID.fullmatch(video_id):
        raise not_found(video_id)
    return video_id


def _status(video: bytes) -> str:
    return str(orjson.loads(video)["status"])


def _json(content: bytes) -> Response:
    return Response(content, media_type="application/json")


def _video(content: bytes, *, terminal: bool) -> Response:
    headers = None if terminal else {"openai-poll-after-ms": _POLL_AFTER_MS}
    return Response(content, headers=headers, media_type="application/json")

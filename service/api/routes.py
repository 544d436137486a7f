"""The paths of the API."""

from __future__ import annotations

import asyncio
import re
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Path, Query, Request, Response
from starlette.datastructures import Headers, UploadFile

from reelbench.service.api import body
from reelbench.service.api.app_state import AppState, app_state
from reelbench.service.api.errors import ApiError
from reelbench.service.api.models import with_model
from reelbench.service.api.schemas import (
    CONTENT_TYPES,
    CREATE,
    ERRORS,
    EXTENSIONS,
    MEDIA_TYPES,
    REMIX,
    Health,
    Variant,
    VideoDeleted,
    VideoList,
)
from reelbench.service.domain.errors import NotFoundError
from reelbench.service.domain.generation import CreateVideo
from reelbench.service.domain.job import Upload
from reelbench.service.domain.video import Manifest, Video, remixed
from reelbench.service.pipeline.tasks import DocumentError, PreviewKind
from reelbench.service.provider_client.formats import MediaError
from reelbench.service.store.assets import CONTENT

_POLL_AFTER_MS = "200"
"""Recommended pause between two polls of a client; the OpenAI client follows it."""
_ID = re.compile(r"video_[0-9a-f]{32}")
_MAX_WAIT = 30.0

router = APIRouter(responses=ERRORS)
VideoId = Annotated[str, Path()]


@router.post("/v1/videos", response_model=Video, openapi_extra=CREATE)
async def create(request: Request) -> Response:
    """Create a video from a prompt and a reference: a document (PDF or text), an image or a video."""
    state = app_state(request)
    creation = await body.read(request, state.settings.max_upload_bytes)
    try:
        video = with_model(creation.video, state.settings)
        return await _created(state, video, creation.reference)
    finally:
        if creation.reference is not None:
            await creation.reference.close()


@router.post("/v1/videos/{video_id}/remix", response_model=Video, openapi_extra=REMIX)
async def remix(request: Request, video_id: VideoId) -> Response:
    """Create a video like a completed one from another prompt; the completed one is its reference."""
    state = app_state(request)
    prompt = (await body.read_remix(request)).prompt
    source = await _completed(state, video_id)
    manifest = Manifest.model_validate_json(await state.job_reader.manifest(video_id))
    video = remixed(Video.model_validate_json(source), manifest.parameters, prompt)
    try:
        file = await asyncio.to_thread(state.assets.open, video_id, CONTENT)
    except FileNotFoundError as error:
        raise await _lost(state, video_id, CONTENT) from error
    # Without its size: the limit for uploads does not hold for a file of the service.
    reference = UploadFile(file, headers=Headers({"content-type": "video/mp4"}))
    try:
        return await _created(state, video, reference, remixed_from=video_id)
    finally:
        await reference.close()


@router.get("/v1/videos", response_model=VideoList)
async def page(
    request: Request,
    after: str | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    order: Literal["asc", "desc"] = "desc",
) -> Response:
    """List videos by their creation."""
    return _json(await app_state(request).job_reader.page(after, limit, order))


@router.get("/v1/videos/{video_id}", response_model=Video)
async def retrieve(request: Request, video_id: VideoId) -> Response:
    """Show a video."""
    return _video(await app_state(request).job_reader.video(_checked(video_id)))


@router.get("/v1/videos/{video_id}/wait", response_model=Video)
async def wait(
    request: Request, video_id: VideoId, limit: Annotated[float, Query(alias="timeout", ge=0, le=_MAX_WAIT)] = 10.0
) -> Response:
    """Show a video when it is completed or failed, at the latest after `timeout` seconds."""
    video = await app_state(request).job_reader.wait(_checked(video_id), limit)
    return Response(video, headers=_server_timing(orjson.loads(video)), media_type="application/json")


@router.get("/v1/videos/{video_id}/manifest", response_model=Manifest)
async def manifest(request: Request, video_id: VideoId) -> Response:
    """Show how a video was made, with the checksums of its files."""
    return _json(await app_state(request).job_reader.manifest(_checked(video_id)))


@router.get("/v1/videos/{video_id}/content", response_class=Response, responses=CONTENT_TYPES)
async def content(request: Request, video_id: VideoId, variant: Variant = "video") -> Response:
    """Download the video of a completed job, its thumbnail (WebP) or its spritesheet (JPEG)."""
    state = app_state(request)
    video = await _completed(state, video_id)
    if variant == "video":
        file = await _file(state, video_id, CONTENT)
    else:
        file = await _preview(state, video_id, variant)
    media_type = MEDIA_TYPES[variant]
    name = f"{video_id}.{EXTENSIONS[variant]}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', **_server_timing(orjson.loads(video))}
    return Response(file, headers=headers, media_type=media_type)


@router.get("/v1/videos/{video_id}/assets/{name}", response_class=Response)
async def asset(request: Request, video_id: VideoId, name: str) -> Response:
    """Download one file by its path in the manifest."""
    state = app_state(request)
    listed = Manifest.model_validate_json(await state.job_reader.manifest(_checked(video_id))).assets()
    found = next((asset for asset in listed if asset.path == name), None)
    if found is None:
        message = f"Video '{video_id}' has no asset '{name[:100]}'; its manifest lists those it has."
        raise ApiError(404, "asset_not_found", message, param="name")
    headers = {"Content-Disposition": f'attachment; filename="{found.path}"'}
    return Response(await _file(state, video_id, found.path), headers=headers, media_type=found.media_type)


@router.delete("/v1/videos/{video_id}", response_model=VideoDeleted)
async def delete(request: Request, video_id: VideoId) -> Response:
    """Delete a video and its files; a job that has not ended is cancelled first."""
    cancelled = await app_state(request).jobs.delete(_checked(video_id))
    return _json(VideoDeleted(id=video_id, cancelled=cancelled).model_dump_json().encode())


@router.get("/health", response_model=Health)
async def health() -> Response:
    """Report that the process answers."""
    return _json(b'{"status":"ok"}')


@router.get("/ready", response_model=Health)
async def ready(request: Request) -> Response:
    """Report that jobs can be accepted: the store answers or jobs can be kept for it, and no shutdown has begun."""
    await app_state(request).jobs.check()
    return _json(b'{"status":"ok"}')


async def _created(
    state: AppState, video: CreateVideo, reference: UploadFile | None, *, remixed_from: str | None = None
) -> Response:
    async def store_upload(video_id: str) -> Upload | None:
        return None if reference is None else await _store_upload(state, video_id, reference)

    job = await state.jobs.create(video, store_upload, remixed_from=remixed_from)
    return _video(job.video().model_dump_json().encode())


async def _store_upload(state: AppState, video_id: str, uploaded: UploadFile) -> Upload:
    limit = state.settings.max_upload_bytes
    if (uploaded.size or 0) > limit:
        message = f"The uploaded document is larger than {limit} bytes."
        raise ApiError(413, "document_too_large", message, param="input_reference")
    media_type = uploaded.content_type or "application/octet-stream"
    asset = await asyncio.to_thread(state.assets.copy, video_id, "document", uploaded.file, media_type)
    path = state.assets.path(video_id, "document")
    try:
        async with asyncio.timeout(state.settings.parse_timeout):
            kind = await state.media.inspect(path, media_type)
    except TimeoutError as error:
        message = "The uploaded document could not be checked in time."
        raise ApiError(503, "document_timeout", message, param="input_reference", retry_after=1) from error
    except DocumentError as error:
        raise ApiError(400, error.code, error.message, param="input_reference") from error
    return Upload(asset, kind)


async def _completed(state: AppState, video_id: str) -> bytes:
    """Return the JSON of a completed video; raises ApiError for one that is not completed."""
    video = await state.job_reader.ended(_checked(video_id))
    status = orjson.loads(video)["status"]
    if status != "completed":
        # 400 as in the OpenAI API: its clients would retry a 409 at once, without success.
        raise ApiError(400, "video_not_ready", f"Video '{video_id}' is {status}: it has no content.", param="video_id")
    return video


async def _file(state: AppState, video_id: str, name: str) -> bytes:
    try:
        return await asyncio.to_thread(state.assets.read, video_id, name)
    except FileNotFoundError as error:
        raise await _lost(state, video_id, name) from error


async def _preview(state: AppState, video_id: str, kind: PreviewKind) -> bytes:
    if not await asyncio.to_thread(state.assets.has, video_id, CONTENT):
        raise await _lost(state, video_id, CONTENT)
    try:
        return await state.media.preview(state.assets.path(video_id, CONTENT), kind)
    except MediaError as error:
        raise ApiError(500, "content_unavailable", f"The {kind} cannot be made of {error}.") from error


async def _lost(state: AppState, video_id: str, name: str) -> ApiError:
    """Return the error for a file that is not on the disk; NotFoundError if the video was deleted in the meantime."""
    await state.job_reader.video(video_id)
    message = f"The file '{name}' of '{video_id}' is lost; create the video again."
    return ApiError(500, "content_unavailable", message)


def _checked(video_id: str) -> str:
    if not _ID.fullmatch(video_id):
        raise NotFoundError(video_id)
    return video_id


def _json(content: bytes) -> Response:
    return Response(content, media_type="application/json")


def _video(content: bytes) -> Response:
    video = orjson.loads(content)
    headers = _server_timing(video)
    if video["status"] not in {"completed", "failed"}:
        headers["openai-poll-after-ms"] = _POLL_AFTER_MS
    return Response(content, headers=headers, media_type="application/json")


def _server_timing(video: dict[str, Any]) -> dict[str, str]:
    """Return the header with the time of the generation in milliseconds, for a completed video."""
    seconds = video.get("inference_time_s")
    return {} if seconds is None else {"Server-Timing": f"generation;dur={1000 * seconds:.3f}"}

"""The stages of a job: parse, script, speech and visual of all scenes concurrently, compose."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from opentelemetry.trace import StatusCode, Tracer

from reelbench.service.domain.clock import Clock
from reelbench.service.domain.correlation import Correlation
from reelbench.service.domain.errors import JobError
from reelbench.service.domain.job import DONE, Job, SceneState
from reelbench.service.domain.video import Asset, Document, Reference, Stage, StageName
from reelbench.service.metrics import Metrics
from reelbench.service.pipeline.media import Media
from reelbench.service.pipeline.shape import shape
from reelbench.service.pipeline.tasks import DocumentError
from reelbench.service.provider_client import requests
from reelbench.service.provider_client.formats import MediaError
from reelbench.service.provider_client.requests import ProviderRequest
from reelbench.service.settings import Settings, Toggles
from reelbench.service.store.assets import CONTENT, Assets

_Value = TypeVar("_Value")
_PARSED = 5
_SCRIPTED = 15
_ASSETS_MADE = 90
"""Progress in per cent after the stages."""


class Provider(Protocol):
    """A client of a provider, or a cache in front of it."""

    async def call(self, request: ProviderRequest[_Value], correlation: Correlation) -> _Value:
        """Return the answer; raises ProviderError."""


class Pipeline:
    """Runs the stages; a failed job raises JobError, a failed scene is left out of the video."""

    def __init__(
        self,
        settings: Settings,
        toggles: Toggles,
        *,
        llm: Provider,
        tts: Provider,
        image: Provider,
        assets: Assets,
        tracer: Tracer,
        metrics: Metrics,
        clock: Clock,
        media: Media,
    ) -> None:
        self._settings = settings
        self._toggles = toggles
        self._llm = llm
        self._tts = tts
        self._image = image
        self._assets = assets
        self._tracer = tracer
        self._metrics = metrics
        self._clock = clock
        self._media = media

    async def run(self, job: Job) -> None:
        """Make the video of `job` and set `job.content`."""
        at_once = self._toggles.scene_concurrency
        text = await self._parse(job)
        job.progress = _PARSED
        job.scenes = await self._script(job, text)
        job.progress = _SCRIPTED
        if at_once:
            await self._make(job, job.scenes)
        else:
            for scene in job.scenes:
                await self._make(job, [scene])
        await self._compose(job)
        job.progress = DONE

    async def _make(self, job: Job, scenes: list[SceneState]) -> None:
        """Make speech and visual of `scenes` concurrently."""
        async with asyncio.TaskGroup() as group:
            for scene in scenes:
                group.create_task(self._speech(job, scene))
                group.create_task(self._visual(job, scene))

    async def _parse(self, job: Job) -> str:
        upload = job.upload
        if upload is None or upload.reference is not None:
            return ""
        with self._stage(job, "parse"):
            try:
                found = await self._media.read(
                    self._assets.path(job.id, upload.asset.path), is_pdf=upload.kind == "pdf"
                )
            except DocumentError as error:
                raise JobError(error.code, error.message) from error
            job.document = Document(
                sha256=upload.asset.sha256, bytes=upload.asset.bytes, pages=found.pages, characters=len(found.text)
            )
            return found.text

    async def _script(self, job: Job, text: str) -> list[SceneState]:
        with self._stage(job, "script"):
            written = await self._llm.call(
                requests.script(self._settings.llm_model, job.request.prompt, text, self._settings.scenes),
                job.correlation,
            )
            return [
                SceneState(index=index, title=scene.title, narration=scene.narration, visual_type=scene.visual_type)
                for index, scene in enumerate(written)
            ]

    async def _speech(self, job: Job, scene: SceneState) -> None:
        with self._asset(job, scene, "speech"):
            request = requests.speech(self._settings.tts_model, self._settings.tts_voice, scene.narration)
            wav = await self._tts.call(request, job.correlation)
            scene.audio = await self._write(job, f"scene-{scene.index}.wav", wav, "audio/wav")

    async def _visual(self, job: Job, scene: SceneState) -> None:
        with self._asset(job, scene, "visual"):
            reference = job.upload.reference if job.upload and scene.index == 0 else None
            png = await (self._picture(job, scene) if reference is None else self._still(job, reference))
            scene.visual = await self._write(job, f"scene-{scene.index}.png", png, "image/png")

    async def _picture(self, job: Job, scene: SceneState) -> bytes:
        script = requests.SceneScript(scene.title, scene.narration, scene.visual_type)
        width, height = job.request.asked_size
        request = requests.visual(self._settings.image_model, script, f"{width}x{height}", job.request.parameters)
        return await self._image.call(request, job.correlation)

    async def _still(self, job: Job, reference: Reference) -> bytes:
        """Return the picture that stands in for that of the image provider."""
        assert job.upload is not None
        path = self._assets.path(job.id, job.upload.asset.path)
        made = shape(job.request, full_size=self._settings.full_size)
        try:
            return await self._media.still(path, reference.kind, made.width, made.height)
        except DocumentError as error:
            raise JobError(error.code, error.message) from error

    async def _denoise(self, job: Job) -> None:
        """Wait as long as the steps of an accelerator take; no time by default."""
        seconds = self._settings.seconds_per_step
        if not seconds:
            return
        steps = job.request.num_inference_steps or self._settings.inference_steps
        loop = asyncio.get_running_loop()
        started = loop.time()
        for step in range(1, steps + 1):
            await asyncio.sleep(started + step * seconds - loop.time())
            job.progress = _ASSETS_MADE + (DONE - 1 - _ASSETS_MADE) * step // steps

    @contextmanager
    def _asset(self, job: Job, scene: SceneState, stage: StageName) -> Iterator[None]:
        """Run the stage of one asset; a failure is recorded in the scene, and the job goes on."""
        try:
            with self._stage(job, stage, scene.index):
                yield
        except JobError as error:
            scene.error = scene.error or error.record()
        ended = sum((scene.audio is not None) + (scene.visual is not None) for scene in job.scenes)
        job.progress = _SCRIPTED + (_ASSETS_MADE - _SCRIPTED) * ended // (2 * len(job.scenes))

    async def _compose(self, job: Job) -> None:
        good = [
            (self._assets.path(job.id, scene.visual.path), self._assets.path(job.id, scene.audio.path))
            for scene in job.scenes
            if scene.visual is not None and scene.audio is not None
        ]
        if not good:
            first = next(scene.error for scene in job.scenes if scene.error)
            raise JobError(first.code, f"No scene could be made; the first failed because: {first.message}")
        with self._stage(job, "compose"):
            await self._denoise(job)
            try:
                content = await self._media.encode(good, shape(job.request, full_size=self._settings.full_size))
            except MediaError as error:
                raise JobError(
                    "provider_invalid_response", f"The video could not be composed: a provider gave {error}."
                ) from error
            job.content = await self._write(job, CONTENT, content, "video/mp4")

    async def _write(self, job: Job, name: str, content: bytes, media_type: str) -> Asset:
        try:
            return await asyncio.to_thread(self._assets.write, job.id, name, content, media_type)
        except OSError as error:
            raise JobError(
                "storage_unavailable", f"The file '{name}' could not be stored ({error.strerror})."
            ) from error

    @contextmanager
    def _stage(self, job: Job, name: StageName, scene: int | None = None) -> Iterator[None]:
        attributes: dict[str, str | int] = {"stage": name, **job.correlation.attributes()}
        if scene is not None:
            attributes["scene"] = scene
        started = self._clock.now()
        outcome = "ok"
        with self._tracer.start_as_current_span(
            f"video.job.stage {name}", attributes=attributes, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield
            except asyncio.CancelledError:
                # Neither ok nor an error of the stage; the outcome of the job shows it.
                outcome = "cancelled"
                raise
            except Exception as error:
                outcome = "error"
                span.set_status(StatusCode.ERROR, str(error))
                raise
            finally:
                ended = self._clock.now()
                job.stages.append(Stage(name=name, scene=scene, started=started, ended=ended))
                if outcome != "cancelled":
                    self._metrics.stage(name, outcome, ended - started, job.correlation)


def leaking(run: Callable[[Job], Awaitable[None]], size: int) -> Callable[[Job], Awaitable[None]]:
    """Return `run` with a leak of `size` bytes per job."""
    kept: list[bytes] = []

    async def leak(job: Job) -> None:
        kept.append(b"\x01" * size)  # not zero: pages that were never written take no memory
        await run(job)

    return leak

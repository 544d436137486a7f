"""The application: all parts put together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from fastapi import FastAPI, Response
from opentelemetry import metrics as otel_metrics
from opentelemetry import trace
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider

from service import admin, errors, telemetry
from service.assets import Assets
from service.audit import Audit
from service.body import MULTIPART_OVERHEAD, BodyLimit
from service.cache import Cache
from service.catalog import Catalog
from service.clients import ProviderClient
from service.clock import Clock
from service.faults.endpoint import METHODS, Endpoint, Guarded
from service.faults.errors import FaultsError
from service.faults.faults import Faults
from service.jobs import Jobs
from service.leak import leaking
from service.media import Media
from service.metrics import Metrics
from service.pipeline import Pipeline
from service.resilience import Resilience
from service.routes import Parts, router
from service.settings import Settings
from service.store import Store, connect
from service.store_faults import OFFER, StoreFaults
from service.usage import Usage


def create_app(
    settings: Settings,
    *,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
) -> FastAPI:
    """The ASGI application for `settings`; telemetry goes to the global providers unless others are given.

    Raises OSError when the data directory cannot be written.
    """
    tracer_provider = tracer_provider or trace.get_tracer_provider()
    meter_provider = meter_provider or otel_metrics.get_meter_provider()
    tracer = tracer_provider.get_tracer("service")
    metrics = Metrics(meter_provider.get_meter("service"))
    assets = Assets(settings.data_dir)
    assets.open()
    faults = Faults(OFFER)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            media = await stack.enter_async_context(Media(settings))
            usage = Usage(lambda: media.pids)
            metrics.media(usage.cpu_time, usage.memory)
            injected = StoreFaults(faults, settings.redis_timeout) if settings.faults else None
            store = Store(connect(settings.redis_url, settings.redis_timeout), metrics, injected)
            stack.push_async_callback(store.close)
            clock = Clock()
            client = partial(
                ProviderClient,
                connections=settings.provider_connections,
                timeout=settings.provider_timeout,
                api_key=settings.provider_api_key.get_secret_value(),
                pooling=settings.pooling,
                tracer=tracer,
                metrics=metrics,
                clock=clock,
            )
            guards = {name: Resilience(name, settings, metrics, clock) for name in ("llm", "tts", "image")}
            llm, tts, image = (
                client("llm", settings.llm_url, guards["llm"]),
                client("tts", settings.tts_url, guards["tts"]),
                client("image", settings.image_url, guards["image"]),
            )
            for provider in (llm, tts, image):
                stack.push_async_callback(provider.close)
            cache = partial(Cache, metrics=metrics, entries=settings.cache_entries, size=settings.cache_bytes)
            caches = (cache("script", llm), cache("audio", tts), cache("visual", image)) if settings.cache else ()
            metrics.caches(lambda: [(cache.name, cache.entries, cache.size) for cache in caches])
            script, audio, visual = caches or (llm, tts, image)
            pipeline = Pipeline(
                settings,
                llm=script,
                tts=audio,
                image=visual,
                assets=assets,
                tracer=tracer,
                metrics=metrics,
                clock=clock,
                media=media,
            )
            jobs = Jobs(
                leaking(pipeline.run, settings.leak_bytes_per_job) if settings.leak_bytes_per_job else pipeline.run,
                workers=settings.workers,
                queue_size=settings.queue_size,
                job_timeout=settings.job_timeout,
                store=store,
                assets=assets,
                tracer=tracer,
                metrics=metrics,
                clock=clock,
            )
            stack.push_async_callback(jobs.close)
            breakers = tuple(guard.breaker for guard in guards.values() if guard.breaker)
            audit = Audit(settings, jobs, store, assets)
            app.state.parts = Parts(settings, jobs, Catalog(jobs, store), store, assets, media, breakers, audit)
            yield

    app = FastAPI(
        title="Reelbench text-to-video service",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.include_router(router)
    app.include_router(admin.router)
    if settings.faults:
        endpoint = Guarded(
            Endpoint(faults), remote=settings.faults_remote, setting="SERVICE_FAULTS_REMOTE", refused=_refused_plan
        )
        app.add_route("/faults", endpoint.__call__, methods=METHODS, include_in_schema=False)
    errors.install(app)
    app.add_middleware(BodyLimit, limit=settings.max_upload_bytes + MULTIPART_OVERHEAD)
    telemetry.instrument(app, tracer_provider, meter_provider)
    return app


def _refused_plan(error: FaultsError) -> Response:
    return errors.envelope(errors.ApiError(error.status, error.code, str(error), param=error.param))

"""The application: all parts put together."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from fastapi import FastAPI
from opentelemetry import metrics as otel_metrics
from opentelemetry import trace
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider

from service import admin, errors, telemetry
from service.assets import Assets
from service.backlog import Backlog
from service.body import MULTIPART_OVERHEAD, BodyLimit
from service.catalog import Catalog
from service.clients import ProviderClient
from service.clock import Clock
from service.jobs import Jobs
from service.leases import Leases
from service.media import Media
from service.metrics import Metrics
from service.pipeline import Pipeline
from service.resilience import Resilience
from service.routes import Parts, router
from service.settings import Settings
from service.spool import Spool
from service.store import Store, connect


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

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            media = await stack.enter_async_context(Media(settings))
            # A store in this process has no other instances.
            instance = secrets.token_hex(8) if settings.redis_url else None
            store = Store(connect(settings.redis_url, settings.redis_timeout), metrics, instance)
            stack.push_async_callback(store.close)
            client = partial(
                ProviderClient,
                connections=settings.provider_connections,
                timeout=settings.provider_timeout,
                api_key=settings.provider_api_key.get_secret_value(),
                tracer=tracer,
                metrics=metrics,
            )
            clock = Clock()
            leases = instance and Leases(
                store, assets, instance=instance, seconds=settings.lease_seconds, metrics=metrics, clock=clock
            )
            backlog = Backlog(
                store, Spool(settings.data_dir), limit=settings.store_backlog, metrics=metrics, clock=clock
            )
            guards = {name: Resilience(name, settings, metrics, clock) for name in ("llm", "tts", "image")}
            llm, tts, image = (
                client("llm", settings.llm_url, guards["llm"]),
                client("tts", settings.tts_url, guards["tts"]),
                client("image", settings.image_url, guards["image"]),
            )
            for provider in (llm, tts, image):
                stack.push_async_callback(provider.close)
            pipeline = Pipeline(
                settings,
                llm=llm,
                tts=tts,
                image=image,
                assets=assets,
                tracer=tracer,
                metrics=metrics,
                clock=clock,
                media=media,
            )
            jobs = Jobs(
                pipeline.run,
                workers=settings.workers,
                queue_size=settings.queue_size,
                job_timeout=settings.job_timeout,
                store=store,
                backlog=backlog,
                leases=leases or None,
                assets=assets,
                tracer=tracer,
                metrics=metrics,
                clock=clock,
            )
            if leases:
                backlog.returned = leases.renew
                stack.push_async_callback(leases.close)
            stack.push_async_callback(backlog.close)
            await jobs.open()
            if leases:
                leases.start()
            stack.push_async_callback(jobs.close)
            breakers = tuple(guard.breaker for guard in guards.values() if guard.breaker)
            app.state.parts = Parts(settings, jobs, Catalog(jobs, store), store, assets, media, breakers)
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
    errors.install(app)
    app.add_middleware(BodyLimit, limit=settings.max_upload_bytes + MULTIPART_OVERHEAD)
    telemetry.instrument(app, tracer_provider, meter_provider)
    return app

"""The objects of a running service: created in order, closed in reverse order."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import cast

from fastapi import Request
from opentelemetry.trace import Tracer

from reelbench.service.domain.clock import Clock
from reelbench.service.faults.faults import Faults
from reelbench.service.jobs.audit import Audit
from reelbench.service.jobs.job_reader import JobReader
from reelbench.service.jobs.live_jobs import LiveJobs
from reelbench.service.jobs.queue import JobQueue
from reelbench.service.jobs.retention import KeptJobs, Retention
from reelbench.service.metrics import Metrics
from reelbench.service.pipeline.media import Media
from reelbench.service.pipeline.pipeline import Pipeline, leaking
from reelbench.service.pipeline.workers import WorkerUsage
from reelbench.service.provider_client.cache import Cache, CacheName
from reelbench.service.provider_client.client import Provider, ProviderClient
from reelbench.service.provider_client.resilience import Resilience
from reelbench.service.settings import Settings, Toggles
from reelbench.service.store.assets import Assets
from reelbench.service.store.backlog import Backlog
from reelbench.service.store.connection import Connection, connect
from reelbench.service.store.faults import StoreFaults
from reelbench.service.store.kept_states import KeptStates
from reelbench.service.store.leases import Heartbeat, Leases
from reelbench.service.store.spool import Spool
from reelbench.service.store.store import Store


@dataclass(frozen=True, slots=True)
class AppState:
    """The objects that the routes use."""

    settings: Settings
    jobs: JobQueue
    job_reader: JobReader
    assets: Assets
    media: Media
    resilience: tuple[Resilience, ...]
    """one per provider"""
    toggles: Toggles
    audit: Audit


def app_state(request: Request) -> AppState:
    """Return the state of the application that received `request`."""
    return cast("AppState", request.app.state.service)


async def open_app_state(
    settings: Settings, stack: AsyncExitStack, *, tracer: Tracer, metrics: Metrics, faults: Faults
) -> AppState:
    """Create and start all objects inside the event loop; `stack` closes them."""
    clock = Clock()
    assets = Assets(settings.data_dir)
    media = await stack.enter_async_context(Media(settings))
    usage = WorkerUsage(lambda: media.pids)
    metrics.media(usage.cpu_time, usage.memory)
    toggles = settings.toggles()
    providers: tuple[Provider, ...] = ("llm", "tts", "image")
    resilience = {provider: Resilience(provider, settings, toggles, metrics, clock) for provider in providers}
    pipeline = _pipeline(
        settings, toggles, stack, resilience, assets, media, tracer=tracer, metrics=metrics, clock=clock
    )
    run = leaking(pipeline.run, settings.leak_bytes_per_job) if settings.leak_bytes_per_job else pipeline.run

    # No other instance can reach a store inside this process, so this one needs no lease then.
    instance = secrets.token_hex(8) if settings.redis_url else None
    wake_up = asyncio.Event()
    injected = StoreFaults(faults, settings.redis_timeout) if settings.faults else None
    redis = connect(settings.redis_url, settings.redis_timeout)
    store = Store(Connection(redis, metrics, faults=injected, wake_up=wake_up), instance)
    stack.push_async_callback(store.close)
    live = LiveJobs(store, assets)
    heartbeat = None
    if instance is not None:
        seconds, expired = settings.lease_seconds, live.on_lease_expired
        heartbeat = Heartbeat(store, instance=instance, seconds=seconds, clock=clock, on_lease_expired=expired)
    backlog = Backlog(
        store,
        KeptStates(Spool(settings.data_dir), metrics, wake_up),
        wake_up=wake_up,
        heartbeat=heartbeat,
        on_superseded=live.on_superseded,
        limit=settings.store_backlog,
        metrics=metrics,
        clock=clock,
    )
    kept = KeptJobs()
    jobs = JobQueue(
        run,
        live,
        settings,
        store=store,
        backlog=backlog,
        heartbeat=heartbeat,
        assets=assets,
        kept=kept,
        tracer=tracer,
        metrics=metrics,
        clock=clock,
    )
    retention = Retention(settings, kept, delete=jobs.delete, owns=jobs.owns, store=store, assets=assets, clock=clock)
    leases = heartbeat and Leases(store, assets, heartbeat, owns=jobs.owns, metrics=metrics, clock=clock)
    if leases:
        stack.push_async_callback(leases.close)
    stack.push_async_callback(backlog.close)
    await jobs.open()
    if leases:
        leases.start()
    await retention.start()
    stack.push_async_callback(retention.close)
    stack.push_async_callback(jobs.close)
    reader, audit = JobReader(live, backlog, store), Audit(toggles, live, backlog, store, assets)
    return AppState(settings, jobs, reader, assets, media, tuple(resilience.values()), toggles, audit)


def _pipeline(  # noqa: PLR0917 - the objects that exist already, in the order of their creation
    settings: Settings,
    toggles: Toggles,
    stack: AsyncExitStack,
    resilience: dict[Provider, Resilience],
    assets: Assets,
    media: Media,
    *,
    tracer: Tracer,
    metrics: Metrics,
    clock: Clock,
) -> Pipeline:
    """Create the pipeline, with a cache in front of each provider."""

    def cached(name: CacheName, provider: Provider, url: str) -> Cache:
        own = resilience[provider]
        client = ProviderClient(provider, url, own, settings, toggles, tracer=tracer, metrics=metrics, clock=clock)
        stack.push_async_callback(client.close)
        return Cache(name, client, toggles, metrics, entries=settings.cache_entries, size=settings.cache_bytes)

    script = cached("script", "llm", settings.llm_url)
    audio = cached("audio", "tts", settings.tts_url)
    visual = cached("visual", "image", settings.image_url)
    metrics.caches(lambda: [(cache.name, cache.entries, cache.size) for cache in (script, audio, visual)])
    return Pipeline(
        settings,
        toggles,
        llm=script,
        tts=audio,
        image=visual,
        assets=assets,
        tracer=tracer,
        metrics=metrics,
        clock=clock,
        media=media,
    )

"""The parts of the service, put together and taken apart in order."""

from __future__ import annotations

import secrets
from contextlib import AsyncExitStack
from functools import partial

from opentelemetry.trace import Tracer

from reelbench.service.api.routes import Parts
from reelbench.service.clock import Clock
from reelbench.service.faults.faults import Faults
from reelbench.service.jobs.audit import Audit
from reelbench.service.jobs.job_reader import Catalog
from reelbench.service.jobs.queue import Jobs
from reelbench.service.leak import leaking
from reelbench.service.metrics import Metrics
from reelbench.service.pipeline.assets import Assets
from reelbench.service.pipeline.media import Media
from reelbench.service.pipeline.pipeline import Pipeline
from reelbench.service.pipeline.usage import Usage
from reelbench.service.provider_client.cache import Cache
from reelbench.service.provider_client.client import ProviderClient
from reelbench.service.provider_client.resilience import Resilience
from reelbench.service.settings import Settings
from reelbench.service.store.backlog import Backlog
from reelbench.service.store.faults import StoreFaults
from reelbench.service.store.leases import Leases
from reelbench.service.store.spool import Spool
from reelbench.service.store.store import Store, connect
from reelbench.service.toggles import Switches


async def assemble(
    settings: Settings, stack: AsyncExitStack, *, tracer: Tracer, metrics: Metrics, faults: Faults
) -> Parts:
    """Make and start all parts; `stack` ends them. Call it inside the event loop."""
    clock = Clock()
    assets = Assets(settings.data_dir)
    media = await stack.enter_async_context(Media(settings))
    usage = Usage(lambda: media.pids)
    metrics.media(usage.cpu_time, usage.memory)
    injected = StoreFaults(faults, settings.redis_timeout) if settings.faults else None
    # A store in this process has no other instances.
    instance = secrets.token_hex(8) if settings.redis_url else None
    store = Store(connect(settings.redis_url, settings.redis_timeout), metrics, injected, instance)
    stack.push_async_callback(store.close)
    switches = settings.switches()
    guards = {name: Resilience(name, settings, switches, metrics, clock) for name in ("llm", "tts", "image")}
    pipeline = _pipeline(settings, switches, stack, guards, assets, media, tracer=tracer, metrics=metrics, clock=clock)
    leases = instance and Leases(
        store, assets, instance=instance, seconds=settings.lease_seconds, metrics=metrics, clock=clock
    )
    backlog = Backlog(store, Spool(settings.data_dir), limit=settings.store_backlog, metrics=metrics, clock=clock)
    jobs = Jobs(
        leaking(pipeline.run, settings.leak_bytes_per_job) if settings.leak_bytes_per_job else pipeline.run,
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
    audit = Audit(switches, jobs, store, assets)
    return Parts(settings, jobs, Catalog(jobs, store), store, assets, media, tuple(guards.values()), switches, audit)


def _pipeline(  # noqa: PLR0917 - the parts that are there already, in the order of their making
    settings: Settings,
    switches: Switches,
    stack: AsyncExitStack,
    guards: dict[str, Resilience],
    assets: Assets,
    media: Media,
    *,
    tracer: Tracer,
    metrics: Metrics,
    clock: Clock,
) -> Pipeline:
    """The pipeline with its providers behind their caches."""
    client = partial(
        ProviderClient,
        switches=switches,
        connections=settings.provider_connections,
        timeout=settings.provider_timeout,
        api_key=settings.provider_api_key.get_secret_value(),
        tracer=tracer,
        metrics=metrics,
        clock=clock,
    )
    llm, tts, image = (
        client("llm", settings.llm_url, guards["llm"]),
        client("tts", settings.tts_url, guards["tts"]),
        client("image", settings.image_url, guards["image"]),
    )
    for provider in (llm, tts, image):
        stack.push_async_callback(provider.close)
    cache = partial(
        Cache, switches=switches, metrics=metrics, entries=settings.cache_entries, size=settings.cache_bytes
    )
    script, audio, visual = caches = cache("script", llm), cache("audio", tts), cache("visual", image)
    metrics.caches(lambda: [(cache.name, cache.entries, cache.size) for cache in caches])
    return Pipeline(
        settings,
        switches,
        llm=script,
        tts=audio,
        image=visual,
        assets=assets,
        tracer=tracer,
        metrics=metrics,
        clock=clock,
        media=media,
    )

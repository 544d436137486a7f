"""The ASGI application: routes, middleware and telemetry."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI, Response
from opentelemetry import metrics as otel_metrics
from opentelemetry import trace
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider

from reelbench.service import data_folder
from reelbench.service.api import admin, errors, models
from reelbench.service.api.access import ApiKey
from reelbench.service.api.app_state import open_app_state
from reelbench.service.api.body import MULTIPART_OVERHEAD, BodyLimit
from reelbench.service.api.head import HeadAsGet
from reelbench.service.api.routes import router
from reelbench.service.faults.endpoint import METHODS, guarded, plan_endpoint
from reelbench.service.faults.faults import Faults
from reelbench.service.faults.guard import Guard
from reelbench.service.faults.plan import FaultsError
from reelbench.service.http_limits import Bodies
from reelbench.service.metrics import Metrics
from reelbench.service.settings import Settings
from reelbench.service.store.faults import OFFER
from reelbench.service.telemetry import MeasuredApp


def create_app(
    settings: Settings,
    *,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
) -> FastAPI:
    """Build the application; telemetry goes to the global providers unless others are given.

    Raises DataFolderError when the data folder cannot be used.
    """
    tracer_provider = tracer_provider or trace.get_tracer_provider()
    meter_provider = meter_provider or otel_metrics.get_meter_provider()
    tracer = tracer_provider.get_tracer("service")
    metrics = Metrics(meter_provider.get_meter("service"))
    data_folder.prepare(settings.data_dir)
    faults = Faults(OFFER)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            app.state.service = await open_app_state(settings, stack, tracer=tracer, metrics=metrics, faults=faults)
            yield

    app = MeasuredApp(
        tracer_provider=tracer_provider,
        meter_provider=meter_provider,
        title="Reelbench text-to-video service",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    routers = [router, models.router, *([admin.router] if settings.admin else [])]
    app.state.admin_guard = Guard("SERVICE_ADMIN_REMOTE", settings.admin_remote, settings.token(), "loopback_only")
    for one in routers:
        app.include_router(one)
    if settings.faults:
        guard = Guard("SERVICE_FAULTS_REMOTE", settings.faults_remote, settings.token())
        endpoint = guarded(plan_endpoint(faults), guard, _fault_error)
        app.add_route("/faults", endpoint, methods=METHODS, include_in_schema=False)
    errors.install(app, routers)
    app.add_middleware(HeadAsGet)
    limit = settings.max_upload_bytes + MULTIPART_OVERHEAD
    app.add_middleware(BodyLimit, limit=limit, bodies=Bodies(max(limit, settings.max_pending_bytes)))
    if key := settings.api_key.get_secret_value():
        app.add_middleware(ApiKey, key=key)
    return app


def _fault_error(error: FaultsError) -> Response:
    return errors.envelope(errors.ApiError(error.status, error.code, str(error), param=error.param))

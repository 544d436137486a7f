"""The ASGI application: three providers at the paths of the OpenAI API."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict
from starlette.exceptions import HTTPException

from reelbench.service.faults.endpoint import METHODS, Endpoint, guarded, plan_endpoint
from reelbench.service.faults.faults import Faults
from reelbench.service.faults.guard import Guard, read_token
from reelbench.service.faults.plan import FaultsError
from reelbench.service.http_limits import Bodies
from reelbench.service.providers import image, llm, metrics, tts
from reelbench.service.providers.calls import KEPT, CallLog, calls_endpoint
from reelbench.service.providers.exchange import MAX_PENDING, OFFER, Exchange, Provider
from reelbench.service.providers.latency import Latency, Lognormal
from reelbench.service.providers.reply import Refusal, Reply, envelope, refused
from reelbench.service.telemetry import MeasuredApp
from reelbench.telemetry.instance import INSTANCE
from reelbench.telemetry.running import Running, environment, flat, versions


class Settings(BaseSettings):
    """Seed, latencies and fault injection.

    Latencies are lognormal: ``median`` in seconds, ``sigma`` of the logarithm. Two underscores separate nested names,
    for example ``PROVIDERS_LLM__MEDIAN=0.2``.
    """

    model_config = SettingsConfigDict(env_prefix="PROVIDERS_", env_nested_delimiter="__", frozen=True)

    seed: int = 1
    faults: bool = False
    """Whether ``/faults`` and ``/faults/calls`` exist."""
    faults_remote: bool = False
    """Whether they also answer callers on other machines."""
    control_token: SecretStr = SecretStr("")
    """What their callers must send in the header ``X-Reelbench-Token``; with it they may be anywhere."""
    control_token_file: Path | None = None
    """File with the token, in place of `control_token`."""
    llm: Lognormal = Lognormal(median=0.12)
    tts: Lognormal = Lognormal(median=0.05)
    image: Lognormal = Lognormal(median=0.08)

    def token(self) -> str:
        """Return the control token; ValueError for a file that cannot be used."""
        return read_token(self.control_token, self.control_token_file)

    def running(self, now: float) -> Running:
        """Return what this process runs with.

        Args:
            now: Unix time.
        """
        values, defaults = (
            flat(one.model_dump(exclude=_PLACES), "PROVIDERS_") for one in (self, Settings.model_construct())
        )
        return Running(
            name="providers",
            settings=values,
            changed=tuple(name for name, value in values.items() if value != defaults.get(name)),
            environment=environment(),
            versions=versions(PACKAGES),
            time=now,
            instance=INSTANCE,
        )


_PLACES = {"control_token_file"}
PACKAGES = ("reelbench", "fastapi", "pillow", "pydantic", "uvicorn", "uvloop")
"""Libraries on which the behaviour of the providers depends."""


def create_app(settings: Settings, *, faults: Faults | None = None, clock: Callable[[], float] = time.time) -> FastAPI:
    """Build the application.

    Args:
        settings: Seed, latencies, and whether faults can be injected.
        faults: The fault plan; by default a new one without faults.
        clock: Unix time in seconds, for the `created` fields and the call log.
    """

    async def chat(request: llm.Chat) -> Reply:
        return llm.answer(request, clock())

    async def speech(request: tts.Speech) -> Reply:
        return tts.answer(request)

    async def picture(request: image.Image) -> Reply:
        image.check(request)
        # Drawing runs in a thread: it takes milliseconds and would block the event loop.
        return await asyncio.to_thread(image.answer, request, clock())

    instruments = metrics.create()
    faults = faults or Faults(OFFER)
    bodies = Bodies(MAX_PENDING)
    log = CallLog(KEPT if settings.faults else 0)

    def latency(name: str) -> Latency:
        return Latency(name, getattr(settings, name), settings.seed)

    providers: dict[str, Provider[Any]] = {
        "/v1/chat/completions": Provider(
            "llm", llm.Chat, chat, llm.content, lambda _: 1.0, latency("llm"), llm.rewritten
        ),
        "/v1/audio/speech": Provider(
            "tts", tts.Speech, speech, tts.content, lambda _: 1.0, latency("tts"), tts.rewritten
        ),
        "/v1/images/generations": Provider(
            "image", image.Image, picture, image.content, _image_scale, latency("image"), image.rewritten
        ),
    }
    app = MeasuredApp(title="Mock providers", openapi_url=None)
    for path, provider in providers.items():
        exchange = Exchange(provider, instruments, faults, log, clock, bodies=bodies)
        app.add_route(path, exchange.__call__, methods=["POST"])  # the exchange decodes the body itself, in one pass
    app.add_route("/health", _health, methods=["GET"])
    if settings.faults:
        guard = Guard("PROVIDERS_FAULTS_REMOTE", settings.faults_remote, settings.token())
        checked = partial(guarded, guard=guard, error_response=_fault_error)
        app.add_route("/faults", checked(plan_endpoint(faults)), methods=METHODS)
        app.add_route("/settings", checked(_settings_endpoint(settings, clock)), methods=["GET"])
        app.add_route("/faults/calls", checked(calls_endpoint(log, OFFER.targets)), methods=["GET"])
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _server_error)
    return app


def _image_scale(request: image.Image) -> float:
    return image.LATENCY_SCALES[image.visual_type(request.prompt)]


def _settings_endpoint(settings: Settings, clock: Callable[[], float]) -> Endpoint:
    async def answer(_request: Request) -> Response:
        return Response(msgspec.json.encode(settings.running(clock())), media_type="application/json")

    return answer


def _fault_error(error: FaultsError) -> Response:
    return refused(Refusal(str(error), param=error.param, code=error.code, status=error.status))


async def _health(_request: Request) -> Response:
    return Response(b'{"status":"ok"}', media_type="application/json")


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = f"{request.method} {request.url.path}: {error.detail}."
    return Response(
        envelope(error.status_code, message), error.status_code, error.headers, media_type="application/json"
    )


async def _server_error(_request: Request, error: Exception) -> Response:
    return Response(envelope(500, f"The provider failed: {type(error).__name__}."), 500, media_type="application/json")

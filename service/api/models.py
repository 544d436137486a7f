"""The models that the service offers, as the OpenAI API lists them."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request

from reelbench.service.api.app_state import app_state
from reelbench.service.api.errors import ApiError
from reelbench.service.api.schemas import ERRORS
from reelbench.service.domain.generation import DEFAULT_MODEL, CreateVideo, Record
from reelbench.service.settings import Settings

_CREATED = 1_750_000_000
"""Unix time that all models state; the service does not know when they were made."""
_SHOWN = 20


class Model(Record):
    """One model."""

    id: str
    object: Literal["model"] = "model"
    created: int = _CREATED
    owned_by: str = "reelbench"


class ModelList(Record):
    """The models that the service names."""

    object: Literal["list"] = "list"
    data: tuple[Model, ...]


router = APIRouter(responses=ERRORS)


@router.get("/v1/models")
async def models(request: Request) -> ModelList:
    """List the models."""
    return ModelList(data=tuple(Model(id=name) for name in _names(app_state(request).settings)))


@router.get("/v1/models/{model:path}")
async def retrieve(request: Request, model: str) -> Model:
    """Show a model."""
    if model not in _names(app_state(request).settings):
        raise ApiError(404, "model_not_found", f"The model '{model[:100]}' does not exist.", param="model")
    return Model(id=model)


def with_model(video: CreateVideo, settings: Settings) -> CreateVideo:
    """Return the request with the default model if it names none; ApiError for a model that is not offered."""
    if not settings.models or video.model in settings.models:
        return video
    if "model" not in video.model_fields_set:
        return video.model_copy(update={"model": settings.models[0]})
    offered = ", ".join(settings.models[:_SHOWN])
    message = f"The model '{video.model}' does not exist; this service offers {offered}."
    raise ApiError(400, "model_not_found", message, param="model")


def _names(settings: Settings) -> tuple[str, ...]:
    return settings.models or (DEFAULT_MODEL,)

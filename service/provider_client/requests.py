"""The three provider requests in the format of the OpenAI API, and how their answers are checked."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec

from reelbench.service.domain.generation import Parameters
from reelbench.service.domain.video import VisualType
from reelbench.service.provider_client.formats import MediaError, check_png, pcm

_SYSTEM = (
    "You write scripts for short explainer videos. Answer with JSON only: "
    '{{"scenes": [{{"title": ..., "narration": ..., "visual_type": "illustration" | "diagram" | "chart"}}]}} '
    "with exactly {scenes} scenes that tell one story in order and mix the visual types."
)
_VISUAL = {
    "illustration": "a clear, friendly illustration without text",
    "diagram": "a clean labelled diagram",
    "chart": "a simple chart with labelled axes",
}
_GUIDING = {"seed", "negative_prompt", "num_inference_steps", "guidance_scale"}
"""Fields that image servers share beyond the OpenAI API; they are sent only when the request of the video has them."""
Operation = Literal["chat", "text_to_speech", "image_generation"]
Count = Annotated[int, msgspec.Meta(ge=0)]
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class ProviderAnswer(Generic[_Value]):
    """A good answer; token counts are None when the provider states none."""

    value: _Value
    input_tokens: int | None = None
    output_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class ProviderRequest(Generic[_Value]):
    """A request; `read` decodes the body of its response, or raises ValueError."""

    operation: Operation
    path: str
    model: str
    payload: dict[str, Any]
    read: Callable[[bytes], ProviderAnswer[_Value]]
    usage: dict[str, int] = field(default_factory=dict)
    """What a good answer is charged for besides its tokens, by kind: characters, images."""


class SceneScript(msgspec.Struct, frozen=True):
    """One scene of the script from the LLM."""

    title: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
    narration: Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
    visual_type: VisualType


class _Script(msgspec.Struct, frozen=True):
    scenes: list[SceneScript]


class _Message(msgspec.Struct, frozen=True):
    content: str


class _Choice(msgspec.Struct, frozen=True):
    message: _Message


class _ChatUsage(msgspec.Struct, frozen=True):
    prompt_tokens: Count
    completion_tokens: Count


class _Chat(msgspec.Struct, frozen=True):
    choices: Annotated[list[_Choice], msgspec.Meta(min_length=1)]
    usage: _ChatUsage | None = None


class _Image(msgspec.Struct, frozen=True):
    b64_json: str


class _ImageUsage(msgspec.Struct, frozen=True):
    input_tokens: Count
    output_tokens: Count


class _Images(msgspec.Struct, frozen=True):
    data: Annotated[list[_Image], msgspec.Meta(min_length=1)]
    usage: _ImageUsage | None = None


_read_chat = msgspec.json.Decoder(_Chat).decode
_read_script = msgspec.json.Decoder(_Script).decode
_read_images = msgspec.json.Decoder(_Images).decode


def script(model: str, prompt: str, document: str, scenes: int) -> ProviderRequest[list[SceneScript]]:
    """Request a script of exactly `scenes` scenes about `prompt`, based on `document` ("": none)."""

    def read(body: bytes) -> ProviderAnswer[list[SceneScript]]:
        chat = _read_chat(body)
        written = _read_script(chat.choices[0].message.content).scenes
        if len(written) != scenes:
            raise ValueError(f"a script of {len(written)} scenes instead of {scenes}")
        if chat.usage is None:
            return ProviderAnswer(written)
        return ProviderAnswer(written, chat.usage.prompt_tokens, chat.usage.completion_tokens)

    user = f"{prompt}\n\nThe document:\n{document}" if document else prompt
    payload = {
        "model": model,
        "messages": [
            {"role": "system", "content": _SYSTEM.format(scenes=scenes)},
            {"role": "user", "content": user},
        ],
        "response_format": {"type": "json_object"},
        "metadata": {"scenes": str(scenes)},
    }
    return ProviderRequest("chat", "/v1/chat/completions", model, payload, read)


def speech(model: str, voice: str, narration: str) -> ProviderRequest[bytes]:
    """Request `narration` as WAV."""
    payload = {"model": model, "input": narration, "voice": voice, "response_format": "wav"}
    return ProviderRequest("text_to_speech", "/v1/audio/speech", model, payload, _wav, {"characters": len(narration)})


def visual(model: str, scene: SceneScript, size: str, parameters: Parameters | None = None) -> ProviderRequest[bytes]:
    """Request the picture of `scene` as PNG, in the orientation of `size`, with those parameters that guide it."""
    width, height = (int(side) for side in size.split("x"))
    guiding = parameters.model_dump(include=_GUIDING, exclude_none=True) if parameters else {}
    payload = {
        "model": model,
        "prompt": f"{scene.title}: {_VISUAL[scene.visual_type]}, about: {scene.narration}",
        "size": "1536x1024" if width > height else "1024x1536",
        "output_format": "png",
        "n": 1,
        **guiding,
    }
    return ProviderRequest("image_generation", "/v1/images/generations", model, payload, _png, {"images": 1})


def _wav(body: bytes) -> ProviderAnswer[bytes]:
    try:
        pcm(body)
    except MediaError as error:
        raise ValueError(str(error)) from error
    return ProviderAnswer(body)


def _png(body: bytes) -> ProviderAnswer[bytes]:
    images = _read_images(body)
    try:
        content = base64.b64decode(images.data[0].b64_json, validate=True)
        check_png(content)
    except (binascii.Error, MediaError) as error:
        raise ValueError(str(error)) from error
    if images.usage is None:
        return ProviderAnswer(content)
    return ProviderAnswer(content, images.usage.input_tokens, images.usage.output_tokens)

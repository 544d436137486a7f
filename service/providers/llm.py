"""The mock LLM: writes a script of scenes with sentences of the document."""

from __future__ import annotations

import re
from collections.abc import Callable
from hashlib import blake2b
from typing import Annotated, Literal

import msgspec

from reelbench.service.providers.reply import Refusal, Reply, tokens

VISUAL_TYPES = ("illustration", "diagram", "chart")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_WINDOW = 2_000
"""Maximum number of characters read for one scene, so a long document costs no more than a short one."""
_NARRATION = 220
"""Number of characters after which no further sentence is added to a narration; about 15 s of speech."""
_TITLE_WORDS = 6


class _Part(msgspec.Struct, frozen=True):
    type: str
    text: str = ""


class _Message(msgspec.Struct, frozen=True):
    role: str
    content: str | list[_Part] | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content)
        return self.content or ""


class Chat(msgspec.Struct, frozen=True):
    """The body of ``POST /v1/chat/completions``; other fields are ignored."""

    model: Annotated[str, msgspec.Meta(min_length=1)]
    messages: Annotated[list[_Message], msgspec.Meta(min_length=1)]
    metadata: dict[str, str] | None = None
    stream: bool | None = None
    n: int | None = None


class Scene(msgspec.Struct, frozen=True):
    """One scene of a script."""

    title: str
    narration: str
    visual_type: str


class Script(msgspec.Struct, frozen=True):
    """The JSON document in the message of a completion."""

    scenes: list[Scene]


class _Answer(msgspec.Struct, frozen=True):
    content: str
    role: Literal["assistant"] = "assistant"
    refusal: None = None


class _Choice(msgspec.Struct, frozen=True):
    message: _Answer
    index: int = 0
    finish_reason: Literal["stop"] = "stop"
    logprobs: None = None


class _Usage(msgspec.Struct, frozen=True):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class _Completion(msgspec.Struct, frozen=True):
    id: str
    created: int
    model: str
    choices: list[_Choice]
    usage: _Usage
    object: Literal["chat.completion"] = "chat.completion"


def content(chat: Chat) -> bytes:
    """Return the content that determines the latency of this request."""
    return msgspec.json.encode([chat.model, chat.messages, chat.metadata])


def answer(chat: Chat, now: float) -> Reply:
    """Write the script.

    Raises:
        Refusal: the number of scenes is not 1 to 20, there is no text, or the mode is not supported.
    """
    if chat.stream:
        raise Refusal("Streaming is not offered; leave out 'stream'.", param="stream", code="unsupported_value")
    if chat.n not in {None, 1}:
        raise Refusal("Only one choice is offered; leave out 'n'.", param="n", code="unsupported_value")
    texts = [message.text for message in chat.messages]
    asked = "\n".join(text for message, text in zip(chat.messages, texts, strict=True) if message.role == "user")
    text = asked.strip()
    if not text:
        raise Refusal("There is no text in the user's messages to write a script from.", param="messages")
    written = msgspec.json.encode(script(text, _scene_count(chat.metadata))).decode()
    used, made = tokens(sum(map(len, texts))), tokens(written)
    digest = blake2b(written.encode(), digest_size=12).hexdigest()
    completion = _Completion(
        id=f"chatcmpl-{digest}",
        created=int(now),
        model=chat.model,
        choices=[_Choice(_Answer(written))],
        usage=_Usage(used, made, used + made),
    )
    return Reply(msgspec.json.encode(completion), "application/json", used, made)


def rewritten(body: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """Return a body with the text of its message changed; invalid UTF-8 becomes replacement characters."""
    completion = msgspec.json.decode(body, type=_Completion)
    (choice,) = completion.choices
    content = change(choice.message.content.encode()).decode(errors="replace")
    choices = [msgspec.structs.replace(choice, message=_Answer(content))]
    return msgspec.json.encode(msgspec.structs.replace(completion, choices=choices))


def script(text: str, scenes: int) -> Script:
    """Return `scenes` scenes at evenly spaced positions of the text, each made of the sentences there."""
    turn = blake2b(text[:_WINDOW].encode(), digest_size=1).digest()[0]
    take = blake2b(text.encode(), digest_size=6).hexdigest()
    return Script([_scene(text, number, scenes, turn, take) for number in range(scenes)])


def _scene(text: str, number: int, scenes: int, turn: int, take: str) -> Scene:
    place = len(text) * number // scenes
    window = " ".join(text[place : place + _WINDOW].split())
    start = _SENTENCE_END.search(window) if place else None
    narration = ""
    for sentence in _SENTENCE_END.split(window[start.end() :] if start else window):
        if narration and len(narration) + len(sentence) > _NARRATION:
            break
        narration = f"{narration} {sentence[:_NARRATION]}".strip()
    narration = narration or " ".join(text[:_NARRATION].split())
    title = " ".join(narration.split()[:_TITLE_WORDS]).strip(".,;:!?")
    return Scene(
        title=f"{number + 1}. {title}"[:80],
        # Unique per prompt and scene, like the text of a real model. Equal narrations would cause cache hits for
        # speech and visuals that a real model would not cause.
        narration=f"{narration} Take {take}-{number + 1}.",
        visual_type=VISUAL_TYPES[(turn + number) % len(VISUAL_TYPES)],
    )


def _scene_count(metadata: dict[str, str] | None) -> int:
    text = (metadata or {}).get("scenes", "5")
    if text not in _COUNTS:
        raise Refusal(f"'{text[:20]}' is not a number of scenes from 1 to 20.", param="metadata.scenes")
    return int(text)


_COUNTS = frozenset(str(number) for number in range(1, 21))

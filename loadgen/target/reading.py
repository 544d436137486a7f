"""Tolerant reading of a server's answers: known shapes by a typed decoder, all others by what their fields mean."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, Literal

import msgspec

from reelbench.loadgen.record.foreign_text import one_line
from reelbench.loadgen.record.jobs import ServerTimes
from reelbench.loadgen.target.api import DeletedVideo, Video, VideoList
from reelbench.loadgen.target.error_text import error_text
from reelbench.loadgen.target.files import files_of
from reelbench.loadgen.target.server_times import MIB, Instants, instant, times_of
from reelbench.loadgen.target.states import DELETING, State, Words, plain

MAX_ID: Final = 1024
"""Most characters of an id: it becomes part of paths and records."""
_MAX_WORD: Final = 64
_IDS: Final = ("id", "video_id", "task_id", "job_id", "generation_id", "prediction_id")
_STATES: Final = ("status", "state", "task_status", "job_status")
_ENVELOPES: Final = ("data", "video", "task", "job", "result", "response", "output", "generation")
_ROWS: Final = ("data", "videos", "items", "results", "jobs", "tasks", "list", "records")
_DEPTH: Final = 3


class UnreadableError(ValueError):
    """An answer that is not what was asked for; the message is one line."""


class _PlainError(msgspec.Struct, frozen=True):
    message: str = ""


class _Plain(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A video of the OpenAI Videos API, decoded without a detour."""

    id: str
    object: Literal["video"]
    status: Literal["queued", "in_progress", "completed", "failed"]
    created_at: float
    error: _PlainError | None = None
    completed_at: float | None = None
    started_at: float | None = None
    inference_time_s: float | None = None
    peak_memory_mb: float | None = None
    model: str | None = None
    progress: float | None = None
    prompt: str | None = None
    seconds: str | None = None
    size: str | None = None
    quality: str | None = None
    expires_at: float | None = None
    remixed_from_video_id: str | None = None


class _PlainList(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    object: Literal["list"]
    data: list[_Plain]
    has_more: bool
    first_id: str | None = None
    last_id: str | None = None


_PLAIN_STATES: Final[dict[str, State]] = {
    "queued": "running",
    "in_progress": "running",
    "completed": "completed",
    "failed": "failed",
}
_PLAIN_ENDS: Final = frozenset({"completed", "failed"})
_VIDEO: Final = msgspec.json.Decoder(_Plain)
_LIST: Final = msgspec.json.Decoder(_PlainList)


class Reader:
    """Reads the answers of one server."""

    def __init__(self, words: Words, clean: Callable[[str], str]) -> None:
        """Prepare a reader.

        Args:
            words: what the words for the state of a job mean.
            clean: removes secrets from a text that the server wrote.
        """
        self._words = words
        self._clean = clean

    def video(self, body: bytes, asked: str = "", *, needs_id: bool = True) -> Video:
        """Return the video in an answer.

        Args:
            body: the answer.
            asked: id of the video that was asked for; an answer without an id is about this video, one that names
                another video is refused.
            needs_id: False for a server that answers once, with the file.

        Raises:
            UnreadableError: no JSON, or JSON without a video.
        """
        try:
            plain_video = _VIDEO.decode(body)
        except msgspec.ValidationError:
            raw = _decoded(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UnreadableError(_no_json(error)) from error
        else:
            if plain_video.id != asked:  # the usual case costs no call
                _check_asked([plain_video.id], asked)
            return self._plain(plain_video)
        return self._video(raw, asked, needs_id=needs_id)

    def page(self, body: bytes) -> VideoList:
        """Return one page of videos.

        Raises:
            UnreadableError: no JSON, or JSON without a list.
        """
        try:
            plain_list = _LIST.decode(body)
        except msgspec.ValidationError:
            raw = _decoded(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UnreadableError(_no_json(error)) from error
        else:
            return VideoList([self._plain(video) for video in plain_list.data], plain_list.has_more)
        rows, more = _rows(raw)
        videos = []
        for row in rows:
            try:
                videos.append(self._video(row, ""))
            except UnreadableError:
                continue
        if rows and not videos:
            raise UnreadableError("the list has no videos with an id")
        return VideoList(videos, more)

    def deletion(self, body: bytes, asked: str) -> DeletedVideo:
        """Return what the answer to a deletion says; an empty one confirms it.

        Raises:
            UnreadableError: no JSON.
        """
        raw = _decoded(body) if body.strip() else {}
        layers = [layer for layer, _ in _layers(raw)]
        word = next((plain(str(layer[key])) for layer in layers for key in _STATES if key in layer), "")
        said = next((layer["deleted"] for layer in layers if isinstance(layer.get("deleted"), bool)), None)
        cancelled = next((layer["cancelled"] for layer in layers if isinstance(layer.get("cancelled"), bool)), None)
        done = said if said is not None else not any(layer.get("success") is False for layer in layers)
        pending = word in DELETING and word.endswith("ing")
        return DeletedVideo(asked, done, cancelled if cancelled is not None or not pending else True, pending)

    def files(self, body: bytes) -> Video:
        """Return the answer to a download that is JSON: links or base64, or a state without them.

        Raises:
            UnreadableError: no JSON.
        """
        layers = [layer for layer, _ in _layers(_decoded(body))]
        word = next((text for layer in layers for key in _STATES if (text := _word(layer.get(key)))), None)
        links, inline = files_of(layers)
        return Video(id="", state=self._words.state(word), word=word, links=links, inline=inline)

    def _video(self, raw: Any, asked: str, *, needs_id: bool = True) -> Video:
        layers = [layer for layer, _ in _layers(raw)]
        home = _home(layers)
        if home is None:
            said = error_text(raw)
            raise UnreadableError(f"the answer has no video{f': {said}' if said else ''}")
        own = layers[home:]
        identity = next((text for layer in own for key in _IDS if (text := _id_text(layer.get(key)))), asked)
        if not identity and needs_id:
            said = error_text(raw)
            raise UnreadableError(f"the answer has no id of a video{f': {said}' if said else ''}")
        _check_asked([text for layer in layers for key in _IDS if (text := _id_text(layer.get(key)))], asked)
        word = next((said for layer in own for key in _STATES if (said := _word(layer.get(key)))), None)
        state = self._words.state(word)
        links, inline = files_of(own)
        if word is None and (links or inline):
            state = "completed"
        return Video(
            id=_checked(identity),
            state=state,
            word=word,
            created_at=next((at for layer in own if (at := instant(layer, Instants.CREATED)) is not None), None),
            error=self._said(own[0]) if state not in {"running", "completed"} else None,
            links=links,
            inline=inline,
            times=times_of(own),
        )

    def _plain(self, video: _Plain) -> Video:
        identity, word = video.id, video.status
        # Arguments by position: by name, each costs as much as a field.
        return Video(
            identity if len(identity) <= MAX_ID and identity.isprintable() else _checked(identity),
            _PLAIN_STATES[word],
            word,
            video.created_at,
            one_line(self._clean(video.error.message)) if video.error is not None else None,
            (),
            None,
            _plain_times(video) if word in _PLAIN_ENDS else None,
        )

    def _said(self, layer: dict[str, Any]) -> str | None:
        """Return the error text of a video."""
        said = error_text(layer)
        return self._clean(said) if said is not None else None


def _plain_times(video: _Plain) -> ServerTimes:
    memory = video.peak_memory_mb
    return ServerTimes(
        video.created_at,
        video.started_at,
        video.completed_at,
        video.inference_time_s,
        None if memory is None else memory * MIB,
    )


def _decoded(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableError(_no_json(error)) from error


def _no_json(error: Exception) -> str:
    return f"no JSON: {error}"


def _layers(raw: Any, depth: int = 0) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield the mapping and those in its envelopes, from the outside to the inside."""
    if isinstance(raw, list):
        raw = raw[0] if raw else None
    if not isinstance(raw, dict):
        return
    yield raw, depth
    if depth < _DEPTH:
        for key in _ENVELOPES:
            if isinstance(raw.get(key), dict | list):
                yield from _layers(raw[key], depth + 1)


def _home(layers: list[dict[str, Any]]) -> int | None:
    """Return the position of the mapping that is the video: with id and state, with one of them, or with a file."""
    named = [any(_id_text(layer.get(key)) for key in _IDS) for layer in layers]
    stated = [any(_word(layer.get(key)) for key in _STATES) for layer in layers]
    for wanted in (
        [a and b for a, b in zip(named, stated, strict=True)],
        named,
        stated,
        [any(files_of([layer])) for layer in layers],
    ):
        if True in wanted:
            return wanted.index(True)
    return None


def _id_text(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else ""


def _checked(identity: str) -> str:
    """Return an id that can be part of paths and records.

    Raises:
        UnreadableError: it is too long, or has control characters.
    """
    if len(identity) > MAX_ID:
        raise UnreadableError(f"the id of the video has {len(identity)} characters; at most {MAX_ID} are accepted")
    if not identity.isprintable():
        raise UnreadableError("the id of the video has control characters")
    return identity


def _check_asked(found: list[str], asked: str) -> None:
    """Raise UnreadableError for an answer that names other videos only; some servers shorten or extend the id."""
    if asked and found and not any(one == asked or _ends(one, asked) or _ends(asked, one) for one in found):
        raise UnreadableError(f"the answer is about another video: {one_line(found[0], _MAX_WORD)}")


def _ends(longer: str, shorter: str) -> bool:
    return longer.endswith((f"/{shorter}", f":{shorter}"))


def _word(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return one_line(str(value), _MAX_WORD) or None


def _rows(raw: Any, depth: int = 0) -> tuple[list[Any], bool | None]:
    """Return the items of a list and whether there are more."""
    if isinstance(raw, list):
        return raw, None
    if isinstance(raw, dict) and depth < _DEPTH:
        more = next((raw[key] for key in ("has_more", "hasMore") if isinstance(raw.get(key), bool)), None)
        for key in _ROWS:
            if isinstance(raw.get(key), list):
                return raw[key], more
        for key in _ENVELOPES:
            if isinstance(raw.get(key), dict):
                rows, inner = _rows(raw[key], depth + 1)
                return rows, inner if inner is not None else more
    said = error_text(raw)
    raise UnreadableError(f"the answer has no list of videos{f': {said}' if said else ''}")

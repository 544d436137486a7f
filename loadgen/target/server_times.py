"""The server's own account of a job: dates, inference time, memory and stages, from fields and headers."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from reelbench.loadgen.record.jobs import ServerTimes

MIB: Final = 1024 * 1024
_MILLISECONDS: Final = 1e11
"""Numbers above this are Unix time in milliseconds: as seconds they are after the year 5000."""
_MOST: Final = 32
_TOKEN: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_DURATION: Final = re.compile(r";\s*dur\s*=\s*\"?([0-9.]{1,24})", re.IGNORECASE)
_INFERENCE: Final = ("inference_time_s", "inference_time", "generation_time_s")
_STAGES: Final = ("stage_durations", "stages", "timings", "timing")
_SUMS: Final = ("metrics", "usage")


class Instants:
    """Names of the fields that hold a date."""

    CREATED: Final = ("created_at", "created", "createdAt", "create_time", "submit_time", "submitted_at")
    STARTED: Final = ("started_at", "startedAt", "start_time")
    COMPLETED: Final = ("completed_at", "completedAt", "finished_at", "finish_time", "ended_at")


def instant(layer: dict[str, Any], keys: Sequence[str]) -> float | None:
    """Return the first date among some fields as Unix time: a number, or text in ISO 8601."""
    return next((at for key in keys if (at := _unix(layer.get(key))) is not None), None)


def times_of(layers: Sequence[dict[str, Any]]) -> ServerTimes | None:
    """Return what the mappings of a video say of the server's work; None: nothing."""

    def first(keys: Sequence[str]) -> float | None:
        return next((at for layer in layers if (at := instant(layer, keys)) is not None), None)

    def amount(keys: Sequence[str]) -> float | None:
        places = [*layers, *(layer[key] for layer in layers for key in _SUMS if isinstance(layer.get(key), dict))]
        return next((found for place in places for key in keys if (found := _amount(place.get(key))) is not None), None)

    memory = amount(("peak_memory_mb",))
    times = ServerTimes(
        created=first(Instants.CREATED),
        started=first(Instants.STARTED),
        completed=first(Instants.COMPLETED),
        inference=amount(_INFERENCE),
        peak_memory=None if memory is None else memory * MIB,
        stages=_stages(layers),
    )
    return times if times != _NOTHING else None


def timing_header(text: str | None) -> dict[str, float]:
    """Return the stages of a ``Server-Timing`` header in seconds; the header has milliseconds."""
    stages: dict[str, float] = {}
    for part in (text or "").split(",")[:_MOST]:
        name = _TOKEN.match(part.strip())
        duration = _DURATION.search(part)
        try:
            seconds = float(duration[1]) / 1000 if duration else None
        except ValueError:
            continue
        if name and seconds is not None:
            stages[name[0]] = seconds
    return stages


def joined(known: ServerTimes | None, new: ServerTimes | None, stages: dict[str, float]) -> ServerTimes | None:
    """Return two accounts of one job as one; the newer one counts."""
    if new is None and not stages:
        return known
    if known is None and not stages:
        return new
    known, new = known or _NOTHING, new or _NOTHING
    return ServerTimes(
        created=known.created if new.created is None else new.created,
        started=known.started if new.started is None else new.started,
        completed=known.completed if new.completed is None else new.completed,
        inference=known.inference if new.inference is None else new.inference,
        peak_memory=known.peak_memory if new.peak_memory is None else new.peak_memory,
        stages=dict(list((known.stages | new.stages | stages).items())[:_MOST]),
    )


def _stages(layers: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return the stages that the fields of an answer name, in seconds; names that end with ``_ms`` are milliseconds."""
    stages: dict[str, float] = {}
    for layer in layers:
        places = [(layer[key], False) for key in _STAGES if isinstance(layer.get(key), dict)]
        # Not usage, whose seconds are those of the video.
        places += [(layer["metrics"], True)] if isinstance(layer.get("metrics"), dict) else []
        for place, mixed in places:
            for name, value in list(place.items())[:_MOST]:
                seconds = _amount(value)
                timed = name.endswith(("_s", "_seconds", "_ms", "_time"))
                if seconds is None or not _TOKEN.fullmatch(name) or (mixed and not timed) or name in _INFERENCE:
                    continue
                stages[name.removesuffix("_ms")] = seconds / 1000 if name.endswith("_ms") else seconds
    return stages


def _amount(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _unix(value: Any) -> float | None:
    if isinstance(value, str):
        text = value.strip()[:64]
        try:
            return _unix(float(text))
        except ValueError:
            pass
        try:
            at = datetime.fromisoformat(text)
            return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            return None
    number = _amount(value)
    if not number:  # 0 is a date that is not set
        return None
    return number / 1000 if number > _MILLISECONDS else number


_NOTHING: Final = ServerTimes()

"""The request that creates a job, in the fields and the form that the server takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from reelbench.loadgen.document import Document, Form
from reelbench.loadgen.plan.plan import PlannedJob
from reelbench.loadgen.plan.row import Ask
from reelbench.loadgen.target.target_file import Create, Quantity, Scalar

_NO_WISHES: Final = Ask()
_ALWAYS: Final[dict[Quantity, Callable[[PlannedJob], Scalar]]] = {
    "size": lambda job: job.size,
    "width": lambda job: int(job.size.partition("x")[0]),
    "height": lambda job: int(job.size.partition("x")[2]),
}
"""Quantities that every job has; its length is in `_LENGTHS`."""
_LENGTHS: Final[dict[str, Callable[[PlannedJob], Scalar]]] = {
    "text": lambda job: job.seconds,
    "whole number": lambda job: round(float(job.seconds)),
    "number": lambda job: float(job.seconds),
}


class Body(msgspec.Struct, frozen=True, gc=False):
    """Body of a request."""

    media_type: str
    parts: tuple[bytes, ...]


class Asked:
    """Writes the requests for one server."""

    def __init__(self, create: Create, model: str | None) -> None:
        """Prepare the form.

        Args:
            create: what the server takes.
            model: name of the model; None: that of the target file, if it has one.
        """
        self._create = create
        self._model = model or create.model
        self._form = Form()
        self._encoding, self._file_field = create.encoding, create.reference_field or ""
        self._fixed: dict[str, Scalar] = {"model": self._model} if self._model is not None else {}
        self._fixed |= create.extra
        self._always = [(name, _ALWAYS[key]) for key, name in create.fields.items() if key in _ALWAYS]
        if "seconds" in create.fields:
            self._always.append((create.fields["seconds"], _LENGTHS[create.seconds_as]))
        self._counts_frames = "num_frames" in create.fields and "seconds" not in create.fields
        self._taken: dict[str, bool] = {}
        """Media type of a file to whether the server takes it."""
        self._dotted = any("." in name for name in (*create.fields.values(), *create.extra))

    def body(self, job: PlannedJob, upload: Document | None, prompt: str) -> Body:
        """Return the body for a job with a prompt; a file is part of it if the server takes that kind of file."""
        file = upload if upload is not None and self.takes(upload) else None
        encoding = self._encoding
        if encoding == "any":
            encoding = "multipart" if job.reference is not None and file is not None else job.encoding
        fields = self.fields(job, prompt)
        if encoding == "json":
            data = nested(fields) if self._dotted or job.ask is not None else fields
            return Body("application/json", (msgspec.json.encode(data),))
        texts = {name: value if type(value) is str else _text(value) for name, value in fields.items()}
        return Body(self._form.media_type, self._form.encode(texts, self._file_field, file))

    def takes(self, upload: Document) -> bool:
        """Return whether the server takes a file of this kind."""
        known = self._taken.get(upload.media_type)
        if known is None:
            known = self._create.reference_field is not None and upload.kind in self._create.reference
            self._taken[upload.media_type] = known
        return known

    def fields(self, job: PlannedJob, prompt: str) -> dict[str, Scalar]:
        """Return the fields of a job by the server's names; a wish of the job replaces an extra field."""
        fields: dict[str, Scalar] = {"prompt": prompt, **self._fixed}
        for name, quantity in self._always:
            fields[name] = quantity(job)
        if job.ask is not None or self._counts_frames:
            fields |= self._wishes(job, job.ask or _NO_WISHES)
        return fields

    def _wishes(self, job: PlannedJob, ask: Ask) -> dict[str, Scalar]:
        """Return what only some jobs ask for; the length as a number of frames for servers that take no seconds."""
        frames, fps = ask.num_frames, ask.fps
        if self._counts_frames and frames is None:
            fps = fps or self._create.fps
            frames = round(float(job.seconds) * fps)
        wished: dict[Quantity, Scalar | None] = {
            "num_frames": frames,
            "fps": None if fps is None else int(fps) if float(fps).is_integer() else fps,
            "num_inference_steps": ask.num_inference_steps,
            "seed": ask.seed,
            "guidance_scale": ask.guidance_scale,
            "negative_prompt": ask.negative_prompt,
            "quality": ask.quality,
        }
        names = self._create.fields
        sent = {names[key]: value for key, value in wished.items() if key in names and value is not None}
        return sent | ask.extra


def nested(fields: dict[str, Scalar]) -> dict[str, Any]:
    """Return the fields of a JSON body: a name with dots, such as ``nvext.fps``, is a path into mappings."""
    body: dict[str, Any] = {}
    for name, value in fields.items():
        *path, last = name.split(".")
        place = body
        for word in path:
            inner = place.setdefault(word, {})
            place = inner if isinstance(inner, dict) else {}
        place[last] = value
    return body


def _text(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)

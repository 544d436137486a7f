"""The request that creates a job, in the fields and the form that the server takes."""

from __future__ import annotations

from typing import Any

import msgspec

from reelbench.loadgen.document import Document, Form
from reelbench.loadgen.plan.plan import Ask, PlannedJob
from reelbench.loadgen.target.target_file import Create, Scalar

_NO_WISHES = Ask()


class Body(msgspec.Struct, frozen=True):
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

    def body(self, job: PlannedJob, upload: Document | None) -> Body:
        """Return the body for a job; a file is part of it if the server takes that kind of file."""
        file = upload if upload is not None and self.takes(upload) else None
        encoding = self._create.encoding
        if encoding == "any":
            encoding = "multipart" if job.reference is not None and file is not None else job.encoding
        fields = self.fields(job)
        if encoding == "json":
            return Body("application/json", (msgspec.json.encode(nested(fields)),))
        texts = {name: _text(value) for name, value in fields.items()}
        return Body(self._form.media_type, self._form.encode(texts, self._create.reference_field or "", file))

    def takes(self, upload: Document) -> bool:
        """Return whether the server takes a file of this kind."""
        return self._create.reference_field is not None and kind_of(upload) in self._create.reference

    def fields(self, job: PlannedJob) -> dict[str, Scalar]:
        """Return the fields of a job by the server's names; a wish of the job replaces an extra field."""
        create, ask = self._create, job.ask or _NO_WISHES
        wanted = self._quantities(job, ask)
        fields: dict[str, Scalar] = {"prompt": job.prompt}
        if self._model is not None:
            fields["model"] = self._model
        fields |= create.extra
        fields |= {name: wanted[key] for key, name in create.fields.items() if wanted.get(key) is not None}
        return fields | ask.extra

    def _quantities(self, job: PlannedJob, ask: Ask) -> dict[Any, Any]:
        """Return what the job asks for; the length is a number of frames for servers that take no seconds."""
        width, _, height = job.size.partition("x")
        seconds: Scalar = job.seconds
        if self._create.seconds_as != "text":
            number = float(job.seconds)
            seconds = number if self._create.seconds_as == "number" else round(number)
        frames, fps = ask.num_frames, ask.fps
        if "num_frames" in self._create.fields and "seconds" not in self._create.fields and frames is None:
            fps = fps or self._create.fps
            frames = round(float(job.seconds) * fps)
        return {
            "seconds": seconds,
            "size": job.size,
            "width": int(width),
            "height": int(height),
            "num_frames": frames,
            "fps": None if fps is None else int(fps) if float(fps).is_integer() else fps,
            "num_inference_steps": ask.num_inference_steps,
            "seed": ask.seed,
            "guidance_scale": ask.guidance_scale,
            "negative_prompt": ask.negative_prompt,
            "quality": ask.quality,
        }


def kind_of(upload: Document) -> str:
    """Return the kind of a file in the words of the target file."""
    kind = upload.media_type.partition("/")[0]
    return kind if kind in {"image", "video"} else "document"


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

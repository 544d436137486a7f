"""The target file: how to reach a text-to-video server, what to ask, and how to read the answers; loaded strictly."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from reelbench.loadgen.strict_model import Strict, validate
from reelbench.loadgen.strict_yaml import UnreadableError, read_mapping

FOLDER = Path(__file__).parents[1] / "targets"
"""The presets."""

Scalar = (
    Annotated[str, Field(strict=True)]
    | Annotated[bool, Field(strict=True)]
    | Annotated[int, Field(strict=True)]
    | float
)
Words = tuple[str, ...]

Quantity = Literal[
    "seconds", "size", "width", "height", "num_frames", "fps", "num_inference_steps", "seed", "guidance_scale",
    "negative_prompt", "quality",
]  # fmt: skip
"""What a job can ask for, in our words; `Create.fields` has the words of the server."""
_ALWAYS = frozenset({"seconds", "size", "width", "height"})
"""Quantities that every job has."""


class Access(Strict):
    """Credentials and certificates. Secrets are named by environment variable, never written into the file."""

    api_key_env: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="Environment variable with the API key. Without it, OPENAI_API_KEY is sent if it is set.",
    )
    headers: dict[str, str] = Field(
        default={}, description="Headers of every request; ${NAME} is replaced by the environment variable NAME."
    )
    ca_file: str | None = Field(default=None, description="PEM file with the certificate authorities to trust.")
    client_cert: str | None = Field(default=None, description="PEM file with the client's certificate.")
    client_key: str | None = Field(default=None, description="PEM file with the key of the client's certificate.")
    insecure: bool = Field(default=False, description="Accept any certificate of the server.")


class Create(Strict):
    """The request that creates a job."""

    path: str = Field(default="/v1/videos", pattern=r"^/", description="Path below the base URL, also of the list.")
    encoding: Literal["multipart", "json", "any"] = Field(
        default="any", description="Form or JSON; any: as the scenario says, multipart when a file is sent."
    )
    model: str | None = Field(default=None, min_length=1, description="Name of the model, sent with each job.")
    model_required: bool = Field(default=False, description="The server refuses jobs without a model.")
    seconds_as: Literal["text", "whole number", "number"] = Field(
        default="text", description="How the length is written."
    )
    fields: dict[Quantity, str] = Field(
        default={"seconds": "seconds", "size": "size"},
        description="What a job asks for, and the server's name of the field; other quantities are not sent.",
    )
    fps: float = Field(
        default=24, gt=0, le=240, description="Frames per second where the length is sent as `num_frames`."
    )
    extra: dict[str, Scalar] = Field(
        default={},
        description="Further fields, sent as written with every job. In JSON, a dot makes a path: `nvext.fps`.",
    )
    reference_field: str | None = Field(
        default="input_reference", description="Field of the uploaded file; none: the server takes no file."
    )
    reference: tuple[Literal["document", "image", "video"], ...] = Field(
        default=("image",), strict=False, description="Kinds of file that the server takes."
    )
    synchronous: bool = Field(
        default=False,
        description="The answer to the request comes when the video is made, and has the file or its URL.",
    )


class States(Strict):
    """The server's words for the state of a job, in addition to the common ones; an unknown word means running."""

    completed: Words = Field(default=(), strict=False, description="The video is made.")
    failed: Words = Field(default=(), strict=False, description="The server gave the job up.")
    cancelled: Words = Field(default=(), strict=False, description="The job was cancelled.")
    expired: Words = Field(default=(), strict=False, description="The server removed the job for its age.")
    deleted: Words = Field(default=(), strict=False, description="The job was deleted.")


class Offers(Strict):
    """Operations of the server: true, false, or none for an operation that is tried at its first use."""

    list: bool | None = Field(default=None, description="GET on the path of `create` lists the jobs.")
    wait: bool | None = Field(default=None, description="GET …/{id}/wait answers when the job has ended.")
    manifest: bool | None = Field(default=None, description="GET …/{id}/manifest names files and checksums.")
    delete: bool | None = Field(default=None, description="DELETE …/{id} removes a job that has ended.")
    cancel: bool | None = Field(default=None, description="A running job can be stopped.")
    cancel_path: str | None = Field(
        default=None, pattern=r"^/", description="Path below the job of a POST that stops it; none: DELETE stops it."
    )


class Content(Strict):
    """How the file comes."""

    source: Literal["endpoint", "url", "base64"] | None = Field(
        default=None, description="GET on `path`, a URL in the video, or base64 in JSON; none: what the answer has."
    )
    path: str = Field(default="/content", pattern=r"^/", description="Path below the job.")
    attempts: int = Field(
        default=30, ge=1, le=10_000, description="Requests for a file that is not ready yet (202, early 404)."
    )


class Pace(Strict):
    """Times of a job; without a value, those of the scenario."""

    poll_interval: float | None = Field(default=None, ge=0.01, le=600, description="Seconds between two polls.")
    time_limit: float | None = Field(default=None, gt=0, le=86_400, description="Seconds until a job is given up.")


class Metrics(Strict):
    """One source of the server's own metrics."""

    url: str | None = Field(
        default=None, description="Address of the page; none: /metrics below the base URL of the server."
    )
    names: tuple[str, ...] = Field(
        default=(), strict=False, description="Sets of known metric names, such as vllm_omni, dcgm, process."
    )


class TargetFile(Strict):
    """One target file."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,47}$", description="The file name without .yaml.")
    title: str = Field(min_length=1, max_length=100, description="Name of the server in reports.")
    base_url: str | None = Field(default=None, description="Base URL; --target replaces it.")
    access: Access = Field(default=Access(), description="Credentials and certificates.")
    create: Create = Field(default=Create(), description="The request that creates a job.")
    states: States = Field(default=States(), description="Words for the state of a job.")
    offers: Offers = Field(default=Offers(), description="Operations of the server.")
    content: Content = Field(default=Content(), description="How the file comes.")
    pace: Pace = Field(default=Pace(), description="Times of a job.")
    metrics: tuple[Metrics, ...] = Field(default=(), strict=False, description="The server's own metrics.")
    slis: str | None = Field(default=None, description="File with indicators over the server's metrics (--slis).")
    objectives: dict[str, float] = Field(default={}, description="SLI id to value; replaces the default objective.")


class TargetFileError(Exception):
    """A target file that cannot be used; `errors` has one line per mistake, with its cure."""

    def __init__(self, errors: Sequence[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = tuple(errors)


def presets(folder: Path = FOLDER) -> tuple[str, ...]:
    """Return the names of the presets."""
    return tuple(sorted(path.stem for path in folder.glob("*.yaml")))


def load_preset(name: str, folder: Path = FOLDER) -> TargetFile:
    """Load one of the presets.

    Raises:
        TargetFileError: there is no preset of that name.
    """
    if name not in presets(folder):
        raise TargetFileError([f"there is no preset {name!r}; use {', '.join(presets(folder))}"])
    return load_target_file(folder / f"{name}.yaml")


def load_target_file(path: Path) -> TargetFile:
    """Load a target file.

    Raises:
        TargetFileError: with all errors of the file.
    """
    try:
        raw, errors = read_mapping(path, "target", "name")
    except UnreadableError as error:
        raise TargetFileError([f"{path.name}: {error}"]) from error
    target = validate(TargetFile, raw, errors)
    if target is not None:
        errors += _field_errors(target.create)
    if target is None or errors:
        raise TargetFileError([f"{path.name}: {line}" for line in errors])
    return target


def _field_errors(create: Create) -> list[str]:
    """Return the mistakes between the fields of a request, which no single value shows."""
    errors = [
        f"create.extra.{name}: is also sent as {key} of each job; remove it here or in create.fields"
        for key, name in create.fields.items()
        if key in _ALWAYS and name in create.extra
    ]
    errors += [
        f"create.extra.{name}: is sent with each job already; remove it"
        for name in ("prompt", "model")
        if name in create.extra
    ]
    if create.reference_field is None and create.reference:
        errors.append("create.reference: names kinds of files without a field for them; add reference_field, or use []")
    names = list(create.fields.values())
    errors += [
        f"create.fields: {name!r} is the field of more than one quantity; keep one"
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]
    return errors

"""How one server speaks: everything that differs between text-to-video servers, as one frozen record."""

from __future__ import annotations

from typing import Literal

import msgspec

ListManner = Literal[
    "pages", "no_has_more", "everything_oldest_first", "oldest_first", "absent", "broken", "needs_provider"
]
DeleteManner = Literal["openai", "conflict", "refused", "status", "no_id", "no_body", "absent"]
ErrorManner = Literal["openai", "integer_code", "text_status", "detail", "object", "code_message_data", "flat", "text"]
JobErrorManner = Literal["openai", "integer_code", "text", "fail_reason"]
ContentManner = Literal["body", "redirect", "base64", "url", "unsigned_urls"]
UnknownManner = Literal["json_404", "detail_404", "html_200", "forbidden_403"]
ModelManner = Literal["ignored", "must_match", "required"]
DateManner = Literal["seconds", "text", "absent"]
IdManner = Literal["video", "bare", "job", "task", "litellm"]


class Words(msgspec.Struct, frozen=True, kw_only=True):
    """Status words of the states of a job."""

    queued: str = "queued"
    running: tuple[str, ...] = ("in_progress",)
    """Words in the order of a job's progress; each holds for an equal share of the generation."""
    completed: str = "completed"
    failed: str = "failed"
    cancelled: str = "cancelled"


class Manner(msgspec.Struct, frozen=True, kw_only=True):
    """The manner of one server."""

    name: str
    title: str
    prefix: str = "/v1"
    bodies: frozenset[str] = frozenset({"json", "form"})
    """Encodings that a create may have."""
    key: bool = False
    """Whether a bearer key is required: 401 without one."""
    wrong_key_status: int = 403
    model: ModelManner = "ignored"
    """must_match: a model may be left out, another one is refused; required: it must be given and match."""
    wrong_model_status: int = 404
    references: tuple[str, ...] | None = ("image/",)
    """Media types that a reference may have; None: references are refused."""
    lengths: tuple[str, ...] = ()
    """Values of `seconds` that are accepted; empty: all."""
    length_field: Literal["seconds", "duration"] = "seconds"
    integer_seconds: bool = False
    """Whether `seconds` as text is refused."""
    size: str = "320x192"
    seconds: float = 2
    fps: int = 16
    steps: int = 20
    """Used where a create names none."""

    create_status: int = 200
    absent_status: int = 404
    """Answer to an operation that the server does not have on a path that it has."""
    synchronous: bool = False
    """Whether create blocks and its answer has the file or its address; then there are no other operations."""
    blocking: bool = False
    """Whether create blocks until the job has ended and then answers with the ended job."""
    words: Words = Words()
    ids: IdManner = "video"
    object: str | None = "video"
    dates: DateManner = "seconds"
    progress: Literal["number", "percent", "absent"] = "number"
    polling_url: bool = False
    timings: bool = False
    """Whether the video has `inference_time_s` and `peak_memory_mb`."""
    server_timing: bool = False
    """Whether answers of an ended job carry `Server-Timing`."""

    list: ListManner = "pages"
    delete: DeleteManner = "openai"
    """conflict: 409 while the job runs; refused: 409 always."""
    error: ErrorManner = "openai"
    job_error: JobErrorManner = "openai"
    content: ContentManner = "body"
    content_type: str = "video/mp4"
    files_elsewhere: bool = False
    """Whether addresses of files lead to another host."""
    variants: bool = False
    """Whether content has thumbnails and spritesheets."""
    late_content: int = 0
    """Answers 202 to the content of a completed job before the file is there."""
    early_404_content: int = 0
    early_404_retrieve: int = 0
    """Answers 404 before the first other answer about a job."""
    unknown: UnknownManner = "json_404"
    """Answer to paths that the server does not have; detail_404: as FastAPI answers, also to other methods."""
    unknown_id_status: int = 404
    """Answer about an identifier that the server never gave."""
    moved: bool = False
    """Whether every path answers 308 to another host first."""

    poll_429: int = 0
    """429 in a row for each job, after its first poll."""
    create_429_every: int = 0
    """Every n-th create is refused with 429; 0: none."""
    polls_per_second: float = 0
    """Limit of polls of one server, with 429 above it; 0: none."""
    retry_after: str = "1"
    """Value of the header with every 429; empty: no header."""
    retry_after_header: str = "Retry-After"

    metrics: frozenset[str] = frozenset()
    """Families of names on `/metrics`, as in `exposition.FAMILIES`; empty: the path is unknown."""

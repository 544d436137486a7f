"""Answers of a fake as data: videos, lists, deletions and errors in the shape of its manner."""

from __future__ import annotations

import base64
import secrets
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

from tests.fakes.generation import Load
from tests.fakes.manner import ErrorManner, Manner
from tests.fakes.truth import Job

Body = dict[str, Any]

REASON: Final = "The generator ran out of memory."
"""Message of every failed job."""


def new_id(manner: Manner, model: str) -> str:
    """Return an identifier in the style of the server."""
    token = secrets.token_hex(12)
    match manner.ids:
        case "video":
            return f"video_{token}{secrets.token_hex(12)}"  # 48 digits, as OpenAI's
        case "bare":
            return token
        case "job":
            return f"job-{token}"
        case "task":
            return f"task_{token}"
        case "litellm":
            # The proxy packs its own routing and the identifier of its backend: more than 256 characters.
            inner = f"litellm:custom_llm_provider:openai;model_id:{model};video_id:video_{token * 2}"
            inner += f";deployment_id:{secrets.token_hex(32)}"
            inner += "0" * ((1 - len(inner)) % 3)  # ends with ==
            return f"video_{base64.b64encode(inner.encode()).decode()}"


class Shapes:
    """Writes the answers of one server."""

    def __init__(self, manner: Manner, load: Load, model: str) -> None:
        self._manner = manner
        self._load = load
        self._model = model

    def word(self, job: Job, now: float) -> str:
        """Return the status word of a job."""
        words = self._manner.words
        match job.end:
            case "completed":
                return words.completed
            case "failed":
                return words.failed
            case "cancelled":
                return words.cancelled
        if job.started is None:
            return words.queued
        return words.running[min(int(self._share(job, now) * len(words.running)), len(words.running) - 1)]

    def video(self, job: Job, now: float, origin: str, elsewhere: str) -> Body:
        """Return the video object of a job."""
        manner = self._manner
        body: Body = {"id": job.id, "status": self.word(job, now)}
        if manner.object is not None:
            body |= {"object": manner.object, "model": job.model, "prompt": job.prompt}
            body |= {"seconds": f"{job.clip.seconds:g}", "size": f"{job.clip.width}x{job.clip.height}"}
        if manner.ids == "task":
            body["task_id"] = job.id
        if manner.polling_url:
            body["polling_url"] = f"{manner.prefix}/videos/{job.id}"
        body |= self._dates(job) | self._progress(job, now)
        if job.end == "failed":
            body |= self._job_error()
        elif manner.object is not None:
            body["error"] = None
        if job.end == "completed":
            body |= self._addresses(job, origin, elsewhere) | self.timings(job)
        return body

    def synchronous(self, job: Job, now: float, origin: str, elsewhere: str) -> Body:
        """Return the answer of a server that answers once the job has ended."""
        body: Body = {
            "id": job.id,
            "object": "video",
            "model": job.model,
            "status": self.word(job, now),
            "progress": 100,
            "created": int(job.created),
            "data": [],
        }
        if job.end == "completed":
            body["data"] = [{"url": self._address(job, origin, elsewhere)}]
            return body | self.timings(job)
        return body | self._job_error()

    def timings(self, job: Job) -> Body:
        """Return the figures that the server knows about an ended job."""
        if not self._manner.timings or job.started is None or job.ended is None:
            return {}
        return {"inference_time_s": job.ended - job.started, "peak_memory_mb": self._load.peak_memory_mb}

    def server_timing(self, job: Job) -> dict[str, str]:
        """Return the header of an ended job: denoising takes 80 %, the rest equal parts."""
        if not self._manner.server_timing or job.started is None or job.ended is None:
            return {}
        total = (job.ended - job.started) * 1000
        parts = {"pre_denoise": 0.1, "denoise": 0.8, "post_denoise": 0.1, "generation": 1.0}
        return {"Server-Timing": ", ".join(f"{name};dur={total * share:.3f}" for name, share in parts.items())}

    def page(self, videos: list[Body], *, more: bool) -> Body:
        """Return one page of a list."""
        body: Body = {"object": "list", "data": videos}
        if self._manner.list not in {"no_has_more", "everything_oldest_first"}:
            body |= {"has_more": more}
            body |= {"first_id": videos[0]["id"], "last_id": videos[-1]["id"]} if videos else {}
        return body

    def deleted(self, video: Body, *, running: bool) -> Body | None:
        """Return the answer to a deletion; None: no body."""
        match self._manner.delete:
            case "status":
                return video | {"status": "cancelling" if running else "deleted"}
            case "no_id":
                return {"deleted": True}
            case "no_body":
                return None
            case _:
                return {"id": video["id"], "object": "video.deleted", "deleted": True}

    def error(self, status: int, message: str, code: str) -> Body:
        """Return the body of a refusal."""
        kind = HTTPStatus(status).phrase
        envelope = {"message": message, "type": kind, "param": None, "code": status}
        bodies: dict[ErrorManner, Body] = {
            "openai": {"error": envelope | {"type": "invalid_request_error", "code": code}},
            "integer_code": {"error": envelope},
            "text_status": {"error": envelope | {"type": "invalid_request_error", "code": str(status)}},
            "detail": {"detail": message},
            "object": {"object": "error"} | envelope,
            "code_message_data": {"code": code, "message": message, "data": None},
            "flat": {"message": message, "type": kind, "code": status},
            "text": {"error": message},
        }
        return bodies[self._manner.error]

    def _job_error(self) -> Body:
        match self._manner.job_error:
            case "openai":
                return {"error": {"code": "generation_failed", "message": REASON}}
            case "integer_code":
                return {"error": {"code": 500, "message": REASON}}
            case "text":
                return {"error": REASON}
            case "fail_reason":
                return {"fail_reason": REASON}

    def _dates(self, job: Job) -> Body:
        instants = {"created_at": job.created, "completed_at": job.ended if job.end == "completed" else None}
        match self._manner.dates:
            case "seconds":
                return {name: None if at is None else int(at) for name, at in instants.items()}
            case "text":
                return {
                    name: None if at is None else datetime.fromtimestamp(at, UTC).isoformat()
                    for name, at in instants.items()
                }
            case "absent":
                return {}

    def _progress(self, job: Job, now: float) -> Body:
        percent = int(100 * self._share(job, now))
        match self._manner.progress:
            case "number":
                return {"progress": percent}
            case "percent":
                return {"progress": f"{percent}%"}
            case "absent":
                return {}

    def _share(self, job: Job, now: float) -> float:
        if job.end == "completed":
            return 1.0
        if job.started is None:
            return 0.0
        seconds = self._load.generation_seconds(job.steps)
        return min(0.99, ((job.ended or now) - job.started) / seconds) if seconds else 0.99

    def _addresses(self, job: Job, origin: str, elsewhere: str) -> Body:
        address = self._address(job, origin, elsewhere)
        match self._manner.content:
            case "url":
                return {"url": address}
            case "unsigned_urls":
                return {"unsigned_urls": [address]}
            case _:
                return {}

    def _address(self, job: Job, origin: str, elsewhere: str) -> str:
        if self._manner.files_elsewhere:
            return f"{elsewhere}/files/{job.id}.mp4"
        if self._manner.content == "unsigned_urls":
            return f"{origin}{self._manner.prefix}/videos/{job.id}/content?index=0"
        return f"{origin}/files/{job.id}.mp4"

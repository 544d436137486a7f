"""Reasons for which a request is refused, or a job or a provider call fails."""

from __future__ import annotations

from reelbench.service.domain.video import VideoError


class RequestError(Exception):
    """A request that the service refuses; `message` is one sentence for the client, `param` the wrong field."""

    def __init__(self, code: str, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param


class NotFoundError(RequestError):
    """An id that is unknown, deleted or malformed."""

    def __init__(self, video_id: str) -> None:
        super().__init__("video_not_found", f"No video with id '{video_id[:100]}' was found.", param="video_id")


class QueueFullError(RequestError):
    """The queue is full; a later attempt may succeed."""


class UnavailableError(RequestError):
    """The service accepts no jobs at present; a later attempt may succeed."""


class ShutdownError(UnavailableError):
    """The service is shutting down."""

    def __init__(self) -> None:
        super().__init__("service_shutdown", "The service is shutting down.")


class StorageError(UnavailableError):
    """The files of a new job cannot be stored; `reason` is that of the operating system."""

    def __init__(self, reason: str) -> None:
        super().__init__("storage_unavailable", f"The service cannot store files at present ({reason}).")


class JobError(Exception):
    """A permanent failure of a job, or of one of its scenes; the message is one sentence for the client."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def record(self) -> VideoError:
        """Return the error as the API shows it."""
        return VideoError(code=self.code, message=self.message)


class ProviderError(JobError):
    """A failed provider call.

    `error_type` is the value of the attribute ``error.type``. After a `transient` error another attempt may succeed,
    but not before `retry_after` seconds if the provider named a time.
    """

    def __init__(
        self, code: str, message: str, error_type: str, *, transient: bool, retry_after: float | None = None
    ) -> None:
        super().__init__(code, message)
        self.error_type = error_type
        self.transient = transient
        self.retry_after = retry_after

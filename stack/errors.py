"""The errors of the stack."""

from __future__ import annotations

from pathlib import Path


class StackError(Exception):
    """The stack, or a part of it, cannot be used; the message is one sentence that says how to fix it.

    Args:
        message: The sentence.
        logs: The log, or the folder of logs, that the message names.
    """

    def __init__(self, message: str, *, logs: Path | None = None) -> None:
        super().__init__(message)
        self.logs = logs


class PortTakenError(StackError):
    """A child process ended because another process had taken its port."""


class SettingError(StackError):
    """A setting in the file `.env`, or in the environment in its place, that cannot be used."""


class InUseError(StackError):
    """The metrics of a run are open in another process."""


class NotMetricsError(StackError):
    """An address that answers, but not with metrics: a wrong option, and no missing server."""

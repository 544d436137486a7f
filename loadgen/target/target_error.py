"""The error of a target."""

from __future__ import annotations


class TargetError(Exception):
    """The target is not there or does not speak the API; the message is one sentence with the cure."""

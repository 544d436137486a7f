"""The error of the stack."""

from __future__ import annotations


class StackError(Exception):
    """The stack, or a part of it, cannot be used; the message is one sentence with the cure."""

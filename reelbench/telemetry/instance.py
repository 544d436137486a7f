"""The identity of a process: one of several replicas answers with another one."""

from __future__ import annotations

import uuid
from typing import Final

INSTANCE: Final = str(uuid.uuid4())
"""``service.instance.id`` of this process, unless the environment names another."""

"""Modules of this program in processes of their own, however the program was started, and how many run at once."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def module_process(module: str) -> tuple[list[str], dict[str, str]]:
    """Return the command that runs a module, and its environment, in which it finds the same packages."""
    paths = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
    return [sys.executable, "-P", "-m", module], os.environ | {"PYTHONPATH": paths}


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

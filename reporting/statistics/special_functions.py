"""The functions of `scipy.special` that the statistics use, in an eighth of the import time of `scipy.stats`.

`scipy.special` imports all packages of `numpy`, also those that it does not use. These take longer to load than the
functions, so each is loaded at its first use.
"""

from __future__ import annotations

import importlib.util
import sys
from typing import Final

import numpy as np

_LATER: Final = ("f2py", "ma", "polynomial", "random", "testing")
"""Packages of `numpy` that the functions do not need."""


def _load_later(name: str) -> None:
    """Put a package of `numpy` in place that is loaded at its first use, by the recipe of `importlib`."""
    full = f"numpy.{name}"
    found = importlib.util.find_spec(full)
    if full in sys.modules or found is None or found.loader is None:
        return
    found.loader = importlib.util.LazyLoader(found.loader)
    module = importlib.util.module_from_spec(found)
    sys.modules[full] = module
    found.loader.exec_module(module)
    setattr(np, name, module)


for _name in _LATER:
    _load_later(_name)

from scipy.special import bdtr, bdtrc, betaincinv, ndtr, ndtri, stdtr, stdtrit  # noqa: E402 - see above

__all__ = ["bdtr", "bdtrc", "betaincinv", "ndtr", "ndtri", "stdtr", "stdtrit"]

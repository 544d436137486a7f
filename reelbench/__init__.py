"""Reelbench as an import package; in a checkout, each of its folders is a link to the top-level folder of that name."""

from pathlib import Path
from typing import Final

HOME: Final = Path(__file__).parent.parent
"""The directory that holds this package: the checkout, or site-packages."""
CHECKOUT: Final = HOME if (HOME / "pyproject.toml").is_file() else None
"""The checkout; None when Reelbench is installed."""

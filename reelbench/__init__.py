"""Reelbench as an import package: in a checkout, each entry is a link to the folder of that name beside this one."""

from pathlib import Path
from typing import Final

HOME: Final = Path(__file__).parent.parent
"""The directory in which ``python -m reelbench.service`` finds this package: the checkout, or site-packages."""

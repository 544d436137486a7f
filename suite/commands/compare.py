"""``reelbench compare NEW OLD``: the same as ``reelbench report NEW --compare OLD``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reelbench.reporting.catalogue.prices import PRICES_FILE
from reelbench.suite.commands import report
from reelbench.suite.commands.report import ALL_FORMATS, Charts, FailOn, Force, Formats, Kept, Prices, PrometheusUrl


def main(
    *,
    new: Annotated[Path, typer.Argument(help="Run, or folder of repetitions, to judge.")],
    old: Annotated[Path, typer.Argument(help="Run, or folder of repetitions, that is the baseline.")],
    prometheus: PrometheusUrl = None,
    kept: Kept = False,
    prices: Prices = PRICES_FILE,
    charts: Charts = True,
    formats: Formats = ALL_FORMATS,
    fail_on: FailOn = None,
    force: Force = False,
) -> None:
    """Write the reports of NEW again, and its comparison with OLD."""
    report.main(
        run=new,
        compare=old,
        prometheus=prometheus,
        kept=kept,
        prices=prices,
        charts=charts,
        formats=formats,
        fail_on=fail_on,
        force=force,
    )

"""Indicators of the user over the metric names of his server: the format of the catalogue, strictly read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from reelbench.reporting.catalogue.sli import Catalogue, ReportSection, Sli
from reelbench.reporting.catalogue.sli_file import CatalogueError, load

BORDERS = ("start", "end", "length")
"""Placeholders of the borders of a case or scenario: two Unix times, and the range between them."""


def load_user_slis(path: Path) -> Catalogue:
    """Read a file with indicators of the user.

    Raises:
        CatalogueError: with every error of the file, one a line.
    """
    known = {sli.id for sli in load().slis}
    try:
        found, errors = load(path, placeholders=BORDERS), []
    except CatalogueError as error:
        raise CatalogueError(*error.errors) from None
    if found.readings:
        errors.append("readings are those of the project; leave them out")
    for sli in found.slis:
        errors += (f"sli {sli.id}: {problem}" for problem in _problems(sli, known))
    if errors:
        raise CatalogueError(*(f"{path}: {error}" for error in errors))
    return found


def _problems(sli: Sli, known: set[str]) -> Iterator[str]:
    if sli.id in known:
        yield "the catalogue of the project has an indicator of this id; choose another"
    if sli.role is not None:
        yield "role is for the indicators of the project; leave it out"
    if sli.source == "records" or sli.function is not None:
        yield "source records is for the indicators of the project; write a query"
    if sli.samples is not None:
        yield "samples is for the indicators of the project; leave it out"
    if sli.section is not ReportSection.SERVER:
        yield f"section is {sli.section}; write server"
    if sli.scope == "run":
        yield "scope run is never judged; write case or scenario"


def with_user_slis(catalogue: Catalogue, found: Catalogue) -> Catalogue:
    """Return a catalogue with the indicators of the user after those of the project."""
    return Catalogue((*catalogue.slis, *found.slis), catalogue.readings)

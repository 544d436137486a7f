"""Every reader of outside bytes that is fuzzed: a new reader gets a line in one of these tables."""

from __future__ import annotations

from importlib import import_module

from tests.fuzz.reader import Reader

TABLES = {
    "tests.fuzz.http_readers": ("reelbench.loadgen", "reelbench.service"),
    "tests.fuzz.file_readers": ("reelbench.loadgen", "reelbench.reporting.catalogue", "reelbench.reporting.evidence"),
    "tests.fuzz.media_readers": (
        "reelbench.loadgen",
        "reelbench.service.pipeline",
        "reelbench.service.provider_client",
    ),
}
"""Modules with readers, and the packages whose branches Atheris follows."""


def readers_of(table: str) -> dict[str, Reader]:
    """Return the readers of one table by name; the others stay unimported."""
    return {reader.name: reader for reader in import_module(table).READERS}


def all_readers() -> dict[str, tuple[str, Reader]]:
    """Return every reader with its table, by name."""
    return {name: (table, reader) for table in TABLES for name, reader in readers_of(table).items()}

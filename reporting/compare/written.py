"""Writes a record with its report."""

from __future__ import annotations

from pathlib import Path

import msgspec

from reelbench.loadgen.record.run_files import write_atomically
from reelbench.reporting.document.report import Report
from reelbench.reporting.render import markdown


def write(folder: Path, data_file: str, record: msgspec.Struct, report: Report) -> Path:
    """Write a record as JSON and its report as Markdown, each atomically; gives the path of the report."""
    write_atomically(folder / data_file, msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")
    path = folder / f"{report.name}.md"
    write_atomically(path, markdown.render(report, charts=True).encode())
    return path

"""The text of a report with the appendix of its run."""

from __future__ import annotations

from pathlib import Path


def report_text(run_dir: Path, dimension: str) -> str:
    """The report of a dimension, and behind it the appendix: what a reader finds from the report on."""
    folder = run_dir / "reports"
    return f"{(folder / f'{dimension}_report.md').read_text()}\n{(folder / 'appendix.md').read_text()}"

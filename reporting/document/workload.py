"""The workload of a run in words: document, prompts, references and trace, with their checksums."""

from __future__ import annotations

import hashlib

from reelbench.loadgen.record.run import DocumentRecord, InputRecord, RunRecord, WorkloadRecord
from reelbench.reporting.document import text
from reelbench.reporting.document.text import literal

_BUILT_IN = {"document": "built in, around a document", "text_to_video": "built in, for text-to-video"}
_ORDER = {"file": "in file order", "drawn": "drawn by the seed"}
_LISTED = 3
"""References that are listed by name."""

Inputs = tuple[str, tuple[str, ...], str | None, str | None, float]


def inputs(run: RunRecord) -> Inputs:
    """Return what identifies the files of a workload: equal only in runs of the same files, in the same order."""
    load = run.workload or WorkloadRecord(builtin="document")
    return (
        run.document.sha256 if run.document is not None else "",
        tuple(file.sha256 for file in load.references),
        f"{load.prompts.sha256} {load.order}" if load.prompts is not None else None,
        load.arrivals.sha256 if load.arrivals is not None else None,
        load.speed,
    )


def rows(document: DocumentRecord | None, workload: WorkloadRecord | None) -> list[tuple[str, str]]:
    """Return a table of document, prompts, references and arrivals, as far as the run has them."""
    found = [("Document", _upload(document) if document is not None else "none: jobs send a prompt only")]
    if workload is None:
        return found
    prompts = _BUILT_IN[workload.builtin]
    if workload.prompts is not None:
        prompts = f"{_input(workload.prompts)}, {_ORDER[workload.order]}"
    found.append(("Prompts", prompts))
    if workload.references:
        found.append(("References", _references(workload.references)))
        if document is None:
            found[0] = ("Document", "none")
    if workload.arrivals is not None:
        found.append(("Arrivals", f"{_input(workload.arrivals)}, at {workload.speed:g} times the speed of the file"))
    return found


def file_names(run: RunRecord) -> str:
    """Return the names of the files of a workload, for a sentence."""
    load = run.workload
    parts = [run.document.name] if run.document is not None else []
    if load is not None:
        parts += [f"{load.prompts.name} {_ORDER[load.order]}"] if load.prompts is not None else []
        parts += [text.counted(len(load.references), "reference")] if load.references else []
        parts += [f"{load.arrivals.name} at speed {load.speed:g}"] if load.arrivals is not None else []
    return ", ".join(parts) or "built-in prompts"


def _upload(file: DocumentRecord) -> str:
    return f"{literal(file.name)}, {text.size(file.bytes)}, sha256 `{file.sha256}`"


def _input(file: InputRecord) -> str:
    return f"{literal(file.name)}, {text.counted(file.rows, 'row')}, sha256 `{file.sha256}`"


def _references(files: list[DocumentRecord]) -> str:
    if len(files) <= _LISTED:
        return "; ".join(map(_upload, files))
    digest = hashlib.sha256("".join(file.sha256 for file in files).encode()).hexdigest()
    return f"{len(files)} files, {text.size(sum(file.bytes for file in files))}, sha256 of their checksums `{digest}`"

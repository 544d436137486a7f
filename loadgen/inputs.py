"""The files that jobs are made of: document, prompts, images and videos, trace; checked together before a run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from reelbench.loadgen.document import SAMPLE, Document, DocumentError, read_document
from reelbench.loadgen.option_line import NO_DOCUMENT, Options
from reelbench.loadgen.plan.replay import MAX_SPEED
from reelbench.loadgen.plan.row_file import MAX_ERRORS, RowFile, RowFileError, read_rows
from reelbench.loadgen.plan.workload import DOCUMENT, ORDERS, Order, Workload, with_names
from reelbench.loadgen.record.run import DocumentRecord, WorkloadRecord
from reelbench.loadgen.references import MAX_ALL, MAX_FILES, BadReferenceError, read_reference
from reelbench.loadgen.target.target_file import TargetFile


@dataclass(frozen=True, slots=True)
class Inputs:
    """Checked files of one run."""

    document: Document | None
    """File of the jobs without a reference; None: such jobs upload nothing."""
    workload: Workload = DOCUMENT
    references: Mapping[str, Document] = field(default_factory=dict)
    """Images and videos by the name that planned jobs have for them."""
    notes: tuple[str, ...] = ()
    """What the user should know before the load, one sentence each."""

    def record(self) -> WorkloadRecord:
        """Return the description for ``run.json``."""
        named = (msgspec.structs.replace(file.record(), name=name) for name, file in self.references.items())
        return self.workload.record(tuple(named))

    def document_record(self) -> DocumentRecord | None:
        """Return the description of the document; None without one."""
        return self.document.record() if self.document is not None else None


def read_inputs(options: Options, server: TargetFile | None, errors: list[str]) -> Inputs:
    """Read the files that the options name; mistakes are added to `errors`.

    Without an option, jobs upload the sample paper where the server takes documents, and nothing elsewhere. The
    built-in prompts follow the document.
    """
    document = _document(options, server, errors)
    prompts = _rows("--prompts", options.prompts, errors, timed=False)
    arrivals = _rows("--arrivals", options.arrivals, errors, timed=True)
    order = _order(options, prompts, errors)
    _check_speed(options, errors)
    images = _Images(errors)
    listed = tuple(images.add("--image", path, path.name) for path in options.image)
    named = [images.named(option, file) for option, file in (("--prompts", prompts), ("--arrivals", arrivals))]
    _check_kinds(server, "--image", images.kept.values(), errors)
    workload = Workload(
        builtin="document" if document is not None else "text_to_video",
        prompts=named[0],
        order=order,
        images=tuple(name for name in listed if name is not None),
        arrivals=named[1],
        speed=options.speed,
    )
    notes = [document.note] if document is not None and document.note else []
    if prompts is not None and order == "file" and any(row.weight != 1 for row in prompts.rows):
        notes.append(f"the weights of {prompts.record.name} count with --prompt-order drawn only")
    return Inputs(document, workload, images.kept, tuple(notes))


def _document(options: Options, server: TargetFile | None, errors: list[str]) -> Document | None:
    path = options.document
    if path is None:
        taken = server is not None and server.create.reference_field and "document" in server.create.reference
        path = SAMPLE if taken and not options.image else NO_DOCUMENT
    if path == NO_DOCUMENT:
        return None
    if options.image:
        errors.append("--document: is given with --image, but a job uploads one file; give one of them")
        return None
    try:
        document = read_document(path)
    except DocumentError as error:
        errors.append(f"--document: {error}")
        return None
    _check_kinds(server, "--document", [document], errors)
    return document


def _rows(option: str, path: Path | None, errors: list[str], *, timed: bool) -> RowFile | None:
    if path is None:
        return None
    try:
        return read_rows(path, timed=timed)
    except RowFileError as error:
        errors += [f"{option}: {line}" for line in error.errors]
        return None


def _order(options: Options, prompts: RowFile | None, errors: list[str]) -> Order:
    order = next((known for known in ORDERS if known == options.prompt_order), None)
    if order is None:
        errors.append(f"--prompt-order: {options.prompt_order!r} is unknown; use {' or '.join(ORDERS)}")
    elif order != "file" and options.prompts is None:
        errors.append("--prompt-order: is given without --prompts; give a prompts file, too")
    elif order == "drawn" and prompts is not None and not any(row.weight > 0 for row in prompts.rows):
        errors.append(f"--prompts: {prompts.record.name}: all weights are 0; give one row a weight above 0")
    return order or "file"


def _check_speed(options: Options, errors: list[str]) -> None:
    if not math.isfinite(options.speed) or not 0 < options.speed <= MAX_SPEED:
        errors.append(f"--speed: is {options.speed:g}; use a number above 0 and up to {MAX_SPEED:,}")
    elif options.speed != 1 and options.arrivals is None:
        errors.append("--speed: is given without --arrivals; give a trace, too")


def _check_kinds(server: TargetFile | None, option: str, files: Iterable[Document], errors: list[str]) -> None:
    """Add an error for each kind of file that the target file excludes."""
    if server is None:
        return
    taken = server.create.reference if server.create.reference_field is not None else ()
    for kind in dict.fromkeys(file.kind for file in files):
        if kind not in taken:
            what = f"takes only {' and '.join(taken)}" if taken else "takes no file"
            errors.append(f"{option}: uploads a file of the kind {kind}, but the target {server.name} {what}")


class _Images:
    """Images and videos by name; each file is read once."""

    def __init__(self, errors: list[str]) -> None:
        self.kept: dict[str, Document] = {}
        self._errors = errors
        self._wrong = 0
        self._names: dict[Path, str | None] = {}
        self._bytes = 0

    def named(self, option: str, file: RowFile | None) -> RowFile | None:
        """Return a file of rows with the names of its references; None where one of them cannot be used."""
        if file is None:
            return None
        names: dict[str, str] = {}
        numbers = {row.image: row.number for row in reversed(file.rows) if row.image is not None}
        for image, number in sorted(numbers.items(), key=lambda item: item[1]):
            path = file.folder / image
            shown = image if path.is_relative_to(file.folder) and not Path(image).is_absolute() else path.name
            name = self.add(f"{option}: {file.record.name} row {number}: image", path, shown)
            if name is not None:
                names[image] = name
        return with_names(file, names) if len(names) == len(numbers) else None

    def add(self, option: str, path: Path, name: str) -> str | None:
        """Read a file and return its name in the plan; None where it cannot be used."""
        place = path.absolute()
        if place not in self._names:
            self._names[place] = self._read(option, path, name)
        return self._names[place]

    def _read(self, option: str, path: Path, name: str) -> str | None:
        if len(self._names) >= MAX_FILES or self._bytes > MAX_ALL:
            most = f"{MAX_FILES:,} files of {MAX_ALL // 2**20} MiB together"
            self._fail(f"--image: there are too many images and videos; use up to {most}")
            return None
        try:
            file = read_reference(path)
        except BadReferenceError as error:
            self._fail(f"{option}: {error}")
            return None
        self._bytes += len(file.data)
        name = name.encode(errors="replace").decode()
        if name in self.kept:
            self._fail(f"{option}: {name} is the name of two files; rename one")
            return None
        self.kept[name] = file
        return name

    def _fail(self, error: str) -> None:
        """Keep the first mistakes."""
        self._wrong += 1
        if self._wrong <= MAX_ERRORS and error not in self._errors:
            self._errors.append(error)

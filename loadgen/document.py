"""The document that jobs upload: a PDF or plain text, read and checked once before a run."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from reelbench.loadgen.record.run import DocumentRecord

SAMPLE = Path(__file__).parent / "documents" / "sample_paper.pdf"
MAX_BYTES = 20 * 1024 * 1024


class DocumentError(Exception):
    """A document that cannot be uploaded; the message is one sentence with the cure."""


@dataclass(frozen=True, slots=True)
class Document:
    """The bytes to upload and how to name them."""

    name: str
    media_type: str
    data: bytes

    def record(self) -> DocumentRecord:
        """Describe the document for the head of a run."""
        return DocumentRecord(name=self.name, sha256=hashlib.sha256(self.data).hexdigest(), bytes=len(self.data))


def read_document(path: Path) -> Document:
    """Read and check a document.

    Raises:
        DocumentError: the file is missing, unreadable, a directory, empty, over 20 MiB, or neither PDF nor UTF-8 text.
    """
    try:
        if path.is_dir():
            msg = f"document {path} is a directory; name a PDF or a text file"
            raise DocumentError(msg)
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        msg = f"document {path} cannot be read ({error.strerror}); name a readable PDF or text file"
        raise DocumentError(msg) from error
    if not data:
        msg = f"document {path} is empty; name a PDF or text file with content"
        raise DocumentError(msg)
    if len(data) > MAX_BYTES:
        msg = f"document {path} is larger than 20 MiB; use a smaller one"
        raise DocumentError(msg)
    name = os.fsencode(path.name).decode(errors="replace")  # a name may be any bytes, records and requests are UTF-8
    return Document(name=name, media_type=_media_type(path, data), data=data)


def _media_type(path: Path, data: bytes) -> str:
    if data.startswith(b"%PDF-"):
        return "application/pdf"
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        msg = f"document {path} is neither a PDF nor UTF-8 text; convert it to one of them"
        raise DocumentError(msg)
    return "text/plain"

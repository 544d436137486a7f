"""The document that jobs upload: a PDF or plain text, checked once before a run, and the form around it."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reelbench.loadgen.record.run import DocumentRecord

SAMPLE = Path(__file__).parent / "documents" / "sample_paper.pdf"
MAX_BYTES = 20 * 1024 * 1024
_ESCAPES: Final = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A"})
"""Escapes in file names, as in browsers (WHATWG HTML, multipart/form-data)."""


class DocumentError(Exception):
    """Invalid document; the message is one sentence with the cure."""


@dataclass(frozen=True, slots=True)
class Document:
    """Name, media type and bytes of the upload."""

    name: str
    media_type: str
    data: bytes

    def record(self) -> DocumentRecord:
        """Return the description for ``run.json``."""
        return DocumentRecord(name=self.name, sha256=hashlib.sha256(self.data).hexdigest(), bytes=len(self.data))


def read_document(path: Path) -> Document:
    """Read and check a document.

    Raises:
        DocumentError: the file is missing, unreadable, a directory, empty, over 20 MiB, or neither PDF nor UTF-8 text.
    """
    try:
        if path.is_dir():
            raise DocumentError(f"document {path} is a directory; name a PDF or a text file")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise DocumentError(
            f"document {path} cannot be read ({error.strerror}); name a readable PDF or text file"
        ) from error
    if not data:
        raise DocumentError(f"document {path} is empty; name a PDF or text file with content")
    if len(data) > MAX_BYTES:
        raise DocumentError(f"document {path} is larger than 20 MiB; use a smaller one")
    name = os.fsencode(path.name).decode(
        errors="replace"
    )  # a file name may be any bytes; records and requests are UTF-8
    return Document(name=name, media_type=_media_type(path, data), data=data)


def _media_type(path: Path, data: bytes) -> str:
    if data.startswith(b"%PDF-"):
        return "application/pdf"
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise DocumentError(f"document {path} is neither a PDF nor UTF-8 text; convert it to one of them")
    return "text/plain"


class Form:
    """Encoder of forms with one boundary of 128 random bits, which no document contains by chance."""

    def __init__(self) -> None:
        self._boundary = secrets.token_hex(16)
        self.media_type = f"multipart/form-data; boundary={self._boundary}"

    def encode(self, fields: Mapping[str, str], file_field: str, upload: Document | None) -> tuple[bytes, ...]:
        """Return the parts of a body: head, file and end; without a file: head and end."""
        lines = [
            f'--{self._boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in fields.items()
        ]
        if upload is None:
            return "".join(lines).encode(), f"--{self._boundary}--\r\n".encode()
        name = upload.name.translate(_ESCAPES)
        lines.append(
            f"--{self._boundary}\r\n"
            f'Content-Disposition: form-data; name="{file_field}"; filename="{name}"\r\n'
            f"Content-Type: {upload.media_type}\r\n\r\n"
        )
        return "".join(lines).encode(), upload.data, f"\r\n--{self._boundary}--\r\n".encode()

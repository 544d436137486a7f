"""The document that jobs upload: a PDF or plain text with content, checked before a run, and the form around it."""

from __future__ import annotations

import hashlib
import os
import secrets
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import msgspec

from reelbench.loadgen.record.run import DocumentRecord

SAMPLE = Path(__file__).parent / "documents" / "sample_paper.pdf"
MAX_BYTES = 20 * 1024 * 1024
PDF_SECONDS: Final = 60.0
"""Time for the inspection of a PDF."""
_PDF: Final = b"%PDF-"
_HEAD: Final = 1024
"""Bytes in which a PDF begins."""
_BEFORE_PDF: Final = b"\xef\xbb\xbf \t\r\n\f\0"
"""Bytes that may be before a PDF: a byte order mark and white space, as in service/pipeline/document.py."""
_PDF_TEXT: Final = Path(__file__).with_name("pdf_text.py")
_ESCAPES: Final = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A"})
"""Escapes in file names, as in browsers (WHATWG HTML, multipart/form-data)."""


class DocumentError(Exception):
    """Invalid document; the message is one sentence with the cure."""


@dataclass(frozen=True, slots=True)
class Document:
    """Name, media type and bytes of a file that jobs upload."""

    name: str
    media_type: str
    data: bytes
    note: str | None = None
    """What the user should know of it, one sentence."""

    @property
    def kind(self) -> Literal["document", "image", "video"]:
        """Kind of the file, in the words of a target file."""
        if self.media_type.startswith("video/"):
            return "video"
        return "image" if self.media_type.startswith("image/") else "document"

    def record(self) -> DocumentRecord:
        """Return the description for ``run.json``."""
        return DocumentRecord(name=self.name, sha256=hashlib.sha256(self.data).hexdigest(), bytes=len(self.data))


def read_document(path: Path) -> Document:
    """Read and check a document.

    Raises:
        DocumentError: the file is missing, unreadable, a directory, empty, over 20 MiB, or neither PDF nor UTF-8 text;
            a PDF that cannot be opened, or has no text; text without a letter or digit.
    """
    try:
        if path.is_dir():
            raise DocumentError(f"document {path} is a directory; name a PDF or a text file")
        if path.exists() and not path.is_file():  # it is read more than once, and a pipe without a writer never ends
            raise DocumentError(f"document {path} is no regular file; write it to a file first")
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
    media_type = _media_type(path, data)
    note = None
    if media_type == "application/pdf" and path != SAMPLE:
        note = _check_pdf(path, data)
    return Document(name=name, media_type=media_type, data=data, note=note)


def _media_type(path: Path, data: bytes) -> str:
    if data[:_HEAD].lstrip(_BEFORE_PDF).startswith(_PDF):
        return "application/pdf"
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text and _PDF in data[:_HEAD]:
        raise DocumentError(
            f"document {path} has other content before its PDF, such as a page of HTML; remove what is before '%PDF-'"
        )
    if "\0" in text:
        raise DocumentError(f"document {path} is neither a PDF nor UTF-8 text; convert it to one of them")
    if not any(character.isalnum() for character in text):
        raise DocumentError(f"document {path} has no text; name a PDF or text file with content")
    return "text/plain"


class _Pages(msgspec.Struct):
    """What the inspection of a PDF says."""

    problem: str | None = None
    pages: int = 0
    empty: int = 0
    """Pages without text."""


_PDF_PROBLEMS: Final = {
    "truncated": "is truncated: its end marker is missing; copy it again",
    "encrypted": "is encrypted; save it without a password",
    "damaged": "is damaged and cannot be opened; save it again",
}


def _check_pdf(path: Path, data: bytes) -> str | None:
    """Check that a PDF has text; return a sentence about pages without text, if there are some."""
    try:
        child = subprocess.run(  # -P: the folder of the script must not shadow modules of the standard library
            [sys.executable, "-P", str(_PDF_TEXT)], input=data, capture_output=True, timeout=PDF_SECONDS, check=True
        )
        found = msgspec.json.decode(child.stdout, type=_Pages)
    except subprocess.TimeoutExpired as error:
        raise DocumentError(
            f"document {path} could not be read within {PDF_SECONDS:g} s; save it again, or use another one"
        ) from error
    except (subprocess.CalledProcessError, msgspec.MsgspecError) as error:
        raise DocumentError(f"document {path} {_PDF_PROBLEMS['damaged']}") from error
    if found.problem is not None:
        raise DocumentError(f"document {path} {_PDF_PROBLEMS.get(found.problem, _PDF_PROBLEMS['damaged'])}")
    if found.pages == 0:
        raise DocumentError(f"document {path} has no pages; name a PDF with text")
    if found.empty == found.pages:
        pages = "its page has" if found.pages == 1 else f"its {found.pages} pages have"
        raise DocumentError(
            f"document {path} has no text: {pages} pictures only, as in a scan; add the text by OCR, or name another "
            "one"
        )
    if found.empty:
        return f"{found.empty} of {found.pages} pages of document {path.name} have no text, as in a scan"
    return None


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

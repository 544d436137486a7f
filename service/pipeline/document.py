"""Type and text of an uploaded document.

Only worker processes import this module: PDFium may crash, hang or take all memory on a hostile document, and it is not
thread-safe.
"""

from __future__ import annotations

from pathlib import Path

import pypdfium2
from pypdfium2 import raw

from reelbench.service.pipeline.tasks import DocumentError, Text

_HEADER_WINDOW = 1024
"""Bytes within which "%PDF-" must start and "%%EOF" must end a file; common readers allow the same."""

_BEFORE_PDF = b"\xef\xbb\xbf \t\r\n\f\0"
"""Bytes that may be before a PDF: a byte order mark and white space. The same rules hold in loadgen/document.py."""


def inspect(path: Path, media_type: str) -> bool:
    """Check a document before its job is accepted: True for a PDF, False for plain text.

    `media_type` is the type that the client declared. Raises DocumentError for other types, and for PDFs that are
    truncated, encrypted, damaged or without pages.
    """
    with path.open("rb") as file:
        head = file.read(_HEADER_WINDOW)
        size = file.seek(0, 2)
        file.seek(max(0, size - _HEADER_WINDOW))
        tail = file.read()
    if not head:
        raise DocumentError("empty_document", "The uploaded document is empty.")
    text = media_type.partition(";")[0].strip().lower() == "text/plain"
    if head.lstrip(_BEFORE_PDF).startswith(b"%PDF-"):
        if b"%%EOF" not in tail:
            raise DocumentError("invalid_document", "The uploaded PDF is truncated: its end marker is missing.")
        with _Pdf(path):
            return True
    if text:
        _decode(path)
        return False
    if b"%PDF-" in head:
        raise DocumentError(
            "invalid_document", "The uploaded PDF has other content before its '%PDF-', such as a page of HTML."
        )
    raise DocumentError(
        "unsupported_document", "The uploaded document is not a PDF, text/plain, PNG, JPEG, WebP or MP4."
    )


def read(path: Path, *, is_pdf: bool, max_pages: int, max_characters: int) -> Text:
    """Return the text of a document that `inspect` has accepted, up to the limits; raises DocumentError."""
    if not is_pdf:
        return Text(_decode(path)[:max_characters], None)
    parts: list[str] = []
    left = max_characters
    with _Pdf(path) as document:
        pages = len(document)
        for index in range(min(pages, max_pages)):
            part = _page(document, index, left)
            parts.append(part)
            left -= len(part)
            if left <= 0:
                break
    # Lone surrogates come from broken font tables and cannot be sent to a provider.
    text = "\n".join(parts)[:max_characters].encode("utf-8", "replace").decode().replace("\0", "")
    return Text(text, pages)


class _Pdf:
    """An open PDF with at least one page, closed on exit."""

    def __init__(self, path: Path) -> None:
        try:
            self._document = pypdfium2.PdfDocument(path)
        except pypdfium2.PdfiumError as error:
            # PDFium may report the error of an earlier document, so the file is checked for encryption too.
            if getattr(error, "err_code", None) == raw.FPDF_ERR_PASSWORD and b"/Encrypt" in path.read_bytes():
                raise DocumentError(
                    "encrypted_document", "The uploaded PDF is encrypted; upload it without a password."
                ) from error
            raise DocumentError("invalid_document", "The uploaded PDF is damaged and cannot be opened.") from error
        if len(self._document) == 0:
            self._document.close()
            raise DocumentError("invalid_document", "The uploaded PDF has no pages.")

    def __enter__(self) -> pypdfium2.PdfDocument:
        return self._document

    def __exit__(self, *_: object) -> None:
        self._document.close()


def _page(document: pypdfium2.PdfDocument, index: int, characters: int) -> str:
    """Return the text of one page, "" for a damaged page, because the other pages may be good."""
    try:
        page = document[index]
    except pypdfium2.PdfiumError:
        return ""
    try:
        text_page = page.get_textpage()
        try:
            count = min(text_page.count_chars(), characters)
            return str(text_page.get_text_range(0, count)) if count > 0 else ""
        finally:
            text_page.close()
    except pypdfium2.PdfiumError:
        return ""
    finally:
        page.close()


def _decode(path: Path) -> str:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DocumentError("invalid_document", "The uploaded text is not UTF-8.") from error
    if "\0" in text or not text.strip():
        raise DocumentError("invalid_document", "The uploaded text is blank or holds binary data.")
    return text

"""Says as JSON on standard output what a PDF on standard input is: run as a process of its own by `document`.

PDFium may crash, hang or take all memory on a hostile file; the limits of this process hold then.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys
from typing import Any, Final

import pypdfium2
from pypdfium2 import raw

MOST_PAGES: Final = 1_000
"""Pages whose text is looked for; further ones count as pages with text."""
CPU_SECONDS: Final = 30
MEMORY_BYTES: Final = 2 * 1024**3
_END_WINDOW: Final = 1024
"""Bytes within which the end marker must be; common readers allow the same."""


def inspect(data: bytes) -> dict[str, Any]:
    """Return ``problem``, or ``pages`` and ``empty``: the number of pages, and of those without text."""
    if b"%%EOF" not in data[-_END_WINDOW:]:
        return {"problem": "truncated"}
    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        locked = getattr(error, "err_code", None) == raw.FPDF_ERR_PASSWORD and b"/Encrypt" in data
        return {"problem": "encrypted" if locked else "damaged"}
    try:
        pages = len(document)
        empty = sum(not _has_text(document, index) for index in range(min(pages, MOST_PAGES)))
    finally:
        document.close()
    return {"pages": pages, "empty": empty}


def _has_text(document: pypdfium2.PdfDocument, index: int) -> bool:
    try:
        page = document[index]
        return re.search(r"\w", page.get_textpage().get_text_bounded()) is not None
    except pypdfium2.PdfiumError:  # a damaged page
        return False


def _limit() -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):  # not on every system
        import resource  # noqa: PLC0415

        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


if __name__ == "__main__":
    _limit()
    sys.stdout.write(json.dumps(inspect(sys.stdin.buffer.read())))

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import pypdfium2
import pytest
from PIL import Image

from reelbench.loadgen import document as documents
from reelbench.loadgen.document import SAMPLE, DocumentError, read_document
from reelbench.loadgen.documents.build_sample_paper import SOURCE, build

PAPER = SAMPLE.read_bytes()


def scan() -> bytes:
    """A page that is a picture, as a scanner makes it."""
    page = io.BytesIO()
    Image.new("RGB", (200, 300), "white").save(page, "PDF")
    return page.getvalue()


def joined(*files: bytes) -> bytes:
    whole = pypdfium2.PdfDocument.new()
    for data in files:
        with pypdfium2.PdfDocument(data) as part:
            whole.import_pages(part)
    target = io.BytesIO()
    whole.save(target)
    return target.getvalue()


def encrypted() -> bytes:
    """The paper with a dictionary of encryption that no empty password opens."""
    key = b"<" + b"ab" * 32 + b">"
    entry = b"<</Filter/Standard/V 1/R 2/P -4/Length 40/O " + key + b"/U " + key + b">>"
    identity = b"/ID[<" + b"00" * 16 + b"><" + b"00" * 16 + b">]"
    return PAPER.replace(b"trailer\n<<", b"trailer\n<< /Encrypt " + entry + identity, 1)


@pytest.mark.extended
@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: PAPER[: len(PAPER) // 2], "is truncated: its end marker is missing; copy it again"),
        (encrypted, "is encrypted; save it without a password"),
        (lambda: b"%PDF-1.7\n" + b"\0\xff" * 500 + b"\n%%EOF", "is damaged and cannot be opened; save it again"),
        (
            scan,
            "has no text: its page has pictures only, as in a scan; add the text by OCR, or name another one",
        ),
        (
            lambda: joined(scan(), scan()),
            "has no text: its 2 pages have pictures only, as in a scan; add the text by OCR, or name another one",
        ),
    ],
)
def test_a_pdf_that_cannot_be_read_is_refused_before_the_run(
    tmp_path: Path, make: Callable[[], bytes], expected: str
) -> None:
    path = tmp_path / "paper.pdf"
    path.write_bytes(make())
    with pytest.raises(DocumentError, match=f"^document .*paper.pdf {re.escape(expected)}$"):
        read_document(path)


@pytest.mark.extended
def test_pages_without_text_are_said_and_the_others_are_enough(tmp_path: Path) -> None:
    path = tmp_path / "paper.pdf"
    path.write_bytes(joined(build(SOURCE.read_text("utf-8")), scan()))
    found = read_document(path)
    pages = len(pypdfium2.PdfDocument(path.read_bytes()))
    assert found.note == f"1 of {pages} pages of document paper.pdf have no text, as in a scan"
    path.write_bytes(PAPER)
    assert read_document(path).note is None


def test_text_without_a_letter_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(" \n\t--\n")
    with pytest.raises(DocumentError, match=r"a\.txt has no text; name a PDF or text file with content$"):
        read_document(tmp_path / "a.txt")


def test_a_pdf_that_keeps_the_reader_busy_or_kills_it_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "paper.pdf"
    path.write_bytes(PAPER)
    reader = tmp_path / "reader.py"
    monkeypatch.setattr(documents, "_PDF_TEXT", reader)
    reader.write_text("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(DocumentError, match="is damaged and cannot be opened"):
        read_document(path)
    reader.write_text("import time; time.sleep(60)")
    monkeypatch.setattr(documents, "PDF_SECONDS", 0.5)
    with pytest.raises(DocumentError, match=r"could not be read within 0\.5 s; save it again, or use another one$"):
        read_document(path)

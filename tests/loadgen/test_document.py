from __future__ import annotations

import hashlib
import os
from collections import Counter
from pathlib import Path

import msgspec
import pypdfium2
import pytest

from reelbench.loadgen.document import MAX_BYTES, SAMPLE, DocumentError, read_document
from reelbench.loadgen.documents.build_sample_paper import SOURCE, build


def text_of(pdf: bytes) -> list[str]:
    with pypdfium2.PdfDocument(pdf) as paper:
        return [page.get_textpage().get_text_range() for page in paper]


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("empty.pdf", b"", "is empty; name a PDF or text file with content"),
        ("image.png", b"\x89PNG\r\n", "is neither a PDF nor UTF-8 text; convert it to one of them"),
        ("null.txt", b"a\0b", "is neither a PDF nor UTF-8 text; convert it to one of them"),
        ("big.txt", b"x" * (MAX_BYTES + 1), "is larger than 20 MiB; use a smaller one"),
        ("absent.pdf", None, r"cannot be read \(No such file or directory\); name a readable PDF or text file"),
    ],
)
def test_a_document_that_cannot_be_uploaded_is_one_sentence(
    tmp_path: Path, name: str, data: bytes | None, expected: str
) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(DocumentError, match=f"^document .*{name} {expected}$"):
        read_document(tmp_path / name)


def test_a_directory_is_not_a_document(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="is a directory; name a PDF or a text file"):
        read_document(tmp_path)


def test_text_and_pdf_have_their_media_types(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes("Grüße".encode())
    assert read_document(tmp_path / "a").media_type == "text/plain"


def test_an_undecodable_file_name_is_text_in_the_records(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"paper\xff.txt")
    path.write_text("hello")
    assert b'"name":"paper\xef\xbf\xbd.txt"' in msgspec.json.encode(read_document(path).record())
    sample = read_document(SAMPLE)
    assert (sample.name, sample.media_type) == ("sample_paper.pdf", "application/pdf")
    assert sample.record().sha256 == hashlib.sha256(SAMPLE.read_bytes()).hexdigest()
    assert sample.record().bytes == SAMPLE.stat().st_size


def test_the_sample_paper_has_real_text() -> None:
    pages = text_of(SAMPLE.read_bytes())
    words = " ".join(pages).split()
    assert len(pages) == 6
    assert 2500 <= len(words) <= 3000
    assert " ".join(words[1:9]) == "Measuring Text-to-Video Pipelines Through Their Own Telemetry A"
    assert "Little's law ties the three observable quantities together" in " ".join(words)
    assert 10_000 <= SAMPLE.stat().st_size <= 20_000
    assert SAMPLE.read_bytes().count(b"/FontFile") == 0


def test_the_sample_paper_matches_its_source() -> None:
    marks = {"#", "##", "###", "@", "$", "*", "!caption", "!figure", "|"}
    source = Counter(word for word in SOURCE.read_text(encoding="utf-8").split() if word not in marks)
    built = Counter(" ".join(text_of(SAMPLE.read_bytes())).split())
    assert source - built == Counter()


def test_the_same_source_gives_the_same_bytes() -> None:
    source = (
        "# A Title\n@ A note.\n## 1. Part\nSome words of text.\n$ N = X R\na | b\n1 | 2\n!caption Table.\n* [1] None.\n"
    )
    assert build(source) == build(source)
    assert b"/CreationDate" not in build(source)
    assert "".join(text_of(build(source))).split()[:4] == ["1", "A", "Title", "A"]

"""Reading of documents, including hostile ones."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reelbench.service.pipeline import document
from reelbench.service.pipeline.tasks import DocumentError, Text


def read(path: Any, *, pages: Any = 100, characters: Any = 24_000, is_pdf: Any = True) -> Any:
    return document.read(path, is_pdf=is_pdf, max_pages=pages, max_characters=characters)


@pytest.fixture
def paper(tmp_path: Path, files: Any) -> Any:
    path = tmp_path / "document"
    path.write_bytes(files.pdf(pages=3))
    return path


def test_text_of_all_pages_in_order(paper: Any) -> None:
    assert document.inspect(paper, "application/pdf")
    found = read(paper)
    assert (found.pages, found.text) == (3, "Page 1 about queues\nPage 2 about queues\nPage 3 about queues")


def test_pages_and_characters_are_bounded(paper: Any) -> None:
    assert read(paper, pages=1).text == "Page 1 about queues"
    bounded = read(paper, characters=25)
    assert (bounded.text, bounded.pages) == ("Page 1 about queues\nPage ", 3)


def test_plain_text_may_have_a_byte_order_mark_and_parameters(tmp_path: Path) -> None:
    path = tmp_path / "document"
    path.write_bytes("\ufeffÜber Warteschlangen".encode())
    assert not document.inspect(path, "Text/Plain; charset=utf-8")
    assert read(path, is_pdf=False, characters=4) == Text("Über", None)


def test_a_damaged_pdf_after_an_encrypted_one_is_reported_as_damaged(tmp_path: Path, files: Any) -> None:
    path = tmp_path / "document"
    codes = []
    for content in (files.encrypted_pdf(), files.pdf(pages=0), b"%PDF-1.4 %%EOF"):
        path.write_bytes(content)
        with pytest.raises(DocumentError) as error:
            document.inspect(path, "application/pdf")
        codes.append(error.value.code)
    assert codes == ["encrypted_document", "invalid_document", "invalid_document"]


def test_page_whose_stream_is_broken_leaves_the_others_readable(tmp_path: Path, files: Any) -> None:
    path = tmp_path / "document"
    path.write_bytes(files.pdf(pages=2).replace(b"(Page 1 about queues) Tj", b"(((((((((((((((((((( Tj"))
    assert "Page 2 about queues" in read(path).text


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_mutated_pdf_causes_at_most_a_document_error(tmp_path: Path, files: Any, data: st.DataObject) -> None:
    content = bytearray(files.pdf())
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    path = tmp_path / "document"
    path.write_bytes(content)
    with suppress(DocumentError):
        document.inspect(path, "application/pdf")
        assert len(read(path).text) <= 24_000


def test_a_stream_that_inflates_a_thousandfold_is_read_within_bounds(tmp_path: Path, files: Any) -> None:
    text = b"BT /F1 24 Tf 40 100 Td " + b"(queues ) Tj " * 50_000 + b"ET"
    bomb = files.page_of(text)
    path = tmp_path / "document"
    path.write_bytes(bomb)
    assert len(bomb) < 4_000
    assert len(read(path).text) <= 24_000

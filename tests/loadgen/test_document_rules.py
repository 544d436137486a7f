"""The load generator and the service accept and refuse the same documents."""

from __future__ import annotations

from pathlib import Path

import pytest

from reelbench.loadgen.document import DocumentError, read_document
from reelbench.service.pipeline import document as service
from reelbench.service.pipeline.tasks import DocumentError as ServiceError
from tests.data_helper import encrypted_pdf, pdf

HTML = b"<html><body>Moved</body></html>\n"
DOCUMENTS: dict[str, tuple[bytes, str | None]] = {
    "plain": (pdf(), None),
    "newline": (b"\r\n" + pdf(), None),
    "mark": (b"\xef\xbb\xbf" + pdf(), None),
    "page of HTML": (HTML + b"\0" + pdf(), "other content before"),
    "encrypted": (encrypted_pdf(), "encrypted"),
    "truncated": (pdf()[:-40], "truncated"),
    "empty": (b"", "empty"),
    "bytes": (b"\x00\x01\x02", "a PDF"),
}


@pytest.mark.extended
@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_rules_are_the_same_before_the_run_and_in_the_service(name: str, tmp_path: Path) -> None:
    data, reason = DOCUMENTS[name]
    path = tmp_path / "document.pdf"
    path.write_bytes(data)
    if reason is None:
        assert read_document(path).media_type == "application/pdf"
        assert service.inspect(path, "application/pdf")
        return
    with pytest.raises(DocumentError, match=reason):
        read_document(path)
    with pytest.raises(ServiceError) as found:
        service.inspect(path, "application/pdf")
    assert reason in found.value.message


def test_a_text_about_pdf_is_a_text(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("A file that begins with %PDF-1.7 is a PDF.")
    assert read_document(path).media_type == "text/plain"
    assert not service.inspect(path, "text/plain")

"""Builders of test data - documents, jobs, fault plans - and what they must hold."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest

from reelbench.loadgen.record.jobs import JobRecord, Outcome, read_jobs
from reelbench.loadgen.record.run_files import to_line
from reelbench.service.faults.plan import Plan, Rule, read
from reelbench.service.pipeline import document
from reelbench.service.pipeline.tasks import DocumentError
from reelbench.service.store.faults import OFFER


def job(index: int = 0, *, due: float = 10.0, seconds: float = 0.5, **changes: Any) -> JobRecord:
    """The record of a completed job of `seconds` response time; any field can be another."""
    record = JobRecord(
        scenario="trial",
        case="n01",
        index=index,
        warmup=False,
        due=due,
        sent=due + 0.001,
        accepted=due + 0.011,
        done=due + seconds,
        outcome=Outcome.COMPLETED,
        job_id=f"video_{index}",
        trace_id=f"{index:032x}",
        bytes=5000,
        deleted=False,
        integrity=None,
        error=None,
    )
    return msgspec.structs.replace(record, **changes)


def fault_plan(*rules: dict[str, object], seed: int = 1, **more: object) -> dict[str, object]:
    """A fault plan as ``PUT /faults`` takes it."""
    return {"seed": seed, "rules": list(rules), **more}


def pdf(pages: int = 2, extra: str = "") -> bytes:
    """A minimal PDF; page N reads "Page N about queues"."""
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(pages))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Count {pages} /Kids [{kids}] >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    font = "/Resources << /Font << /F1 3 0 R >> >>"
    for number in range(pages):
        text = f"BT /F1 24 Tf 40 100 Td (Page {number + 1} about queues) Tj ET"
        objects += [
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 400 200] /Contents {5 + 2 * number} 0 R {font} >>",
            f"<< /Length {len(text)} >>\nstream\n{text}\nendstream",
        ]
    body = "%PDF-1.4\n"
    offsets = []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(body))
        body += f"{number} 0 obj\n{content}\nendobj\n"
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    size = len(objects) + 1
    return (
        f"{body}xref\n0 {size}\n0000000000 65535 f \n{table}"
        f"trailer\n<< /Size {size} /Root 1 0 R {extra} >>\nstartxref\n{len(body)}\n%%EOF\n"
    ).encode()


def page_of(content: bytes) -> bytes:
    """A PDF of one page with the packed content stream `content`."""
    packed = zlib.compress(content, 9)
    plain = pdf(pages=1)
    start, stop = plain.index(b"<< /Length"), plain.index(b"endstream")
    head = b"<< /Filter /FlateDecode /Length %d >>\nstream\n" % len(packed)
    return plain[:start] + head + packed + b"\n" + plain[stop:]


def encrypted_pdf() -> bytes:
    key = "41" * 32
    return pdf(extra=f"/Encrypt << /Filter /Standard /V 1 /R 2 /O <{key}> /U <{key}> /P -4 >> /ID [<{key}> <{key}>]")


def test_a_job_is_what_it_is_told_and_can_be_read_again(tmp_path: Path) -> None:
    made = [job(), job(1, due=20.0, seconds=1.5, outcome=Outcome.FAILED, error="refused")]
    assert [record.done - record.due for record in made] == [0.5, 1.5]
    (tmp_path / "jobs.jsonl").write_bytes(b"".join(to_line(record) for record in made))
    assert read_jobs(tmp_path) == made


def test_a_fault_plan_is_one_that_the_service_takes() -> None:
    rule = {"provider": "store", "kind": "error", "rate": 0.3}
    body = orjson.dumps(fault_plan(rule, seed=7))
    assert read(body, OFFER) == Plan(seed=7, rules=(Rule(provider="store", kind="error", rate=0.3),))


def test_a_pdf_has_its_pages_and_an_encrypted_one_is_known_as_such(tmp_path: Path) -> None:
    path = tmp_path / "paper.pdf"
    path.write_bytes(pdf(pages=3))
    found = document.read(path, is_pdf=True, max_pages=10, max_characters=1000)
    assert (found.text, found.pages) == ("Page 1 about queues\nPage 2 about queues\nPage 3 about queues", 3)
    path.write_bytes(encrypted_pdf())
    with pytest.raises(DocumentError, match="encrypted"):
        document.inspect(path, "application/pdf")


def test_a_page_shows_its_content_stream(tmp_path: Path) -> None:
    path = tmp_path / "page.pdf"
    path.write_bytes(page_of(b"BT /F1 24 Tf 40 100 Td (Queues) Tj ET"))
    assert document.read(path, is_pdf=True, max_pages=1, max_characters=100).text == "Queues"

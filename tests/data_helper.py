"""Builders of test data: documents, jobs, fault plans."""

from __future__ import annotations

import zlib
from typing import Any

import msgspec

from reelbench.loadgen.record.jobs import JobRecord, Outcome


def job(index: int = 0, *, due: float = 10.0, seconds: float = 0.5, **changes: Any) -> JobRecord:
    """The record of a completed job with a response time of `seconds`; any field can be overridden."""
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
    """A fault plan in the format of ``PUT /faults``."""
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
    """A PDF of one page with the compressed content stream `content`."""
    packed = zlib.compress(content, 9)
    plain = pdf(pages=1)
    start, stop = plain.index(b"<< /Length"), plain.index(b"endstream")
    head = b"<< /Filter /FlateDecode /Length %d >>\nstream\n" % len(packed)
    return plain[:start] + head + packed + b"\n" + plain[stop:]


def encrypted_pdf() -> bytes:
    key = "41" * 32
    return pdf(extra=f"/Encrypt << /Filter /Standard /V 1 /R 2 /O <{key}> /U <{key}> /P -4 >> /ID [<{key}> <{key}>]")

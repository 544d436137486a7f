from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from reelbench.loadgen.record.run_files import RecordError
from reelbench.loadgen.record.stack import ComponentRecord, PrometheusRecord, StackRecord, read_stack, write_stack

RECORD = StackRecord(
    kind="embedded",
    components=(ComponentRecord(name="service", url="http://127.0.0.1:20000", version="0.1.0"),),
    prometheus=PrometheusRecord(
        url="http://127.0.0.1:20001", version="2.42.0", data_dir="prometheus", scrape_interval=1.0
    ),
    settled_at=1795376305.25,
    settled=True,
)


def test_written_records_are_read_back(tmp_path: Path) -> None:
    assert read_stack(tmp_path / "run") is None
    write_stack(tmp_path / "run", RECORD)
    assert read_stack(tmp_path / "run") == RECORD
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["stack.json"]


def test_an_unreadable_record_is_one_sentence(tmp_path: Path) -> None:
    for content, complaint in (
        (b"", "is damaged or cut off"),
        (b'{"schema_version":1,"kind":', "is damaged or cut off"),
        (b'{"schema_version":1}', "is damaged or cut off .*kind"),
        (b"\xff\xfe", "is damaged or cut off"),
        (b'{"schema_version":2,"other":1}', "has schema version 2, this Reelbench reads version 1; use the Reelbench"),
    ):
        (tmp_path / "stack.json").write_bytes(content)
        with pytest.raises(RecordError, match=complaint):
            read_stack(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(RecordError, match=r"cannot read .*stack\.json \(Not a directory\)"):
        read_stack(tmp_path / "file")


@pytest.mark.parametrize(
    ("kind", "version", "expected"),
    [
        ("embedded", "0.1.0", True),
        ("embedded", None, False),  # a foreign target is not scraped
        ("external", None, True),  # the version of the compose stack is not known
    ],
)
def test_components_whose_telemetry_is_required(
    tmp_path: Path, kind: str, version: str | None, *, expected: bool
) -> None:
    components = [{"name": "service", "url": "http://127.0.0.1:1", "version": version}]
    record = {"schema_version": 1, "kind": kind, "components": components, "a_later_field": 1}
    (tmp_path / "stack.json").write_bytes(msgspec.json.encode(record))
    stack = read_stack(tmp_path)
    assert stack is not None
    assert stack.has_service is expected

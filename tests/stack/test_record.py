from __future__ import annotations

from pathlib import Path

import pytest

from reelbench.stack.errors import StackError
from reelbench.stack.record import ComponentRecord, PrometheusRecord, StackRecord, read_stack, write_stack

RECORD = StackRecord(
    schema_version=1,
    kind="embedded",
    components=[ComponentRecord(name="service", url="http://127.0.0.1:20000", version="0.1.0")],
    prometheus=PrometheusRecord(
        url="http://127.0.0.1:20001", version="2.42.0", data_dir="prometheus", scrape_interval=1.0
    ),
    settled_at=1795376305.25,
    settled=True,
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_stack(tmp_path / "run", RECORD)
    assert read_stack(tmp_path / "run") == RECORD
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["stack.json"]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "Cannot read .*stack.json \\(No such file"),
        (b"", "is damaged"),
        (b'{"schema_version":1,"kind":', "is damaged"),
        (b'{"schema_version":1,"kind":"embedded"}', "is damaged .*components"),
        (b"\xff\xfe", "is damaged"),
        (b'{"schema_version":2,"other":1}', "has schema version 2, this Reelbench reads version 1"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(tmp_path: Path, content: bytes | None, complaint: str) -> None:
    if content is not None:
        (tmp_path / "stack.json").write_bytes(content)
    with pytest.raises(StackError, match=complaint):
        read_stack(tmp_path)


def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file")
    with pytest.raises(StackError, match=r"Cannot write .*stack\.json"):
        write_stack(tmp_path / "run", RECORD)

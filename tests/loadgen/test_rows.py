from __future__ import annotations

import csv
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reelbench.loadgen.plan import row_file
from reelbench.loadgen.plan.prompts import TEXT_TO_VIDEO, text_to_video
from reelbench.loadgen.plan.row import MAX_PROMPT, Ask, Row
from reelbench.loadgen.plan.row_file import MAX_ERRORS, MAX_LINE, RowFileError, read_rows

WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40).filter(str.strip)


def write(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def mistakes(path: Path, *, timed: bool = False) -> list[str]:
    with pytest.raises(RowFileError) as caught:
        read_rows(path, timed=timed)
    assert all("\n" not in line for line in caught.value.errors)
    return [line.removeprefix(path.name) for line in caught.value.errors]


def test_a_text_file_has_a_prompt_a_line_numbered_as_an_editor_does(tmp_path: Path) -> None:
    path = write(tmp_path, "p.txt", b"\xef\xbb\xbfA red kite\r\n\r\n  A boat, at sea \r\n")
    found = read_rows(path, timed=False)
    assert [(row.number, row.prompt) for row in found.rows] == [(1, "A red kite"), (3, "A boat, at sea")]
    assert (found.record.rows, found.record.bytes) == (2, path.stat().st_size)
    assert found.record.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert found.record.name == "p.txt"


def test_a_row_of_jsonl_has_all_wishes(tmp_path: Path) -> None:
    row = {
        "text": "A kite", "size": "1280x720", "seconds": "5", "frames": 81, "fps": 16, "steps": 20, "seed": 42,
        "guidance_scale": 3.5, "negative_prompt": "blur", "image": "a.png", "weight": 2, "quality": "high",
        "extra": {"flow_shift": 3, "loop": True}, "extra.sampler": "euler",
    }  # fmt: skip
    (found,) = read_rows(write(tmp_path, "p.jsonl", json.dumps(row)), timed=False).rows
    ask = Ask(
        num_frames=81, fps=16.0, num_inference_steps=20, seed=42, guidance_scale=3.5, negative_prompt="blur",
        quality="high", extra={"flow_shift": 3, "loop": True, "sampler": "euler"},
    )  # fmt: skip
    expected = Row(number=1, prompt="A kite", size="1280x720", seconds="5", image="a.png", weight=2.0, ask=ask)
    assert found == expected


def test_a_row_of_csv_means_the_same_as_one_of_jsonl(tmp_path: Path) -> None:
    text = (
        "\ufeffprompt,seconds,num_frames,extra.flow_shift,extra.loop,extra.sampler,extra\r\n"
        '"A kite, ""high""",2.50,81,3.5,true,euler,"{""a"": 1}"\r\n'
        '"two\nlines",,,,,,\r\n'
    )
    first, second = read_rows(write(tmp_path, "p.CSV", text), timed=False).rows
    assert (first.prompt, first.seconds) == ('A kite, "high"', "2.5")
    assert first.ask == Ask(num_frames=81, extra={"flow_shift": 3.5, "loop": True, "sampler": "euler", "a": 1})
    assert (second.number, second.prompt, second.ask) == (3, "two\nlines", None)


@pytest.mark.parametrize(("given", "sent"), [(4, "4"), (4.0, "4"), ("12", "12"), (5.0625, "5.0625"), ("0.5", "0.5")])
def test_a_length_is_text_without_needless_digits(tmp_path: Path, given: Any, sent: str) -> None:
    (row,) = read_rows(write(tmp_path, "p.jsonl", json.dumps({"seconds": given})), timed=False).rows
    assert row.seconds == sent


def test_dates_and_seconds_of_a_trace(tmp_path: Path) -> None:
    path = write(tmp_path, "t.csv", "time,size\n2026-11-28T10:00:00+01:00,64x64\n2026-11-28T09:00:01.5Z,\n")
    first, second = read_rows(path, timed=True).rows
    assert first.at is not None
    assert second.at is not None
    assert (second.at - first.at, first.size, second.size) == (1.5, "64x64", None)
    naive = write(tmp_path, "n.jsonl", '{"at": "2026-11-28 09:00:00"}\n{"timestamp": "2026-11-28T09:00:02Z"}\n')
    assert [row.at for row in read_rows(naive, timed=True).rows] == [1795856400.0, 1795856402.0]


def test_all_mistakes_are_reported_with_their_rows_and_cures(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "p.jsonl",
        '{"prompt": "ok"}\n{"prmpt": "a"}\n\n{"seconds": "x", "fps": 0}\nhello\n[1]\n{"text": "a", "prompt": "b"}\n'
        '{"num_frames": true}\n{"size": "big"}\n{"extra": [1]}\n{"extra.a b": 1}\n{"extra": {"size": 1, "x": [1]}}\n'
        '{"at": 1}\n{"seed": 1e300}\n{"guidance_scale": NaN}\n{"prompt": " "}\n{"weight": -1}\n',
    )
    assert mistakes(path) == [
        " row 2: column 'prmpt' is unknown; did you mean prompt?",
        " row 4: seconds is 'x'; write a number above 0 and up to 3,600",
        " row 4: fps is 0; write a number above 0 and up to 1,000",
        " row 5: is not valid JSON (JSON is malformed: invalid character); correct it",
        ' row 6: is [1]; write an object such as {"prompt": "A red kite"}',
        " row 7: prompt is given twice, with another name; keep one of prompt, text",
        " row 8: num_frames is True; write a whole number from 1 to 100,000",
        " row 9: size is 'big'; write width x height in pixels, such as 1280x720",
        ' row 10: extra is [1]; write a JSON object such as {"flow_shift": 3}',
        " row 11: column 'extra.a b': the name of an extra field has letters, digits and _ . - only; correct it",
        " row 12: extra.size is a column of its own; write size",
        " row 12: extra.x is [1]; write text, a number, true or false",
        " row 13: column 'at' belongs to --arrivals; remove it",
        " row 14: seed is 1e+300; write a whole number",
        " row 15: is not valid JSON (JSON is malformed: invalid character); correct it",
        " row 16: prompt is ' '; write text",
        " row 17: weight is -1; write a number from 0 to 1,000,000",
    ]


def test_the_list_of_mistakes_is_bounded(tmp_path: Path) -> None:
    lines = mistakes(write(tmp_path, "p.jsonl", '{"seconds": 0}\n' * 5_000))
    assert len(lines) == MAX_ERRORS + 1
    assert lines[-1] == ": 4,980 more mistakes are not listed"


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("p.txt", b"", " has no prompts; write one a row"),
        ("p.csv", b"prompt,size\n", " has no prompts; write one a row"),
        ("p.txt", b"ok\nCaf\xe9\n", " row 2: is not UTF-8 text; save the file as UTF-8"),
        ("p.txt", "A kite".encode("utf-16"), ": is UTF-16 text; save it as UTF-8"),
        ("p.txt", b"x" * (MAX_LINE + 1), " row 1: is longer than 1,048,576 bytes; write one prompt a line"),
        ("p.json", b"[]", ": its name ends in .json; name it .jsonl and write an object a line, or use CSV"),
        ("p.csv", b"prompt,color\na,b\n", " row 1: column 'color' is unknown; use prompt, text, size, seconds, "),
        ("p.csv", b"prompt,prompt\na,b\n", " row 1: column 'prompt' is given twice; keep one"),
        ("p.csv", b"prompt\na,b\n", " row 2: has 2 cells, the header has 1; put text with commas in double quotes"),
        ("p.csv", b'prompt\n"a\n', " row 2: is not valid CSV (unexpected end of data); check its quotes"),
        ("p.jsonl", b"[" * 100_000, " row 1: is not valid JSON ("),
        ("p.jsonl", b'{"prompt": "\\ud800"}', " row 1: is not valid JSON ("),
        ("p.jsonl", b'{"prompt": "a\\u0000b"}', " row 1: prompt is 'a\\x00b'; write text"),
        (
            "p.jsonl",
            json.dumps({"prompt": "x" * (MAX_PROMPT + 1)}).encode(),
            " row 1: prompt is 'xxxxxxxxxxxx...xxxxxxxxxxxxx'; it has 32,001 characters, use 32,000 at most",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_one_sentence(tmp_path: Path, name: str, data: bytes, expected: str) -> None:
    (line,) = mistakes(write(tmp_path, name, data))
    assert line.startswith(expected)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("at\n0\n2\n1\n3\n", " row 4: arrives 1 s before row 3; sort the rows by time"),
        ("at\n-1\n", " row 2: at is '-1'; write 0 or more seconds"),
        ("at\nsoon\n", " row 2: at is 'soon'; write seconds, or a date such as 2026-11-28T09:00:00Z"),
        ("at\ninf\n", " row 2: at is 'inf'; write seconds, or a date such as 2026-11-28T09:00:00Z"),
        ("size\n64x64\n", " row 2: has no time; add at, time or timestamp"),
        ("at,weight\n1,1\n", " row 1: column 'weight' belongs to --prompts; remove it"),
        ("at,size\n", " has no arrivals; write one a row"),
    ],
)
def test_a_trace_with_a_mistake_is_one_sentence(tmp_path: Path, data: str, expected: str) -> None:
    assert mistakes(write(tmp_path, "t.csv", data), timed=True) == [expected]


def test_a_file_that_is_not_there_and_one_that_is_no_file(tmp_path: Path) -> None:
    assert mistakes(tmp_path / "nix.csv") == [" is not there; name a text, JSONL or CSV file"]
    assert mistakes(tmp_path) == [" is a directory; name a text, JSONL or CSV file"]
    assert mistakes(Path("/dev/zero")) == [" is no regular file; name a text, JSONL or CSV file"]


def test_the_number_of_rows_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_file, "MAX_PROMPTS", 3)
    assert len(read_rows(write(tmp_path, "p.txt", "a\n" * 3), timed=False).rows) == 3
    assert mistakes(write(tmp_path, "p.txt", "a\n" * 4)) == [": has more than 3 rows; use a part of it"]
    monkeypatch.setattr(row_file, "MAX_PROMPTS", 10_000)
    monkeypatch.setattr(row_file, "MAX_BYTES", 2 * 2**20)
    big = ("x" * 1_000 + "\n") * 3_000
    assert mistakes(write(tmp_path, "big.csv", "prompt\n" + big))[-1] == ": is larger than 2 MiB; use a part of it"


@settings(max_examples=50, deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=8))
def test_prompts_pass_through_csv_and_jsonl_unchanged(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    table = io.StringIO()
    csv.writer(table).writerows([["prompt"], *([text] for text in texts)])
    for name, data in (("p.csv", table.getvalue()), ("p.jsonl", "\n".join(json.dumps({"prompt": t}) for t in texts))):
        assert [row.prompt for row in read_rows(write(folder, name, data), timed=False).rows] == texts


def test_the_built_in_prompts_are_varied_and_a_valid_prompts_file() -> None:
    rows = read_rows(TEXT_TO_VIDEO, timed=False).rows
    assert tuple(row.prompt for row in rows) == text_to_video()
    assert len({tuple(text.split()[:4]) for text in text_to_video()}) == len(rows) >= 60
    assert all(60 <= len(text) <= 200 and not text.endswith(".") for text in text_to_video())

"""Cases that once failed, and the valid inputs of each reader, within a bound of calls."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from tests.fuzz.cases import cases
from tests.fuzz.http_readers import SERVER_ERROR
from tests.fuzz.reader import Reader, TooManyCallsError, bounded_calls
from tests.fuzz.readers import all_readers

CORPUS = Path(__file__).parent / "corpus"
READERS = {name: reader for name, (_, reader) in all_readers().items()}
CHANGED = 40
"""Cases made from the valid inputs of each reader."""
KEPT = sorted(path for path in CORPUS.glob("*/*"))


@pytest.mark.parametrize("path", KEPT, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_a_case_that_once_failed_is_read_or_refused(path: Path, tmp_path: Path) -> None:
    with bounded_calls():
        READERS[path.parent.name].try_case(path.read_bytes(), tmp_path)


@pytest.mark.extended
@pytest.mark.parametrize("name", READERS)
def test_valid_inputs_are_read_and_changed_ones_refused_by_the_readers_own_error(name: str, tmp_path: Path) -> None:
    reader = READERS[name]
    seeds = reader.seeds()
    assert any(_is_read(reader, seed, tmp_path) for seed in seeds), "no valid input: the fuzzer would begin nowhere"
    made = cases(seeds, reader.words, reader.most, Random(7))
    for _, data in zip(range(CHANGED), made, strict=False):
        with bounded_calls():
            reader.try_case(data, tmp_path)


def _is_read(reader: Reader, seed: bytes, folder: Path) -> bool:
    try:
        reader.read(seed, folder)
    except reader.refused:
        return False
    return True


def test_the_bound_of_calls_ends_a_reader_that_goes_on(tmp_path: Path) -> None:
    def endless(_: bytes, __: Path) -> None:
        while True:
            len("")

    with pytest.raises(TooManyCallsError, match="more than 1000 calls"), bounded_calls(1000):
        Reader("endless", endless, list).try_case(b"", tmp_path)


def test_another_error_than_the_readers_own_is_a_finding(tmp_path: Path) -> None:
    def broken(data: bytes, _: Path) -> None:
        if data == b"refused":
            raise ValueError("no")
        raise KeyError(data)

    reader = Reader("broken", broken, list, (ValueError,))
    reader.try_case(b"refused", tmp_path)
    with pytest.raises(KeyError):
        reader.try_case(b"x", tmp_path)


def test_only_other_server_errors_than_503_are_findings() -> None:
    assert SERVER_ERROR.search(b"HTTP/1.1 503 Service Unavailable\r\n") is None
    assert SERVER_ERROR.findall(b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 500 Oh\r\n") == [b"500"]

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from reelbench.stack.cache import Cache
from reelbench.stack.errors import StackError
from reelbench.stack.prometheus import PrometheusBinary


def install(cache: Cache, make: Callable[..., Path], version: str = "2.53.0", **more: Path) -> None:
    with cache.work() as work:
        cache.install(make(version, work, **more), "release")


def found(cache: Cache) -> PrometheusBinary:
    binary = cache.find()
    assert binary is not None
    return binary


def test_only_a_changed_binary_is_executed_again(tmp_path: Path, fake_prometheus: Callable[..., Path]) -> None:
    cache, count = Cache(tmp_path / "cache"), tmp_path / "count"
    install(cache, fake_prometheus, count=count)
    assert count.read_text() == "run\n"
    assert found(cache).version == "2.53.0"
    assert count.read_text() == "run\n"
    os.utime(found(cache).path, (1, 1))
    assert found(cache).version == "2.53.0"
    assert count.read_text() == "run\nrun\n"
    assert found(cache).version == "2.53.0"
    assert count.read_text() == "run\nrun\n"


def test_a_damaged_entry_is_not_found_and_is_replaced(tmp_path: Path, fake_prometheus: Callable[..., Path]) -> None:
    cache = Cache(tmp_path / "cache")
    install(cache, fake_prometheus)
    found(cache).path.write_bytes(b"cut")
    assert cache.find() is None
    install(cache, fake_prometheus)
    assert found(cache).version == "2.53.0"
    assert len(list(cache.folder.iterdir())) == 1


def test_the_newest_version_is_taken(tmp_path: Path, fake_prometheus: Callable[..., Path]) -> None:
    cache = Cache(tmp_path / "cache")
    for version in ("2.9.0", "2.45.0", "3.1.0", "2.53.0"):
        if version == "2.9.0":
            with pytest.raises(StackError, match="is the oldest that is supported"):
                install(cache, fake_prometheus, version)
        else:
            install(cache, fake_prometheus, version)
    assert found(cache).version == "3.1.0"


def test_concurrent_installations_leave_one_valid_entry(tmp_path: Path, fake_prometheus: Callable[..., Path]) -> None:
    cache = Cache(tmp_path / "cache")
    failures: list[BaseException] = []
    # Written before the threads start: a program that any process has open for writing cannot be run.
    prepared = [fake_prometheus("2.53.0", tmp_path / str(number)) for number in range(8)]

    def run(binary: Path) -> None:
        try:
            with cache.work() as work:
                cache.install(binary.rename(work / "prometheus"), "release")
        except BaseException as error:  # noqa: BLE001 - reported by the test
            failures.append(error)

    threads = [threading.Thread(target=run, args=(binary,)) for binary in prepared]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [entry.name for entry in cache.folder.iterdir()] == ["prometheus-release-2.53.0"]
    assert found(cache).version == "2.53.0"


def test_only_old_working_folders_are_removed(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    for name in (".work-old", ".work-new"):
        (tmp_path / name).mkdir()
    os.utime(tmp_path / ".work-old", (1, 1))
    with cache.work():
        assert not (tmp_path / ".work-old").exists()
        assert (tmp_path / ".work-new").exists()


def test_a_cache_that_cannot_be_created_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(StackError, match="set REELBENCH_CACHE to another folder"),
        Cache(tmp_path / "file" / "x").work(),
    ):
        pass

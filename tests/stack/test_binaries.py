from __future__ import annotations

import gzip
import hashlib
import io
import platform
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from reelbench.stack import debian, release
from reelbench.stack.binaries import cache_folder, find_prometheus
from reelbench.stack.cache import Cache
from reelbench.stack.errors import StackError
from tests.stack.conftest import Answers

SCRIPT = b"#!/bin/sh\necho 'prometheus, version 3.14.0 (branch: HEAD)'\n"
STEM = f"prometheus-{release.VERSION}." + release._platform(platform.system(), platform.machine())
ARCHIVE = f"/v{release.VERSION}/{STEM}.tar.gz"
SUMS = f"/v{release.VERSION}/sha256sums.txt"
NOWHERE = "http://127.0.0.1:9"


def archive(member: str = f"{STEM}/prometheus") -> bytes:
    file = io.BytesIO()
    compressed = gzip.GzipFile(fileobj=file, mode="wb", mtime=0)  # equal bytes in each call, at any time
    with compressed, tarfile.open(fileobj=compressed, mode="w") as files:
        for name in (member, f"{STEM}/promtool"):
            info = tarfile.TarInfo(name)
            info.size = len(SCRIPT)
            files.addfile(info, io.BytesIO(SCRIPT))
    return file.getvalue()


def published(content: bytes) -> bytes:
    return f"{'0' * 64}  other.tar.gz\n{hashlib.sha256(content).hexdigest()}  {STEM}.tar.gz\n".encode()


@pytest.fixture
def environment(tmp_path: Path, bare_path: str) -> dict[str, str]:
    return {"REELBENCH_CACHE": str(tmp_path / "cache"), "PATH": bare_path}


def test_places_are_searched_in_order(
    environment: dict[str, str],
    fake_prometheus: Callable[..., Path],
    bare_path: str,
    tmp_path: Path,
    serve: Callable[..., str],
) -> None:
    lines: list[str] = []
    content = archive()
    url = serve({SUMS: (200, published(content)), ARCHIVE: (200, content)})

    def find() -> tuple[str, str]:
        found = find_prometheus(lines.append, environment=environment, release_url=url)
        return found.version, found.source

    assert find() == ("3.14.0", "cache, release")
    assert lines == ["fetching Prometheus 3.14.0 (about 120 MB, once)"]
    lines.clear()
    assert find() == ("3.14.0", "cache, release")
    fake_prometheus("2.50.1", Path(bare_path))
    assert find() == ("2.50.1", "PATH")
    environment["PROMETHEUS_BIN"] = str(fake_prometheus("2.42.0", tmp_path / "named"))
    assert find() == ("2.42.0", "PROMETHEUS_BIN")
    assert lines == []
    environment["PROMETHEUS_BIN"] = str(fake_prometheus("2.41.9", tmp_path / "old"))
    assert find() == ("2.50.1", "PATH")
    assert lines == [
        f"PROMETHEUS_BIN: {tmp_path}/old/prometheus is Prometheus 2.41.9; 2.42 is the oldest that is supported."
    ]


def test_the_error_lists_all_places_that_failed(environment: dict[str, str], tmp_path: Path) -> None:
    lines: list[str] = []
    environment["PROMETHEUS_BIN"] = str(tmp_path / "missing")
    with pytest.raises(StackError) as failed:
        find_prometheus(lines.append, environment=environment, release_url=NOWHERE)
    message = str(failed.value)
    for line in lines[0], lines[2], lines[4]:
        assert line in message
    assert lines[0] == f"PROMETHEUS_BIN: {tmp_path}/missing cannot be run (No such file or directory)."
    assert lines[2].startswith(f"official release: {NOWHERE}/v3.14.0/sha256sums.txt could not be fetched (")
    assert lines[4] == "distribution's package: There is no apt-get here: not a Debian or Ubuntu."
    assert "set PROMETHEUS_BIN to its 'prometheus'" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("answers", "complaint"),
    [
        ({SUMS: (200, published(b"other")), ARCHIVE: (200, archive())}, "has the sha256"),
        ({SUMS: (200, published(archive())), ARCHIVE: (200, archive()[:-20])}, "has the sha256"),
        ({SUMS: (200, b"nothing"), ARCHIVE: (200, archive())}, "has no line for"),
        ({SUMS: (200, published(archive()))}, "answered 404"),
        ({}, "answered 404"),
        ({SUMS: (200, published(archive("else"))), ARCHIVE: (200, archive("else"))}, "cannot be taken out"),
        ({SUMS: (200, published(b"text")), ARCHIVE: (200, b"text")}, "cannot be taken out"),
    ],
)
def test_unverified_downloads_are_not_cached(
    answers: Answers, complaint: str, tmp_path: Path, serve: Callable[..., str]
) -> None:
    cache = Cache(tmp_path / "cache")
    with pytest.raises(StackError, match=complaint):
        release.install(cache, base_url=serve(answers))
    assert cache.find() is None
    assert list(cache.folder.iterdir()) == []


def test_the_release_matches_this_machine(tmp_path: Path) -> None:
    for system, machine, name in (
        ("Linux", "x86_64", "linux-amd64"),
        ("Linux", "aarch64", "linux-arm64"),
        ("Darwin", "arm64", "darwin-arm64"),
        ("Darwin", "x86_64", "darwin-amd64"),
    ):
        assert release._platform(system, machine) == name
    with pytest.raises(StackError, match=r"no release of Prometheus 3\.14\.0 for Plan9 on vax"):
        release.install(Cache(tmp_path), system="Plan9", machine="vax")


def test_cache_folder_is_in_the_checkout_unless_named(tmp_path: Path) -> None:
    assert cache_folder({}) == Path(__file__).resolve().parents[2] / ".cache"
    assert cache_folder({"REELBENCH_CACHE": str(tmp_path)}) == tmp_path


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="apt-get is only on Debian and Ubuntu")
@pytest.mark.acceptance
@pytest.mark.extended
def test_package_of_the_distribution_is_unpacked_into_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = Cache(tmp_path / "cache")
    try:
        binary = debian.install(cache)
    except StackError as error:
        if "offers no package" in str(error):
            pytest.skip(f"the distribution's servers cannot be reached: {error}")
        raise
    assert binary.path == cache.folder / f"prometheus-debian-{binary.version}" / "prometheus"
    assert binary.release >= (2, 42)
    assert [entry.name for entry in cache.folder.iterdir()] == [f"prometheus-debian-{binary.version}"]
    monkeypatch.setattr(subprocess, "Popen", None)  # without starting the binary
    assert cache.find() == binary


def test_a_release_that_its_site_has_changed_is_refused_by_the_pinned_sum(
    serve: Callable[..., str], tmp_path: Path
) -> None:
    content = archive()
    url = serve({SUMS: (200, published(content)), ARCHIVE: (200, content)})
    name, sum_of = f"{STEM}.tar.gz", hashlib.sha256(content).hexdigest()
    with pytest.raises(StackError, match=f"has the sha256 {sum_of}, pinned is {'1' * 64}: not used"):
        release.install(Cache(tmp_path / "a"), base_url=url, pinned={name: "1" * 64})
    # A pinned sum needs no sums of the site.
    alone = serve({ARCHIVE: (200, content)})
    assert release.install(Cache(tmp_path / "b"), base_url=alone, pinned={name: sum_of}).version == "3.14.0"
    with pytest.raises(StackError):
        release.install(Cache(tmp_path / "c"), base_url=alone, pinned={})


def test_the_pinned_sums_are_those_of_archives_of_this_version() -> None:
    sums = release.read_sums(release.SUMS_FILE.read_text("utf-8"))
    assert set(sums) <= set(release.archives())
    assert all(len(value) == 64 and int(value, 16) >= 0 for value in sums.values())
    assert release.read_sums("# comment\nAB  *x.tar.gz\n\n") == {"x.tar.gz": "ab"}
    assert f"{STEM}.tar.gz" in release.archives()

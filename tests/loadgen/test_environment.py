from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from reelbench.loadgen.record.environment import describe, read_limits
from reelbench.loadgen.record.run import LimitsRecord


def write(root: Path, files: dict[str, str], process: str) -> tuple[Path, Path]:
    for name, text in files.items():
        path = root / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / "self").write_text(process)
    return root / "cgroup", root / "self"


@pytest.mark.parametrize(
    ("process", "files", "found"),
    [
        pytest.param(
            "0::/\n",
            {"cpu.max": "150000 100000\n", "memory.max": "1073741824\n"},
            LimitsRecord(cpu_cores=1.5, memory_bytes=2**30),
            id="version 2, within the container",
        ),
        pytest.param(
            "0::/a/b\n",
            {"a/cpu.max": "200000 100000\n", "a/b/cpu.max": "max 100000\n", "a/memory.max": "max\n"},
            LimitsRecord(cpu_cores=2.0, memory_bytes=None),
            id="version 2, the limit is of a group around",
        ),
        pytest.param(
            "0::/a/b\n",
            {"a/memory.max": "3000\n", "a/b/memory.max": "2000\n"},
            LimitsRecord(cpu_cores=None, memory_bytes=2000),
            id="the tightest limit holds",
        ),
        pytest.param(
            "4:cpu,cpuacct:/docker/x\n3:memory:/docker/x\n",
            {
                "cpu/docker/x/cpu.cfs_quota_us": "50000\n",
                "cpu/docker/x/cpu.cfs_period_us": "100000\n",
                "memory/docker/x/memory.limit_in_bytes": "536870912\n",
            },
            LimitsRecord(cpu_cores=0.5, memory_bytes=2**29),
            id="version 1",
        ),
        pytest.param(
            "4:cpu:/\n3:memory:/\n",
            {
                "cpu/cpu.cfs_quota_us": "-1\n",
                "cpu/cpu.cfs_period_us": "100000\n",
                "memory/memory.limit_in_bytes": "9223372036854771712\n",
            },
            None,
            id="version 1 without limits",
        ),
        pytest.param("0::/../..\n", {"cpu.max": "max 100000\n"}, None, id="version 2 without limits"),
        pytest.param("nonsense", {"cpu.max": "nonsense"}, None, id="files that say nothing"),
    ],
)
def test_the_limits_of_control_groups(
    tmp_path: Path, process: str, files: dict[str, str], found: LimitsRecord | None
) -> None:
    assert read_limits(*write(tmp_path, files, process)) == found


def test_without_control_groups_limits_are_unknown(tmp_path: Path) -> None:
    assert read_limits(tmp_path / "absent", tmp_path / "absent") is None


def test_the_environment_describes_this_machine(tmp_path: Path) -> None:
    (tmp_path / "requirements.lock").write_bytes(b"lock")
    record = describe(tmp_path)
    assert record.cpu_count == os.cpu_count()
    assert record.memory_bytes == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert record.packages["aiohttp"].count(".") == 2
    assert (record.commit, record.dirty, record.no_commit) == (None, False, "not a checkout")
    assert record.lock_sha256 == hashlib.sha256(b"lock").hexdigest()


def test_the_environment_needs_neither_git_nor_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    record = describe(tmp_path / "nowhere")
    assert (record.commit, record.dirty, record.lock_sha256) == (None, False, None)
    assert record.no_commit == "git gave no answer: git is not installed"


def git(folder: Path, *arguments: str) -> None:
    known = {f"GIT_{who}_{what}": "a@b.c" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True, env=os.environ | known)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    git(folder, "init", "-q")
    git(folder, "commit", "-q", "--allow-empty", "-m", "first")
    return folder


def test_the_commit_is_that_of_the_checkout(checkout: Path) -> None:
    record = describe(checkout)
    assert record.commit is not None
    assert (len(record.commit), record.dirty, record.no_commit) == (40, False, None)
    (checkout / "new.py").write_text("")
    assert describe(checkout).dirty


def test_the_commit_of_another_repository_is_not_ours(checkout: Path) -> None:
    inner = checkout / "unpacked"
    inner.mkdir()
    record = describe(inner)
    assert (record.commit, record.dirty) == (None, False)
    assert record.no_commit == "not a checkout: the files lie within another repository"


def test_the_repository_of_a_hook_is_not_ours(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    monkeypatch.setenv("GIT_DIR", str(checkout / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(plain))
    assert (describe(plain).commit, describe(plain).no_commit) == (None, "not a checkout")
    assert describe(checkout).commit is not None


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("fatal: not a git repository (or any of the parent directories): .git", "not a checkout"),
        ("fatal: detected dubious ownership in repository at '/x'", "git refuses to read the checkout"),
        ("fatal: bad config line 1", "git gave no answer: fatal: bad config line 1"),
    ],
)
def test_a_refusal_of_git_is_not_the_absence_of_a_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, why: str
) -> None:
    program = tmp_path / "git"
    program.write_text(f'#!/bin/sh\necho "{said}" >&2\nexit 128\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    record = describe(tmp_path)
    assert record.commit is None
    assert record.no_commit is not None
    assert record.no_commit.startswith(why)

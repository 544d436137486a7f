from __future__ import annotations

import hashlib
import os
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
    assert (record.commit, record.dirty) == (None, False)
    assert record.lock_sha256 == hashlib.sha256(b"lock").hexdigest()


def test_the_environment_needs_neither_git_nor_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    record = describe(tmp_path / "nowhere")
    assert (record.commit, record.dirty, record.lock_sha256) == (None, False, None)

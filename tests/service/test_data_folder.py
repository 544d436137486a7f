"""The data folder: whose it is, and what another user can plant there."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from reelbench.service import data_folder
from reelbench.service.data_folder import DataFolderError
from reelbench.service.store.assets import Assets
from reelbench.service.store.spool import Spool
from reelbench.service.store.state import State

JOB = "video_" + "0" * 32
STRANGER = 54321
"""User number that is not the one of the tests."""


def test_a_new_folder_is_for_its_user_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        data_folder.prepare(tmp_path / "data")
        Assets(tmp_path / "data").create(JOB)
    finally:
        os.umask(before)
    assert [(tmp_path / "data" / name).stat().st_mode & 0o777 for name in (".", JOB)] == [0o700, 0o700]
    assert [path.name for path in (tmp_path / "data").iterdir()] == [JOB]  # the probe is gone


def foreign(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir(0o700)
    monkeypatch.setattr(os, "geteuid", lambda: STRANGER)


def writable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    del monkeypatch
    folder.mkdir()
    folder.chmod(0o777)


def link(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    del monkeypatch
    folder.symlink_to(folder.parent)


def file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    del monkeypatch
    folder.write_text("")


@pytest.mark.parametrize(
    ("plant", "reason"),
    [
        (foreign, f"because it belongs to another user (uid {os.geteuid()})"),
        (writable, "because other users can write to it (mode 0777)"),
        (link, "because it is a symbolic link"),
        (file, "because it is not a folder"),
    ],
)
def test_a_folder_of_others_is_refused_with_the_cure(
    plant: Callable[[Path, pytest.MonkeyPatch], None], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "data"
    plant(folder, monkeypatch)
    with pytest.raises(DataFolderError) as found:
        data_folder.prepare(folder)
    cure = "set SERVICE_DATA_DIR to a folder that only you can write"
    assert str(found.value) == f"The data folder {folder} cannot be used {reason}; {cure}."


@pytest.mark.extended
def test_the_service_does_not_start_in_a_folder_of_others_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "reelbench.service", "--port", "0"],
        env=os.environ | {"SERVICE_DATA_DIR": str(tmp_path / "data")},
        capture_output=True,
        text=True,
        check=False,
    )
    cure = "set SERVICE_DATA_DIR to a folder that only you can write"
    assert done.returncode == 2
    assert done.stderr == f"The data folder {tmp_path}/data cannot be used because it is a symbolic link; {cure}.\n"


def test_a_video_that_is_a_link_is_not_served(start: Callable[..., Any], create: Callable[..., Any]) -> None:
    running = start()
    video = create(running)
    path = running.data_dir / video["id"] / "content.mp4"
    path.unlink()
    path.symlink_to("/etc/hostname")
    base = f"{running.url}/v1/videos/{video['id']}"
    for request in ("/content", "/content?variant=thumbnail", "/assets/content.mp4"):
        answer = httpx.get(base + request)
        assert (answer.status_code, answer.json()["error"]["code"]) == (500, "content_unavailable"), request
    remix = httpx.post(f"{base}/remix", json={"prompt": "Again"})
    assert (remix.status_code, remix.json()["error"]["code"]) == (500, "content_unavailable")


@pytest.mark.parametrize("name", ["link", "pipe", "folder", "absent", "../secret", "/etc/hostname"])
def test_only_regular_files_in_the_folder_of_a_job_are_opened(name: str, tmp_path: Path) -> None:
    assets = Assets(tmp_path)
    assets.create(JOB)
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / JOB / "file").write_bytes(b"ours")
    (tmp_path / JOB / "link").symlink_to(tmp_path / "secret")
    (tmp_path / JOB / "folder").mkdir()
    os.mkfifo(tmp_path / JOB / "pipe")
    assert assets.read(JOB, "file") == b"ours"
    assert not assets.has(JOB, name)
    with pytest.raises(FileNotFoundError):
        assets.open(JOB, name)


def test_a_job_that_is_a_link_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "content.mp4").write_bytes(b"other")
    (tmp_path / JOB).symlink_to(tmp_path / "elsewhere")
    assert not Assets(tmp_path).has(JOB, "content.mp4")


def test_kept_states_that_are_links_are_not_adopted(tmp_path: Path) -> None:
    left = Spool(tmp_path)
    left.write(State(id=JOB, sequence=1, write="add", video=b'{"a":1}', manifest=b"{}"))
    left.close()
    (folder,) = (tmp_path / ".unsaved").iterdir()
    (folder / f"{JOB}.json").rename(tmp_path / "planted")
    (folder / f"{JOB}.json").symlink_to(tmp_path / "planted")
    assert Spool(tmp_path).adopt() == []
    (folder / f"{JOB}.json").unlink()
    (tmp_path / "planted").rename(folder / f"{JOB}.json")
    assert [state.id for state in Spool(tmp_path).adopt()] == [JOB]

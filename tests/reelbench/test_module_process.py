from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from reelbench.module_process import module_process


def test_a_module_finds_the_packages_of_this_process_in_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "only_here.py").write_text("print('found')")
    (tmp_path / "msgspec.py").write_text("raise SystemExit('a file of the working folder took the place of a package')")
    monkeypatch.syspath_prepend(tmp_path / "own")
    monkeypatch.chdir(tmp_path)
    command, environment = module_process("only_here")
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "found\n"
    safe = subprocess.run([*command[:-2], "-c", "import msgspec"], env=environment, capture_output=True, check=False)
    assert safe.returncode == 0, safe.stderr

"""Reelbench as an installed package, outside of a checkout."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

from reelbench.stack import dotenv, embedded
from reelbench.stack.binaries import cache_folder
from reelbench.stack.environment import version
from reelbench.stack.prometheus import PrometheusBinary
from tests.commands import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NAME = re.compile(r"[\w.-]+")


def test_the_embedded_stack_checks_the_packages_of_its_extra() -> None:
    wanted = {found[0] for one in PROJECT["optional-dependencies"]["embedded"] if (found := NAME.match(one))}
    providers = importlib.metadata.packages_distributions()
    looked_for = {providers[package][0].lower().replace("_", "-") for package in embedded._PACKAGES}
    assert looked_for == wanted


@pytest.mark.extended
def test_measuring_a_remote_server_needs_no_extra() -> None:
    extra = sorted(set(embedded._PACKAGES) - {"PIL"})  # Pillow comes with matplotlib
    code = f"""
import importlib, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {extra}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
for module in ("suite.commands.run", "suite.commands.compare", "loadgen.__main__", "reporting.publish"):
    importlib.import_module(f"reelbench.{{module}}")
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_defaults_equal_the_dotenv_file(tmp_path: Path) -> None:
    file = dotenv.read(environment={})
    assert dotenv.read(tmp_path / "absent", environment={}) == {name: file[name] for name in dotenv.DEFAULTS}


def test_an_installed_package_uses_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reelbench.stack.binaries.CHECKOUT", None)
    assert cache_folder({"XDG_CACHE_HOME": str(tmp_path)}) == tmp_path / "reelbench"
    assert cache_folder({"XDG_CACHE_HOME": str(tmp_path), "REELBENCH_CACHE": "/x"}) == Path("/x")
    assert cache_folder({}).is_relative_to(Path.home())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of this checkout, built from a copy because a build leaves files behind."""
    folder = tmp_path_factory.mktemp("wheel")
    skipped = shutil.ignore_patterns(".*", "runs", "tests", "docs", "build", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, folder / "checkout", symlinks=True, ignore=skipped)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "-w",
        str(folder),
        str(folder / "checkout"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and "setuptools" in done.stderr:
        pytest.skip(f"the build needs setuptools, which cannot be fetched: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    (found,) = folder.glob("*.whl")
    return found


@pytest.mark.acceptance
@pytest.mark.extended
def test_a_wheel_has_one_top_level_package_and_all_data_files(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names} == {"reelbench", f"reelbench-{version()}.dist-info"}
    folders = ("loadgen", "reporting", "service", "stack", "suite")
    data = {path.relative_to(ROOT) for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()}
    expected = {f"reelbench/{path}" for path in data if path.suffix != ".pyc" and path.name != "Dockerfile"}
    assert expected <= set(names)
    assert not any(name.startswith(("reelbench/bench/", "reelbench/monitoring/")) for name in names)


@pytest.mark.acceptance
@pytest.mark.extended
def test_the_installed_command_measures_and_reports_in_an_empty_folder(
    wheel: Path, prometheus: PrometheusBinary, tmp_path: Path
) -> None:
    venv.create(tmp_path / "environment", symlinks=True)
    python = tmp_path / "environment" / "bin" / "python"
    purelib = Path(sysconfig.get_path("purelib", vars={"base": str(tmp_path / "environment")}))
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    (purelib / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    before = {path.name for path in purelib.iterdir()}
    work = tmp_path / "work"
    work.mkdir()
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "REELBENCH"))}
    environment |= {"PROMETHEUS_BIN": str(prometheus.path)}

    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        words = [str(python.with_name("reelbench")), *arguments]
        return subprocess.run(words, cwd=work, env=environment, capture_output=True, text=True, check=False)

    assert command("--version").stdout == f"reelbench {version()}\n"
    done = command("run", "--embedded", "--scenario", "single_request", "--no-charts")
    assert done.returncode in {0, 1, 3}, done.stderr  # the verdict depends on the machine
    (folder,) = (work / "runs").iterdir()
    results = json.loads((folder / "reports" / "results.json").read_text())
    values = [value for value in numbers(results) if value]
    assert len(values) > 50
    assert (folder / "reports" / "performance_report.md").stat().st_size > 1000
    again = command("report", "--kept", "--no-charts")
    assert (again.returncode, again.stdout) == (done.returncode, done.stdout)
    assert folder.name in command("list", "runs").stdout
    assert {path.name for path in work.iterdir()} == {"runs"}
    assert {path.name for path in purelib.iterdir()} == before


def numbers(value: object) -> list[float]:
    """All numbers of decoded JSON."""
    if isinstance(value, dict):
        return [number for part in value.values() for number in numbers(part)]
    if isinstance(value, list):
        return [number for part in value for number in numbers(part)]
    return [value] if isinstance(value, float) else []

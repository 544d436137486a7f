"""The image of service, providers and load generator has its own lock: it must hold what these three import."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOT_IN_THE_IMAGE = {
    "loadgen/documents/build_sample_paper.py",
    "loadgen/plan/reference.py",
    "loadgen/target/reference.py",
}
"""Development time: what writes the sample document and the pages on the keys of files."""

WALK = """
import importlib, pkgutil, sys
refused = set(sys.argv[1].split(","))

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in refused:
            raise ModuleNotFoundError(f"{name} is not in the image", name=name)

sys.meta_path.insert(0, Refuse())
names = []
for package in ("reelbench.service", "reelbench.loadgen", "reelbench.telemetry"):
    found = importlib.import_module(package)
    names += [package, *(module.name for module in pkgutil.walk_packages(found.__path__, package + "."))]
skipped = set(sys.argv[2].split(","))
for name in names:
    if name not in skipped:
        importlib.import_module(name)
print(len(names))
"""


def locked(name: str) -> set[str]:
    lines = (ROOT / name).read_text().splitlines()
    return {found[1].lower() for line in lines if (found := re.match(r"([\w.-]+)==", line))}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def sources() -> list[Path]:
    folders = (ROOT / "service", ROOT / "loadgen", ROOT / "reelbench" / "telemetry")
    return [
        path
        for folder in folders
        for path in folder.rglob("*.py")
        if str(path.relative_to(ROOT)) not in NOT_IN_THE_IMAGE
    ]


@pytest.mark.extended
def test_each_import_is_in_the_lock_of_the_image() -> None:
    lock, distributions = locked("requirements-image.lock"), packages_distributions()
    imported = set()
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                imported.add(node.module.partition(".")[0])
    foreign = imported - set(sys.stdlib_module_names) - {"reelbench"}
    assert len(foreign) > 15
    missing = {name for name in foreign if not {normal(d) for d in distributions.get(name, ["?"])} & lock}
    assert missing == set()


@pytest.mark.extended
def test_all_modules_are_imported_where_only_the_packages_of_the_lock_exist() -> None:
    lock = locked("requirements-image.lock")
    refused = {
        module
        for module, owners in packages_distributions().items()
        if not {normal(owner) for owner in owners} & (lock | {"reelbench"})
    }
    assert {"scipy", "matplotlib", "numpy", "jinja2", "grafana_client", "tabulate", "pytest"} <= refused
    skipped = {"reelbench." + name.removesuffix(".py").replace("/", ".") for name in NOT_IN_THE_IMAGE}
    done = subprocess.run(
        [sys.executable, "-c", WALK, ",".join(refused), ",".join(skipped)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) >= len(sources()) - 5


def test_the_lock_of_the_image_has_the_versions_of_the_whole_lock() -> None:
    whole = re.findall(r"^[\w.-]+==\S+", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    image = re.findall(r"^[\w.-]+==\S+", (ROOT / "requirements-image.lock").read_text(), re.MULTILINE)
    assert set(image) < set(whole)
    assert locked("requirements.lock") - locked("requirements-image.lock") >= {"scipy", "numpy", "matplotlib", "jinja2"}


def test_the_image_asks_for_what_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    known = {*project["project"]["dependencies"], *project["project"]["optional-dependencies"]["embedded"]}
    assert {re.split(r"[;<>=]", name)[0].strip() for name in project["dependency-groups"]["image"]} <= {
        re.split(r"[;<>=]", name)[0].strip() for name in known
    }

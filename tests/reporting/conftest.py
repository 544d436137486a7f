from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from reelbench.reporting.export import export
from reelbench.stack.prometheus import PrometheusBinary
from tests.reporting import made_outages, made_resources
from tests.reporting.made_run import MadeRun, make
from tests.reporting.served import make_blocks, serving


@pytest.fixture(scope="session")
def made() -> MadeRun:
    return make()


@pytest.fixture(scope="session")
def outages() -> MadeRun:
    """The made run of the reliability scenarios."""
    return made_outages.make()


@pytest.fixture(scope="session")
def resources() -> MadeRun:
    """The made run of the resources scenarios."""
    return made_resources.make()


@pytest.fixture(scope="session")
def prometheus_url(
    made: MadeRun,
    outages: MadeRun,
    resources: MadeRun,
    prometheus: PrometheusBinary,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """A real Prometheus with the data of the made runs; promtool creates the blocks."""
    folder = tmp_path_factory.mktemp("prometheus")
    texts = (run.series.openmetrics((0, run.instant - 1)) for run in (made, outages, resources))
    make_blocks(prometheus, folder, "".join(text.removesuffix("# EOF\n") for text in texts) + "# EOF\n")
    with serving(prometheus, folder) as url:
        yield url


@pytest.fixture(scope="session")
def template(made: MadeRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.write(tmp_path_factory.mktemp("template"))


@pytest.fixture(scope="session")
def measured(template: Path, prometheus_url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("measured") / "run"
    export(Path(shutil.copytree(template, folder)), prometheus_url, charts=False)
    return folder


@pytest.fixture
def measured_dir(measured: Path, tmp_path: Path) -> Path:
    """A copy of the made run with kept answers of the real Prometheus; tests may change it."""
    return Path(shutil.copytree(measured, tmp_path / "measured"))


@pytest.fixture
def run_dir(made: MadeRun, template: Path, tmp_path: Path) -> Path:
    """A copy of the made run; tests may change it."""
    return Path(shutil.copytree(template, tmp_path / made.run.run_id))


@pytest.fixture(scope="session")
def measured_outages(outages: MadeRun, prometheus_url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = outages.write(tmp_path_factory.mktemp("outages"))
    export(folder, prometheus_url, charts=False)
    return folder


@pytest.fixture
def outages_dir(measured_outages: Path, tmp_path: Path) -> Path:
    """A copy of the made reliability run with kept answers of the real Prometheus; tests may change it."""
    return Path(shutil.copytree(measured_outages, tmp_path / "outages"))


@pytest.fixture(scope="session")
def measured_resources(resources: MadeRun, prometheus_url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = resources.write(tmp_path_factory.mktemp("resources"))
    export(folder, prometheus_url, charts=False)
    return folder


@pytest.fixture
def resources_dir(measured_resources: Path, tmp_path: Path) -> Path:
    """A copy of the made resources run with kept answers of the real Prometheus; tests may change it."""
    return Path(shutil.copytree(measured_resources, tmp_path / "resources"))

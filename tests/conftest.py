from __future__ import annotations

import gc
import os
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings

from reelbench.loadgen.plan.scenario import PROFILES
from reelbench.stack.binaries import find_prometheus
from reelbench.stack.errors import StackError
from reelbench.stack.prometheus import PrometheusBinary
from tests.acceptance import SHORT, SuiteRun, drive, needed, once

HERE = Path(__file__).parent
MEASURED = (HERE, HERE / "scripts")
"""Folders of tests that need the whole machine."""
STACKS = (HERE / "scripts", HERE / "stack")
"""Folders of tests that start a whole stack, which take longest."""

# Tests compare with OpenTelemetry's instrumentation of FastAPI, which reads this once per process.
os.environ.setdefault("OTEL_SEMCONV_STABILITY_OPT_IN", "http")

# The tests of several workers share one machine, and they assert verdicts: other processes are recorded, not judged.
# tests/loadgen/test_machine.py and tests/reporting/test_disturbance.py judge them.
os.environ.setdefault("REELBENCH_OTHERS_LIMIT", "none")

# In a workflow, the summaries of tested reports are not those of the workflow.
os.environ.pop("GITHUB_STEP_SUMMARY", None)

# Test collection creates no garbage, and the garbage collector would take a fifth of its time.
gc.disable()

# The same few examples each time; `--hypothesis-profile explore` searches for new ones.
# On a busy machine an example takes any time, so none has a deadline.
settings.register_profile("same", max_examples=30, derandomize=True, deadline=None)
settings.register_profile("explore", max_examples=1000, deadline=None)
settings.load_profile("same")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("reelbench")
    group.addoption(
        "--external",
        action="store_true",
        help="Measure the running stack (docker compose, or the stack named by SERVICE_URL and the other variables).",
    )
    group.addoption("--profile", choices=PROFILES, default="quick", help="Size of the acceptance run. Default: quick.")


@pytest.hookimpl(tryfirst=True)  # runs before xdist reads its own options
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Run the fast tests on all cores, unless `-n`, `-s` or `--pdb` is given."""
    option = config.option
    if "PYTEST_XDIST_WORKER" in os.environ:
        return  # workers start no workers of their own
    if option.numprocesses is None and "not acceptance" in option.markexpr and option.capture != "no":
        option.numprocesses = "auto"
        option.dist = "worksteal" if option.dist == "no" else option.dist


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Let each worker read the modules of a folder from another one on.

    The first worker that reads a module compiles the module, with its rewritten assertions; the others take what is in
    the cache. In a new checkout all workers would otherwise compile every module at the same time.
    """
    report = yield
    worker = getattr(collector.config, "workerinput", None)
    if worker is not None and isinstance(collector, pytest.Dir):
        first = len(report.result) * int(worker["workerid"].removeprefix("gw")) // worker["workercount"]
        report.result = [*report.result[first:], *report.result[:first]]
    return report


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep measured runs apart from other tests; on several workers, start the longest tests first."""
    for item in items:
        if isinstance(item, pytest.Function) and "prometheus" in item.fixturenames:
            item.add_marker(pytest.mark.acceptance)
        if scenarios := needed([item]):
            if not item.get_closest_marker("reports"):
                item.add_marker(pytest.mark.alone)
            if not SHORT.issuperset(scenarios):
                item.add_marker(pytest.mark.extended)
        if item.get_closest_marker("alone") and item.path.parent not in MEASURED:
            places = " and ".join(f"{place.relative_to(config.rootpath)}/" for place in MEASURED)
            msg = f"{item.nodeid} needs the whole machine: move it to {places}, where make test looks for such tests"
            raise pytest.UsageError(msg)
    if hasattr(config, "workerinput"):  # each worker must have the same order
        items.sort(
            key=lambda item: (item.path.parent not in STACKS, item.get_closest_marker("acceptance") is None, item.path)
        )


def pytest_collection_finish() -> None:
    """Exclude the modules' objects from garbage collection, because they exist until the end."""
    gc.freeze()
    gc.enable()


def pytest_xdist_auto_num_workers() -> int:
    """`-n auto`: two workers per core, since tests of services wait for half of their time."""
    return 2 * (os.cpu_count() or 1)


@pytest.fixture(scope="session")
def prometheus() -> PrometheusBinary:
    """A real Prometheus, downloaded into the cache when the machine has none."""
    try:
        return find_prometheus(print)
    except StackError as error:
        pytest.skip(f"no Prometheus: {error}")


@pytest.fixture(scope="session")
def suite(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> SuiteRun:
    """One run on one stack with every scenario that the tests of this session need."""
    external = request.config.getoption("--external")
    if not external:
        request.getfixturevalue("prometheus")
    profile = request.config.getoption("--profile")
    wanted = needed(request.session.items)
    if not hasattr(request.config, "workerinput"):
        return drive(wanted, tmp_path_factory.mktemp("runs"), profile, external=external)
    folder = tmp_path_factory.getbasetemp().parent / "suite"  # of all workers
    return once(folder, lambda runs: drive(wanted, runs, profile, external=external))

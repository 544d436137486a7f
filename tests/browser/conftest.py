"""A real Chromium, driven by Playwright, with the page of a made run."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from reelbench.loadgen.record.jobs import Outcome
from reelbench.reporting.compare.comparison import export as compare
from reelbench.reporting.compare.folders import COMPARISON_FILE
from reelbench.reporting.compare.writing import Output
from reelbench.reporting.export import export
from reelbench.reporting.formats import Format
from reelbench.reporting.publish import PAGE
from reelbench.stack.binaries import cache_folder
from tests.reporting.compare.variants import copy, noisy
from tests.reporting.made_run import make

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PLAYWRIGHT = "1.65.2"
AXE = "4.14.1"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
HOSTILE = '<img src=x onerror="document.title=1"></script><script>document.title=2</script>'
"""The error of a job of the page; it must stay text."""


@dataclass(frozen=True)
class Made:
    """The page of a made run, with the data that it must show."""

    page: Path
    data: dict[str, Any]
    results: dict[str, Any]


@dataclass
class Opened:
    """An open page with what the browser complained about."""

    page: Page
    complaints: list[str] = field(default_factory=list)


def _cached(name: str, command: list[str]) -> Path:
    """Return a folder of the cache that a command has filled once; skip where it cannot."""
    folder = cache_folder() / name
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            part = Path(scratch) / "part"
            done = subprocess.run([*command, str(part)], capture_output=True, text=True, check=False, timeout=600)
            if done.returncode:
                pytest.skip(f"{name} cannot be installed: {done.stderr.strip().splitlines()[-1]}")
            part.rename(folder)
    return folder


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium: ``$REELBENCH_CHROMIUM``, or the one of the system."""
    found = os.environ.get("REELBENCH_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("no Chromium on this machine; install one (apt-get install chromium)")
    return found


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Browser]:
    pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", f"playwright=={PLAYWRIGHT}"]
    folder = _cached(f"playwright-{PLAYWRIGHT}", [*pip, "--target"])
    sys.path.insert(0, str(folder))
    try:
        api = importlib.import_module("playwright.sync_api")
        with api.sync_playwright() as playwright:
            # a container without user namespaces has no sandbox; the page is our own file
            running = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            yield running
            running.close()
    finally:
        sys.path.remove(str(folder))


@pytest.fixture(scope="session")
def axe() -> str:
    """The script of axe-core, which finds barriers for people with disabilities."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("no npm on this machine, which fetches axe-core")
    options = ["--no-audit", "--no-fund", "--ignore-scripts", f"axe-core@{AXE}", "--prefix"]
    folder = _cached(f"axe-core-{AXE}", [npm, "install", *options])
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A made run of performance scenarios, one job of which failed with mark-up as its error."""
    run = make()
    first = next(number for number, job in enumerate(run.jobs) if not job.warmup)
    run.jobs[first] = msgspec.structs.replace(run.jobs[first], outcome=Outcome.FAILED, error=HOSTILE)
    folder = run.write(tmp_path_factory.mktemp("browser"))
    export(folder, None, formats=(Format.HTML, Format.JSON))
    page = folder / "reports" / PAGE
    text = page.read_text(encoding="utf-8")
    stored = text.partition('id="page-data">')[2].partition("</script>")[0]
    return Made(page, json.loads(stored), json.loads((folder / "reports" / "results.json").read_bytes()))


@pytest.fixture(scope="session")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The page that compares two made runs; the jobs of the first take a third longer."""
    folder = tmp_path_factory.mktemp("compared")
    base = make().write(folder / "base")
    export(base, None, formats=(Format.JSON,))
    slow = copy(base, folder / "slow", noisy(1), scale=1 / 1.3)
    written = compare(slow, base, output=Output(frozenset({Format.HTML})))
    (page,) = written.pages
    stored = page.read_text(encoding="utf-8").partition('id="page-data">')[2].partition("</script>")[0]
    return Made(page, json.loads(stored), json.loads((slow / "reports" / COMPARISON_FILE).read_bytes()))


def _open(browser: Browser, made: Made, **options: Any) -> Iterator[Opened]:
    context = browser.new_context(**options)
    context.set_default_timeout(120_000)  # the machine may be busy; the test waits for conditions, never for a time
    opened = Opened(context.new_page())
    opened.page.on("console", lambda message: opened.complaints.append(message.text))
    opened.page.on("pageerror", lambda error: opened.complaints.append(str(error)))
    opened.page.on(
        "request", lambda asked: opened.complaints.extend([] if asked.url.startswith("file:") else [asked.url])
    )
    opened.page.goto(made.page.as_uri())
    yield opened
    context.close()


@pytest.fixture
def opened(browser: Browser, made: Made) -> Iterator[Opened]:
    yield from _open(browser, made, viewport={"width": 1280, "height": 900})


@pytest.fixture
def narrow(browser: Browser, made: Made) -> Iterator[Opened]:
    yield from _open(browser, made, viewport={"width": 400, "height": 800})


@pytest.fixture
def comparison(browser: Browser, compared: Made) -> Iterator[Opened]:
    yield from _open(browser, compared, viewport={"width": 1280, "height": 900})


@pytest.fixture
def narrow_comparison(browser: Browser, compared: Made) -> Iterator[Opened]:
    yield from _open(browser, compared, viewport={"width": 400, "height": 800})


@pytest.fixture
def comparison_without_script(browser: Browser, compared: Made) -> Iterator[Opened]:
    yield from _open(browser, compared, java_script_enabled=False)


@pytest.fixture
def without_script(browser: Browser, made: Made) -> Iterator[Opened]:
    yield from _open(browser, made, java_script_enabled=False)

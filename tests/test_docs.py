"""Links, anchors, options, variables and paths of the pages exist."""

from __future__ import annotations

import importlib
import re
import subprocess
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

import reelbench.loadgen.__main__ as generator
from reelbench.loadgen.plan.scenario_file import load_folder
from reelbench.monitoring.generate import generate
from reelbench.service.providers.app import Settings as ProviderSettings
from reelbench.service.settings import Settings
from reelbench.suite.commands.command_line import COMMANDS
from tests.documented import is_target
from tests.pages import ROOT, Page, pages, tracked

PAGES = pages()
LANGUAGES = {"sh", "yaml", "json", "python", "mermaid", "text", "bibtex"}
CODE = tuple({path.split("/")[0] + "/" for path in tracked() if path.endswith(".py")} - {"tests/", "docs/"})
"""Folders with code."""
PARTS = ("PROMETHEUS", "TEMPO", "GRAFANA", "OTEL", "REELBENCH")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
VARIABLE = re.compile(rf"(?<![\w*])(?:SERVICE|PROVIDERS|{'|'.join(PARTS)})_[A-Z0-9_]*[A-Z0-9](?![\w*])")
PATHLIKE = re.compile(r"[\w.-]+(?:/[\w.*-]+)+/?|[\w.-]+\.(?:md|py|ya?ml|toml|svg|pdf)|\.env|Makefile")
COMPOSE = {"--wait", "--profile", "--scale", "--build"}
OF_A_RUN = re.compile(
    r"(runs|reports|traces|logs|prometheus|assets|docs/figures|tests/reports)/|.*_report\.md$|.*\.jsonl?$"
)
"""Files and folders that a run makes."""
MADE_UP = {
    "my_prices.yaml": "the user's own price list",
    "my_paper.pdf": "the user's own document",
    "reporting/sections/performance/slowest_jobs.py": "what the reader makes in the how-to",
    "report.html": "a file of a run",
    "summary.md": "a file of a run",
    "appendix.md": "a file of a run",
    "junit.xml": "a file of a run",
}


def each_page() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@each_page()
def test_every_code_block_has_a_language(page: Page) -> None:
    assert [(block.line, block.language) for block in page.blocks if block.language not in LANGUAGES] == []


@each_page()
def test_every_link_has_an_existing_target(page: Page) -> None:
    known = {other.name: other.anchors for other in PAGES}
    broken = []
    for link in page.links:
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page.name).parent / path if path else ROOT / page.name
        name = target.resolve().relative_to(ROOT).as_posix()
        if not target.exists() or (anchor and anchor not in known[name]):
            broken.append(link)
    assert broken == []


def phrases_hook() -> dict[str, str]:
    """Return the pre-commit hook that holds the pattern of the phrases to avoid."""
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    (hook,) = (hook for hook in repository["hooks"] if hook["id"] == "phrases")
    return hook


def test_no_phrase_to_avoid_stands_in_code_or_pages() -> None:
    hook = phrases_hook()
    phrase, excluded = re.compile(hook["entry"]), re.compile(hook["exclude"])
    checked = [
        name for name in tracked() if name.endswith((".py", ".md", ".yaml", ".yml")) and not excluded.search(name)
    ]
    assert len(checked) > 100
    found = [
        f"{name}:{number}: {match[0]}"
        for name in checked
        for number, line in enumerate((ROOT / name).read_text().splitlines(), 1)
        if (match := phrase.search(line))
    ]
    assert found == []


@pytest.mark.parametrize("words", [("all", "the", "same"), ("comes", "to"), ("for", "good"), ("by", "turns")])
def test_a_phrase_to_avoid_is_found(words: tuple[str, ...]) -> None:
    assert re.search(phrases_hook()["entry"], " ".join(words))


@each_page()
def test_no_word_to_avoid_stands_in_a_page(page: Page) -> None:
    lines = (ROOT / ".codespell" / "words.txt").read_text().splitlines()
    words = {line.partition("->")[0] for line in lines if line}
    assert words & set(re.findall(r"[a-z]+", page.prose.lower())) == set()


@pytest.mark.parametrize("folder", ["docs", "docs/decisions"])
def test_every_page_is_in_the_index_of_its_folder(folder: str) -> None:
    index = next(page for page in PAGES if page.name == f"{folder}/README.md")
    linked = {(Path(folder) / link).as_posix() for link in index.links}
    in_folder = {page.name for page in PAGES if Path(page.name).parent.as_posix() == folder}
    assert in_folder - linked == {index.name}


@cache
def options() -> frozenset[str]:
    """The options of all commands."""
    commands = [generator.app]
    scripts = [f"scripts.{path.stem}" for path in sorted((ROOT / "scripts").glob("*.py"))]
    for module in (*scripts, *(f"reelbench.suite.commands.{name}" for name in COMMANDS)):
        app = typer.Typer(add_completion=False)
        app.command()(importlib.import_module(module).main)
        commands.append(app)
    found = {
        option for app in commands for command in every(typer.main.get_command(app)) for option in spelled(command)
    }
    for path in ("service/__main__.py", "service/providers/__main__.py", "tests/conftest.py"):
        found |= set(re.findall(r'"(--[a-z-]+)"', (ROOT / path).read_text()))
    return frozenset(found)


def every(command: Any) -> Iterator[Any]:
    yield command
    for inner in getattr(command, "commands", {}).values():
        yield from every(inner)


def spelled(command: Any) -> list[str]:
    return [option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)]


@each_page()
def test_every_option_in_running_text_exists(page: Page) -> None:
    deployed = (ROOT / "docker-compose.yml").read_text()
    named = {option for code in page.inline for option in OPTION.findall(code)}
    assert {option for option in named - options() - COMPOSE if option not in deployed} == set()


@cache
def variables() -> frozenset[str]:
    """Settings of service and providers, and environment variables that the code reads."""
    found = {f"SERVICE_{name.upper()}" for name in Settings.model_fields}
    for name, field in ProviderSettings.model_fields.items():
        inner = getattr(field.annotation, "model_fields", {})
        found |= {f"PROVIDERS_{name.upper()}", *(f"PROVIDERS_{name.upper()}__{key.upper()}" for key in inner)}
    for path in tracked():
        if path.startswith(CODE) or path in {"docker-compose.yml", ".env", "Makefile", "tests/stack/full/native.py"}:
            found |= set(re.findall(r"\b[A-Z][A-Z0-9]+_[A-Z0-9_]+\b", (ROOT / path).read_text(errors="ignore")))
    return frozenset(found)


@each_page()
def test_every_variable_exists(page: Page) -> None:
    assert set(VARIABLE.findall(page.text)) - variables() == set()


@each_page()
def test_every_path_exists(page: Page) -> None:
    top = {path.split("/")[0] for path in tracked()}
    missing = []
    for code in page.inline:
        for word in code.split():
            path = word.strip(",;:()")
            first = path.split("/")[0]
            if not PATHLIKE.fullmatch(path) or (first not in top and "/" in path) or path in MADE_UP:
                continue
            if OF_A_RUN.match(path) and first not in {"docs", "tests", "prometheus"}:
                continue
            if not exists(path) and not OF_A_RUN.match(path):
                missing.append(path)
    assert missing == []


def exists(path: str) -> bool:
    if "/" not in path:  # a bare file name, such as tts.py
        return any(known.rpartition("/")[2] == path for known in tracked())
    folder = path.rstrip("/") + "/"
    return any(fnmatch(known, path) or known.startswith(folder) for known in tracked())


def test_the_example_server_has_the_stated_length() -> None:
    assert "less than 80 lines" in (ROOT / "docs" / "your-service.md").read_text()
    assert len((ROOT / "docs" / "examples" / "videos_server.py").read_text().splitlines()) < 80


def test_the_scenario_of_the_readme_is_valid(tmp_path: Path) -> None:
    (block,) = (
        block for page in PAGES if page.name == "README.md" for block in page.blocks if block.language == "yaml"
    )
    (tmp_path / "evening_outage.yaml").write_text(block.body)
    assert [case.name for case in load_folder(tmp_path)["evening_outage"].cases] == ["peak"]


def test_a_clone_with_other_line_ends_has_the_same_bytes(tmp_path: Path) -> None:
    git = ("git", "-c", "core.autocrlf=true", "-c", "safe.directory=*")
    if subprocess.run([*git, "init", "-q", str(tmp_path)], check=False).returncode:
        pytest.skip("no git here")
    (tmp_path / ".gitattributes").write_bytes((ROOT / ".gitattributes").read_bytes())
    names = ("rules.yml", "page.md", "data.json", "script.py", "Makefile", "seeds.jsonl", "requirements.lock", "a.svg")
    for name in names:
        (tmp_path / name).write_bytes(b"one\ntwo\n")
    subprocess.run([*git, "-C", str(tmp_path), "add", "."], check=True, capture_output=True)
    for name in names:
        (tmp_path / name).unlink()
    subprocess.run([*git, "-C", str(tmp_path), "checkout", "-q", "--", *names], check=True)
    assert {name: (tmp_path / name).read_bytes() for name in names} == dict.fromkeys(names, b"one\ntwo\n")


def test_the_generated_files_are_marked_as_generated() -> None:
    attributes = (ROOT / ".gitattributes").read_text()
    patterns = [line.split()[0] for line in attributes.splitlines() if "linguist-generated" in line]
    marked = {name for name in tracked() if any(fnmatch(name, pattern.strip("/")) for pattern in patterns)}
    assert marked == {
        *generate(),
        "docs/scenario-file.md",
        "docs/target-file.md",
        "requirements.lock",
        "requirements-dev.lock",
        "requirements-fuzz.lock",
        "requirements-image.lock",
    }


def test_the_citation_names_the_version_of_the_package() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"]
    assert cited == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_the_workflow_calls_targets_of_the_makefile() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    lines = [step.get("run", "") for job in workflow["jobs"].values() for step in job["steps"]]
    called = [re.sub(r" PYTHON=\w+", "", line) for line in lines if line.startswith("make ")]
    assert {"make lint", "make test", "make test-fast"} <= set(called)
    for command in called:
        is_target(command.replace("make .venv/.runtime", "make suite"))

"""Prometheus' rules: accepted, and their unit tests in prometheus/tests, by promtool."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from reelbench.stack import dotenv
from reelbench.stack.binaries import cache_folder
from reelbench.stack.tools import locate
from tests.stack.full import compose

ROOT = compose.ROOT
RULES = sorted((ROOT / "prometheus" / "rules").glob("*.yml"))
TESTS = sorted((ROOT / "prometheus" / "tests").glob("*.yml"))
NEEDS_NATIVE = {"native.yml"}
"""Files with native histograms, which promtool reads since Prometheus 3."""


@pytest.fixture(scope="session")
def promtool() -> Path:
    """A promtool: built by `make stack-tools`, on the path, or in the cache next to a Prometheus."""
    cache = cache_folder()
    found = [locate(dotenv.read(), cache).promtool, *filter(None, [shutil.which("promtool")])]
    found += sorted(cache.glob("prometheus-*/promtool"))
    for path in (Path(str(one)) for one in found):
        if path.is_file():
            return path
    pytest.skip("there is no promtool: not on PATH, not in the cache; where there is Go: make stack-tools")


def version(promtool: Path) -> int:
    done = subprocess.run([promtool, "--version"], capture_output=True, text=True, check=True)
    found = re.search(r"version (\d+)\.", done.stdout + done.stderr)
    assert found is not None
    return int(found[1])


def test_promtool_accepts_every_rule(promtool: Path) -> None:
    done = subprocess.run([promtool, "check", "rules", *RULES], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("SUCCESS") == len(RULES) == 3


@pytest.mark.acceptance
@pytest.mark.extended
@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_rules_pass_their_unit_tests(promtool: Path, path: Path) -> None:
    if path.name in NEEDS_NATIVE and version(promtool) < 3:
        pytest.skip(f"{promtool} reads no native histograms in tests; where there is Go: make stack-tools")
    done = subprocess.run([promtool, "test", "rules", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_written_by_hand_has_a_test() -> None:
    """Alerts of objectives have one common form, and tests cover examples of it."""
    tested = set(re.findall(r"alertname: (\w+)", " ".join(path.read_text() for path in TESTS)))
    names = {
        rule["alert"]
        for group in yaml.safe_load((ROOT / "prometheus" / "rules" / "stack.yml").read_text())["groups"]
        for rule in group["rules"]
    }
    assert names <= tested


def test_prometheus_loads_the_rules_from_the_folder_that_compose_mounts() -> None:
    config = yaml.safe_load((ROOT / "prometheus" / "prometheus.yml").read_text())
    assert config["rule_files"] == ["rules/*.yml"]
    assert "./prometheus:/clone/prometheus:ro" in compose.load()["services"]["configuration"]["volumes"]
    assert "configuration:/config:ro" in compose.load()["services"]["prometheus"]["volumes"]
    assert "--config.file=/config/prometheus/prometheus.yml" in compose.load()["services"]["prometheus"]["command"]


def test_every_alert_has_severity_summary_and_runbook() -> None:
    page = (ROOT / "docs" / "dashboards.md").read_text()
    anchors = {f"docs/dashboards.md#{line[4:].lower()}" for line in page.splitlines() if line.startswith("### ")}
    for path in RULES:
        for group in yaml.safe_load(path.read_text())["groups"]:
            for rule in group["rules"]:
                assert re.fullmatch(r"\w+(:\w+)*", rule.get("record", "x")), rule
                if "alert" in rule:
                    assert rule["labels"]["severity"] in {"critical", "warning"}
                    assert rule["annotations"]["summary"].endswith(".")
                    assert rule["annotations"]["runbook_url"] in anchors
                    assert re.fullmatch(r"\d+[smh]", rule["for"])

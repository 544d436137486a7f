"""SECURITY.md names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
_TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


def test_the_threat_model_names_tests_that_exist() -> None:
    text = (ROOT / "SECURITY.md").read_text("utf-8")
    rows = [
        line for line in text.partition("## Threats")[2].partition("\n## ")[0].splitlines() if line.startswith("| ")
    ]
    threats = rows[2:]
    assert len(threats) >= 15
    for row in threats:
        named = _TEST.findall(row)
        assert named, f"no test: {row}"
        for path, function in named:
            content = (ROOT / path).read_text("utf-8")
            assert f"def {function}(" in content if function else "def test_" in content, (path, function)

"""Numbers of YAML 1.1 that mean something else than they look."""

from __future__ import annotations

from pathlib import Path

import pytest

from reelbench.loadgen.plan.scenario_file import FOLDER, ScenarioError, load_folder
from reelbench.loadgen.strict_yaml import UnreadableError, parse_mapping


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("1:30", "1:30 is 90 in YAML 1.1, but not in YAML 1.2; write a plain decimal number"),
        ("1:30.5", "1:30.5 is 90.5 in YAML 1.1, but not in YAML 1.2; write a plain decimal number"),
        ("060", "060 is 48 in YAML 1.1, but not in YAML 1.2; write a plain decimal number"),
        ("-07", "-07 is -7 in YAML 1.1, but not in YAML 1.2; write a plain decimal number"),
    ],
)
def test_sexagesimal_and_octal_numbers_are_refused(value: str, problem: str) -> None:
    with pytest.raises(UnreadableError) as found:
        parse_mapping(f"name: x\ntime_limit: {value}\n".encode(), "scenario", "name")
    assert str(found.value) == f"line 2: not valid YAML: {problem}; correct it"


@pytest.mark.parametrize(
    ("value", "read"),
    [("60", 60), ("0", 0), ("0.5", 0.5), ("'1:30'", "1:30"), ("0o60", "0o60"), ("1e3", "1e3"), ("0x10", 16)],
)
def test_other_values_stay(value: str, read: object) -> None:
    assert parse_mapping(f"time_limit: {value}\n".encode(), "scenario", "name") == ({"time_limit": read}, [])


def test_scenario_files_may_end_in_yml_and_a_second_file_of_a_name_is_an_error(tmp_path: Path) -> None:
    source = (FOLDER / "single_request.yaml").read_text("utf-8")
    (tmp_path / "single_request.yml").write_text(source)
    assert list(load_folder(tmp_path)) == ["single_request"]
    (tmp_path / "single_request.yaml").write_text(source)
    with pytest.raises(ScenarioError, match=r"request\.yml: there is also single_request\.yaml; keep one"):
        load_folder(tmp_path)

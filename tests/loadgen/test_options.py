from __future__ import annotations

from pathlib import Path

import pytest

from reelbench.loadgen.option_line import Options
from reelbench.loadgen.options import OptionsError, Settings, check_options
from reelbench.loadgen.plan.scenario_file import FOLDER, load_folder

TARGET = "http://127.0.0.1:9"


def settings(folder: Path, **given: object) -> Settings:
    return check_options(folder / "run", "r1", Options(target=TARGET, **given))  # type: ignore[arg-type]


def names(folder: Path, **given: object) -> list[str]:
    return [scenario.name for scenario in settings(folder, **given).scenarios]


def own(folder: Path, *names: str) -> Path:
    """Write scenarios of a user into a folder and return the folder."""
    place = folder / "own"
    place.mkdir()
    text = (FOLDER / "single_request.yaml").read_text()
    for name in names:
        (place / f"{name}.yaml").write_text(text.replace("name: single_request", f"name: {name}"))
    return place


def test_without_a_name_the_scenarios_of_the_own_folder_run_alone(tmp_path: Path) -> None:
    assert names(tmp_path, scenarios=own(tmp_path, "mine", "also_mine")) == ["also_mine", "mine"]
    assert names(tmp_path) == list(load_folder())


def test_with_names_both_own_and_built_in_scenarios_can_be_chosen(tmp_path: Path) -> None:
    chosen = names(tmp_path, scenarios=own(tmp_path, "mine"), scenario=("mine", "throughput"))
    assert chosen == ["mine", "throughput"]


@pytest.mark.parametrize(
    ("files", "error"),
    [
        (("spike", "mine"), "--scenarios: spike.yaml has the name of a built-in scenario; give the file and the"),
        ((), "own: holds no scenario files (*.yaml); name the folder that does"),
    ],
)
def test_an_own_folder_that_cannot_be_used_is_one_sentence(tmp_path: Path, files: tuple[str, ...], error: str) -> None:
    folder = own(tmp_path, *files)
    with pytest.raises(OptionsError) as raised:
        settings(tmp_path, scenarios=folder)
    (line,) = raised.value.errors
    assert error in line


def test_a_missing_folder_and_an_unknown_scenario_are_errors(tmp_path: Path) -> None:
    with pytest.raises(OptionsError) as raised:
        settings(tmp_path, scenarios=tmp_path / "nowhere")
    assert raised.value.errors == (
        f"--scenarios: {tmp_path / 'nowhere'}: is no folder; name the folder that holds the scenario files (*.yaml)",
    )
    with pytest.raises(OptionsError) as raised:
        settings(tmp_path, scenarios=own(tmp_path, "mine"), scenario=("yours",))
    (line,) = raised.value.errors
    assert line.startswith("--scenario: 'yours' is unknown; use ")
    assert line.endswith(", mine")


def test_polls_grow_only_up_to_the_pace_of_a_preset(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("name: mine\ntitle: Mine\npace: {poll_interval: 2}\n")
    assert settings(tmp_path, preset="vllm_omni").growing_polls
    assert not settings(tmp_path, preset="vllm_omni", poll_interval=2.0).growing_polls
    assert not settings(tmp_path, target_file=file).growing_polls
    assert not settings(tmp_path).growing_polls

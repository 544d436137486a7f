"""The page of the scenario file, compared with pydantic's JSON schema."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from reelbench.loadgen.plan import reference
from reelbench.loadgen.plan.scenario import PerProfile, Scenario
from reelbench.loadgen.plan.scenario_file import load_file

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "evening_peak.yaml"
PAGE = reference.markdown(EXAMPLE).decode()


def rows(page: str) -> dict[str, dict[str, tuple[str, ...]]]:
    """Cells of each key, by section and key."""
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for line in page.splitlines():
        if line.startswith("## "):
            found[section := line[3:].strip("`")] = {}
        elif line.startswith("| `"):
            cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            found[section][cells[0].strip("`")] = tuple(cells[1:])
    return found


def schema_of(path: str) -> dict[str, Any]:
    """The properties at a place of the file, with references resolved."""
    schema = Scenario.model_json_schema()
    here = schema
    for part in re.findall(r"\w+", path):
        here = follow(here["properties"][part], schema)
    properties: dict[str, Any] = here["properties"]
    return {name: follow(value, schema) for name, value in properties.items()}


def follow(value: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    while True:
        if "anyOf" in value:
            value = next(part for part in value["anyOf"] if part.get("type") != "null")
        elif value.get("type") == "array":
            value = value["items"]
        elif "$ref" in value:
            value = schema["$defs"][value["$ref"].rpartition("/")[2]]
        else:
            return value


def test_every_key_is_on_the_page_with_bounds_values_and_meaning() -> None:
    for section, keys in rows(PAGE).items():
        if not keys:
            continue
        wanted = schema_of("" if section == "The whole file" else section)
        assert list(keys) == list(wanted)
        for name, one in wanted.items():
            kind, limits, _default, meaning = keys[name]
            by_profile = set(one.get("properties", ())) == {"quick", "standard", "paper"}
            value = one["properties"]["quick"] if by_profile else one
            for bound in ("minimum", "maximum", "exclusiveMinimum"):
                if bound in value:
                    number = value[bound]
                    assert re.search(rf"\b{number:{',' if isinstance(number, int) else ',g'}}\b", limits), (name, bound)
            assert all(f"`{word}`" in kind for word in value.get("enum", ())), name
            assert meaning, name


def places(path: str = "") -> list[str]:
    """Every mapping of the file with keys other than the profiles, in order."""
    found = [path]
    for name, value in schema_of(path).items():
        if "properties" in value and set(value["properties"]) != {"quick", "standard", "paper"}:
            found += places(f"{path}.{name}" if path else name)
    return found


def test_the_page_has_a_section_for_each_mapping() -> None:
    sections = [name.replace("[]", "") for name, keys in rows(PAGE).items() if keys]
    assert sections == ["The whole file", *places()[1:]]
    assert "cases.faults.what" in sections


def test_a_row_shows_the_declared_type_limits_default_and_meaning() -> None:
    page = rows(PAGE)
    assert page["The whole file"]["rest"] == (
        "number", "at least 0, at most 600", "`0.0`",
        "Seconds without load before the measured part of each case and after the last case.",
    )  # fmt: skip
    assert page["cases[]"]["iterations"][:3] == ("whole number by profile", "at least 1, at most 100,000", "`0`")
    assert page["cases[].faults[].what"]["status"][:3] == ("whole number", "at least 400, at most 599", "none")


class Load(BaseModel):
    """Amount of load."""

    speed: Annotated[
        PerProfile[Annotated[float, Field(gt=0, le=50)]] | None, Field(description="Arrivals per second, by profile.")
    ] = None
    shape: Annotated[Literal["even", "poisson"], Field(alias="form", description="How they are `spaced`.")] = "even"


def test_new_fields_appear_on_the_page() -> None:
    assert rows(reference.markdown(EXAMPLE, Load).decode())["The whole file"] == {
        "speed": ("number by profile", "above 0, at most 50", "none", "Arrivals per second, by profile."),
        "form": ("one of `even`, `poisson`", "", "`even`", "How they are `spaced`."),
    }


def test_the_example_is_valid_and_on_the_page() -> None:
    loaded = load_file(EXAMPLE)
    assert [case.name for case in loaded.cases] == ["calm", "peak", "silence"]
    assert f"```yaml\n{EXAMPLE.read_text()}```" in PAGE

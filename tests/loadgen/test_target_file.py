"""Target files: presets, mistakes, and the page about them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from reelbench.loadgen.document import Document
from reelbench.loadgen.plan.plan import PlannedJob
from reelbench.loadgen.plan.row import Ask
from reelbench.loadgen.strict_model import inner, is_model, keys
from reelbench.loadgen.target.asked import Asked, nested
from reelbench.loadgen.target.reference import markdown
from reelbench.loadgen.target.target_file import (
    Create,
    TargetFile,
    TargetFileError,
    load_preset,
    load_target_file,
    presets,
)

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "my_server.yaml"
IMAGE = Document(name="cat.png", media_type="image/png", data=b"png")
PAPER = Document(name="a.pdf", media_type="application/pdf", data=b"%PDF-")
JOB = PlannedJob(
    scenario="trial", case="n01", index=0, warmup=False, steps=("create", "wait"), encoding="multipart",
    prompt="a cat", seconds="4", size="720x1280", cancel_after=None, intended_start=None,
)  # fmt: skip


def mistakes(folder: Path, text: str) -> list[str]:
    path = folder / "mine.yaml"
    path.write_text(text)
    with pytest.raises(TargetFileError) as caught:
        load_target_file(path)
    return list(caught.value.errors)


def test_all_mistakes_of_a_file_are_reported_together(tmp_path: Path) -> None:
    found = mistakes(tmp_path, "name: mine\ncreate: {encodng: json, seconds_as: minutes}\npace: {poll_interval: 0}\n")
    places = {line.partition(": ")[2].partition(": ")[0] for line in found}
    assert places == {"title", "create.encodng", "create.seconds_as", "pace.poll_interval"}
    assert "did you mean encoding?" in " ".join(found)


@pytest.mark.parametrize(
    ("create", "place"),
    [
        ("{extra: {size: 1x1}}", "create.extra.size"),
        ("{extra: {model: m}}", "create.extra.model"),
        ("{reference_field: null}", "create.reference"),
        ("{fields: {seconds: n, num_frames: n}}", "create.fields"),
    ],
)
def test_fields_that_contradict_each_other_are_a_mistake(tmp_path: Path, create: str, place: str) -> None:
    (found,) = mistakes(tmp_path, f"name: mine\ntitle: Mine\ncreate: {create}\n")
    assert found.startswith(f"mine.yaml: {place}: ")


def test_an_unknown_preset_is_answered_with_the_known_ones() -> None:
    with pytest.raises(TargetFileError, match="no preset 'sora'; use dynamo, fastvideo, "):
        load_preset("sora")


def test_every_preset_says_what_it_offers_and_names_its_metrics() -> None:
    sets = {"dynamo", "litellm", "process", "sglang_diffusion", "tensorrt_llm", "vllm_omni"}
    for name in presets():
        file = load_preset(name)
        assert (file.name, file.offers.wait is None) == (name, False)
        assert {one for source in file.metrics for one in source.names} <= sets


def test_every_key_is_on_the_page() -> None:
    page = markdown(EXAMPLE).decode()
    rows = re.findall(r"^\| `(\w+)` ", page, re.MULTILINE)

    def names(model: type[BaseModel]) -> list[str]:
        return [*keys(model), *(name for field in keys(model).values() for name in below(field.annotation))]

    def below(annotation: object) -> list[str]:
        kind = inner(annotation)[0]
        return names(kind) if is_model(kind) else []

    assert sorted(rows) == sorted(names(TargetFile))
    assert page.endswith(f"{EXAMPLE.read_text()}```\n")
    assert all(f"`{name}`" in page for name in presets())


def test_a_job_is_written_in_the_fields_of_the_server() -> None:
    create = load_target_file(EXAMPLE).create
    ask = Ask(num_inference_steps=20, seed=7, guidance_scale=5.0, extra={"options.mode": "fast"})
    planned = JOB.__class__(**{name: getattr(JOB, name) for name in JOB.__struct_fields__} | {"ask": ask})
    assert nested(Asked(create, None).fields(planned, planned.prompt)) == {
        "prompt": "a cat",
        "model": "wan2.2-t2v-a14b",
        "width": 720,
        "height": 1280,
        "frames": 64,
        "fps": 16,
        "options": {"sampler": "unipc", "steps": 20, "seed": 7, "mode": "fast"},
    }
    assert Asked(create, "other").fields(JOB, "p")["model"] == "other"


@pytest.mark.parametrize(("manner", "value"), [("text", "4"), ("whole number", 4), ("number", 4.0)])
def test_the_length_has_the_type_of_the_server(manner: str, value: object) -> None:
    create = Create.model_validate({"seconds_as": manner})
    sent = Asked(create, None).fields(JOB, "p")["seconds"]
    assert (sent, type(sent)) == (value, type(value))


def test_only_files_of_a_known_kind_are_sent() -> None:
    images = Asked(Create(), None)
    assert (images.takes(IMAGE), images.takes(PAPER)) == (True, False)
    assert b"cat.png" in b"".join(images.body(JOB, IMAGE, "p").parts)
    assert b"a.pdf" not in b"".join(images.body(JOB, PAPER, "p").parts)
    assert not Asked(Create(reference_field=None, reference=()), None).takes(IMAGE)

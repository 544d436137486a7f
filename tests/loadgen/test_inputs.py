from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from reelbench.loadgen.document import SAMPLE
from reelbench.loadgen.option_line import NO_DOCUMENT, Options
from reelbench.loadgen.options import OptionsError, Settings, check_options
from reelbench.loadgen.plan.plan import plan_run

WANTED = "name a PNG, JPEG, WebP, GIF or MP4 file"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "cats").mkdir(parents=True)
    Image.new("RGB", (8, 8), "red").save(folder / "red.png")
    Image.new("RGB", (8, 8), "blue").save(folder / "cats" / "blue.jpg")
    Image.new("RGB", (8, 8), "green").save(folder / "cats" / "red.png")
    (folder / "p.txt").write_text("A kite\nA boat\n")
    (folder / "t.csv").write_text("at,image\n0,\n1,red.png\n")
    return folder


def check(**options: Any) -> Settings:
    return check_options(Path("/nonexistent/run"), "r1", Options(target="http://127.0.0.1:1", **options))


def mistakes(**options: Any) -> list[str]:
    with pytest.raises(OptionsError) as caught:
        check(**options)
    return list(caught.value.errors)


def test_the_default_follows_what_the_server_takes(files: Path) -> None:
    ours, foreign = check(preset="reelbench").inputs, check().inputs
    assert ours.document is not None
    assert (ours.document.name, ours.workload.builtin) == (SAMPLE.name, "document")
    assert (foreign.document, foreign.workload.builtin) == (None, "text_to_video")
    assert check(preset="openai").inputs.document is None
    assert check(preset="reelbench", document=NO_DOCUMENT).inputs.workload.builtin == "text_to_video"
    given = check(document=SAMPLE).inputs
    assert given.document is not None
    assert given.workload.builtin == "document"


def test_a_document_stays_none_on_the_command_line_of_the_generator(tmp_path: Path) -> None:
    assert Options(document=NO_DOCUMENT, prompts=tmp_path / "p.txt").arguments() == [
        *("--document", "none", "--prompts", str(tmp_path / "p.txt"))
    ]
    assert Options().arguments() == []


def test_images_are_given_to_the_jobs_in_order_and_a_row_can_name_its_own(files: Path) -> None:
    rows = [{"prompt": "a"}, {"prompt": "b", "image": "cats/blue.jpg"}, {"prompt": "c", "image": "red.png"}]
    (files / "p.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = check(prompts=files / "p.jsonl", image=(files / "red.png",), scenario=("single_request",))
    jobs = plan_run(found.scenarios, "quick", 1, found.inputs.workload)
    assert [job.reference for job in jobs[1:5]] == ["red.png", "cats/blue.jpg", "red.png", "red.png"]
    assert sorted(found.inputs.references) == ["cats/blue.jpg", "red.png"]
    record = found.inputs.record()
    assert [(file.name, file.bytes) for file in record.references] == [
        ("red.png", (files / "red.png").stat().st_size),
        ("cats/blue.jpg", (files / "cats" / "blue.jpg").stat().st_size),
    ]
    assert str(files) not in str(record)


def test_a_trace_alone_runs_the_replay_and_with_scenarios_it_is_one_of_them(files: Path) -> None:
    alone = check(arrivals=files / "t.csv", speed=2.0)
    assert [scenario.name for scenario in alone.scenarios] == ["replay"]
    jobs = plan_run(alone.scenarios, "quick", 1, alone.inputs.workload)
    assert [(job.intended_start, job.reference) for job in jobs] == [(0.0, None), (0.5, "red.png")]
    both = check(arrivals=files / "t.csv", scenario=("tts_failures", "throughput"))
    assert [scenario.name for scenario in both.scenarios] == ["throughput", "replay", "tts_failures"]
    assert check(arrivals=files / "t.csv", time_limit=77.0).scenarios[0].time_limit == 77


def test_mistakes_in_the_files_are_one_sentence_each_and_found_together(files: Path) -> None:
    (files / "bad.jsonl").write_text('{"prompt": "a", "image": "nix.png"}\n{"prompt": "b", "image": "p.txt"}\n')
    (files / "none.txt").write_text("")
    assert mistakes(prompts=files / "bad.jsonl", arrivals=files / "none.txt", speed=0.0, prompt_order="x") == [
        "--arrivals: none.txt: its name ends in .txt; name it .jsonl and write an object a line, or use CSV",
        "--prompt-order: 'x' is unknown; use file or drawn",
        "--speed: is 0; use a number above 0 and up to 1,000,000",
        f"--prompts: bad.jsonl row 1: image: nix.png is not there; {WANTED}",
        f"--prompts: bad.jsonl row 2: image: p.txt is neither an image nor a video; {WANTED}",
    ]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"speed": 2.0}, "--speed: is given without --arrivals; give a trace, too"),
        ({"prompt_order": "drawn"}, "--prompt-order: is given without --prompts; give a prompts file, too"),
        (
            {"document": SAMPLE, "image": ("red.png",)},
            "--document: is given with --image, but a job uploads one file; ",
        ),
        ({"image": ("red.png", "cats/red.png")}, "--image: red.png is the name of two files; rename one"),
        (
            {"preset": "openai", "document": SAMPLE},
            "--document: uploads a file of the kind document, but the target openai takes only image",
        ),
    ],
)
def test_options_that_exclude_each_other(files: Path, options: dict[str, Any], expected: str) -> None:
    if "image" in options:
        options = options | {"image": tuple(files / name for name in options["image"])}
    assert mistakes(**options)[0].startswith(expected)


def test_weights_need_a_draw_and_a_weight_above_0(files: Path) -> None:
    (files / "w.csv").write_text("prompt,weight\na,0\nb,0\n")
    assert mistakes(prompts=files / "w.csv", prompt_order="drawn") == [
        "--prompts: w.csv: all weights are 0; give one row a weight above 0"
    ]
    assert check(prompts=files / "w.csv").inputs.notes == ("the weights of w.csv count with --prompt-order drawn only",)


def test_the_record_names_files_and_checksums_and_no_path(files: Path) -> None:
    found = check(prompts=files / "p.txt", arrivals=files / "t.csv", speed=3.0).inputs
    record = found.record()
    assert record.prompts is not None
    assert record.arrivals is not None
    assert (record.prompts.name, record.prompts.rows, record.order) == ("p.txt", 2, "file")
    assert (record.arrivals.name, record.arrivals.rows, record.speed) == ("t.csv", 2, 3.0)
    assert found.document_record() is None
    given = check(document=SAMPLE).inputs.document_record()
    assert given is not None
    assert (given.name, given.sha256) == ("sample_paper.pdf", hashlib.sha256(SAMPLE.read_bytes()).hexdigest())

"""NVIDIA's AIPerf measures the service; what AIPerf reports equals what the service says."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from reelbench.stack.binaries import cache_folder

VERSION = "0.13.0"
PROMPTS = ("A paper boat on a river", "A lighthouse at night", "Two robots playing chess")
TOKENIZER = {
    "tokenizer.json": {
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": {"type": "Whitespace"},
        "model": {"type": "WordLevel", "vocab": {"<unk>": 0}, "unk_token": "<unk>"},
    },
    "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "<unk>"},
}
"""The smallest tokenizer: AIPerf needs one even for video, and would download it."""

pytestmark = [pytest.mark.extended, pytest.mark.clients]


@pytest.fixture(scope="session")
def aiperf() -> Path:
    """The program, in a virtual environment of its own in the cache: it is large and pins other versions."""
    folder = cache_folder() / f"aiperf-{VERSION}"
    program, done = folder / "bin" / "aiperf", folder / "installed"
    if not done.exists():
        venv.create(folder, with_pip=True, clear=True)
        command = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", f"aiperf=={VERSION}"]
        installed = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
        if installed.returncode:
            pytest.skip(f"pip cannot install aiperf {VERSION}: {installed.stderr.strip().splitlines()[-1]}")
        done.touch()
    return program


def test_six_videos_of_an_accelerator_like_service(aiperf: Path, start: Callable[..., Any], tmp_path: Path) -> None:
    running = start(api_key="aiperf", workers=1, seconds_per_step=0.01, peak_memory_mb=21_504)
    (tmp_path / "prompts.jsonl").write_text("".join(f"{json.dumps({'text': prompt})}\n" for prompt in PROMPTS))
    (tmp_path / "tokenizer").mkdir()
    for name, content in TOKENIZER.items():
        (tmp_path / "tokenizer" / name).write_text(json.dumps(content))
    fields = {
        "size": "640x384",
        "num_frames": "33",
        "fps": "16",
        "num_inference_steps": "30",
        "guidance_scale": "4.5",
        "seed": "42",
        "negative_prompt": "blurry",
    }
    command = [
        str(aiperf),
        "profile",
        "--endpoint-type",
        "video_generation",
        "--url",
        running.url,
        "--api-key",
        "aiperf",
    ]
    command += ["--model", "sora-2", "--tokenizer", str(tmp_path / "tokenizer"), "--ui", "simple"]
    command += ["--input-file", str(tmp_path / "prompts.jsonl"), "--custom-dataset-type", "single_turn"]
    command += ["--concurrency", "2", "--request-count", "6", "--download-video-content"]
    command += ["--output-artifact-dir", str(tmp_path / "artifacts")]
    for name, value in fields.items():
        command += ["--extra-inputs", f"{name}:{value}"]
    with tempfile.TemporaryDirectory() as home:
        environment = {"PATH": os.environ["PATH"], "HOME": home, "LANG": "C.UTF-8"}
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=180
        )
    assert done.returncode == 0, done.stdout + done.stderr

    found = json.loads((tmp_path / "artifacts" / "profile_export_aiperf.json").read_text())
    headers = {"Authorization": "Bearer aiperf"}
    videos = httpx.get(f"{running.url}/v1/videos", headers=headers).json()["data"]
    assert len(videos) == 6
    assert {(one["status"], one["size"], one["seconds"], one["model"]) for one in videos} == {
        ("completed", "640x384", "2.0625", "sora-2")
    }
    assert (found["is_complete"], found["error_summary"]) == (True, [])
    assert (found["request_count"]["avg"], found["request_error_rate"]["avg"]) == (6, 0)
    times = sorted(1000 * one["inference_time_s"] for one in videos)
    measured = found["video_inference_time"]
    assert (measured["unit"], measured["count"]) == ("ms", 6)
    assert measured["sum"] == pytest.approx(sum(times), abs=0.01)
    assert (measured["min"], measured["max"]) == pytest.approx((times[0], times[-1]), abs=0.01)
    assert times[0] >= 300, "30 steps of 10 ms"
    memory = found["video_peak_memory"]
    assert (memory["min"], memory["max"], memory["count"]) == (21_504, 21_504, 6)
    assert found["request_latency"]["min"] > measured["min"]

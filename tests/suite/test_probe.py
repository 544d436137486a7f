"""`reelbench probe` against fakes of the servers that people have."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from reelbench.loadgen.http.credentials import Credentials
from reelbench.loadgen.option_line import Options
from reelbench.loadgen.options import check_options
from reelbench.loadgen.target.access import root_url
from reelbench.loadgen.target.identify import best, look_around, signs
from reelbench.loadgen.target.look import Looker
from reelbench.loadgen.target.target_file import TargetFile, load_target_file
from reelbench.suite.commands.command_line import call
from reelbench.suite.commands.probe import WIDTHS, main
from reelbench.suite.commands.run import _identified
from tests.fakes.generation import Load
from tests.fakes.manner import Manner
from tests.fakes.manners import SERVERS, manner
from tests.fakes.server import KEY, MODEL, Fake
from tests.fakes.serving import serving
from tests.loadgen.raw_server import Asked, Peer, raw

SMALL = ("--size", "320x192", "--seconds", "1")


@contextmanager
def running(fake: Fake) -> Iterator[Fake]:
    """Serve a fake in a thread, since a command runs its own event loop."""
    ready, loop, over = threading.Event(), asyncio.new_event_loop(), asyncio.Event()

    async def serve() -> None:
        async with serving(fake):
            ready.set()
            await over.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert ready.wait(10)
    try:
        yield fake
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()


def fake(server: str | Manner, *, seconds: float = 0.3, fail_every: int = 0) -> Fake:
    made = manner(server) if isinstance(server, str) else server
    return Fake(made, Load(seconds=seconds, fail_every=fail_every))


def probe(*words: str) -> int:
    return call("probe", main, words)


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.chdir(tmp_path)


async def identified(made: Manner, *, with_prefix: bool) -> str | None:
    async with serving(fake(made)) as served:
        url = root_url(served.base if with_prefix else served.origin, "/v1/videos")
        credentials = Credentials(origin=url, headers={"Authorization": f"Bearer {KEY}"})
        async with Looker(url, credentials) as looker:
            name, reasons = best(signs(await look_around(looker), url))
    assert bool(reasons) is (name is not None)
    return name


@pytest.mark.extended
@pytest.mark.parametrize("server", SERVERS)
async def test_every_server_is_named_right_without_a_job(server: str) -> None:
    for made in (manner(server), manner(server, metrics=frozenset())):
        for with_prefix in (True, False):
            assert await identified(made, with_prefix=with_prefix) == server


async def test_a_server_of_web_pages_is_not_named() -> None:
    async def page(_: web.Request) -> web.Response:
        return web.Response(text="<html>hello</html>", content_type="text/html")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", page)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with Looker(url, Credentials()) as looker:
        looks = await look_around(looker)
    await runner.cleanup()
    assert best(signs(looks, url)) == (None, [])
    assert looks.metric_names == set()


@pytest.mark.extended
@pytest.mark.parametrize("server", SERVERS)
def test_the_written_file_describes_the_server(server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with running(fake(server)) as served:
        assert probe(served.base, *SMALL) == 0
        jobs = served.truth.jobs
        assert len(jobs) == 1
        assert jobs[0].end == "completed"
        deletes = served.manner.delete != "absent" and not served.manner.synchronous
        assert (jobs[0].deleted is not None) is deletes
    printed = capsys.readouterr().out
    table = {line[:21].strip(): line[21:].strip() for line in printed.splitlines()}
    assert table["preset that fits best"[:21]].split()[-1] == server
    assert "h264 in mp4, 320x192" in table["file"]
    words = {*table["states"].split(" -> ")}
    assert served.manner.words.completed in words
    assert "makes one video at a time" in printed
    file = load_target_file(tmp_path / f"{server}.yaml")
    offers = file.offers
    assert offers.list is (served.manner.list not in {"absent", "needs_provider"})
    assert offers.delete is (served.manner.delete != "absent" and not served.manner.synchronous)
    assert file.create.model == (MODEL if served.manner.model == "required" else None)
    assert file.base_url == served.base
    assert 0.1 <= (file.pace.poll_interval or 0) <= 0.2 or served.manner.synchronous
    assert {name for one in file.metrics for name in one.names} == {
        "sglang_diffusion" if name == "sglang" else name for name in served.manner.metrics
    }
    assert KEY not in (tmp_path / f"{server}.yaml").read_text()


@pytest.mark.parametrize(
    ("server", "preset", "model"),
    [("litellm", "litellm", MODEL), ("vllm_omni", "vllm_omni", None), ("openai", None, None)],
)
def test_a_run_uses_the_preset_that_the_answers_speak_for(
    server: str, preset: str | None, model: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with running(fake(server)) as served:
        options = Options(target=served.base)
        settings = check_options(tmp_path / "run", "run", options)
        options, settings = _identified(options, settings, tmp_path / "run")
        assert served.truth.jobs == []
    assert (options.preset, options.model) == (preset, model)
    assert (settings.server.name if settings.server else None, settings.model) == (preset, model)
    said = capsys.readouterr().err
    assert ("its preset is used" in said, "with the model fake-video-1, its first" in said) == (
        preset is not None,
        model is not None,
    )


async def test_an_endless_page_and_a_redirect_elsewhere_harm_no_look() -> None:
    async def endless(peer: Peer, asked: Asked) -> None:
        if "/away" in asked.line:
            await peer.say(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.2:1/x\r\nContent-Length: 0\r\n\r\n")
            return
        await peer.say(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
        with suppress(ConnectionError):
            while True:
                await peer.say(b"x" * 65536)

    async with raw(endless) as server, Looker(server.url, Credentials()) as looker:
        look = await looker.get("/metrics")
        assert (look.status, len(look.body)) == (200, 2 * 1024 * 1024)
        assert (await looker.get("/away")).status == 302


def found_file(served: Fake, tmp_path: Path, *words: str) -> TargetFile:
    assert probe(served.base, *SMALL, "--preset", "openai", "--write", "found.yaml", *words) == 0
    return load_target_file(tmp_path / "found.yaml")


@pytest.mark.extended
@pytest.mark.parametrize(
    ("changes", "right"),
    [
        ({"bodies": frozenset({"form"})}, lambda file: file.create.encoding == "multipart"),
        ({"model": "required"}, lambda file: file.create.model == MODEL),
        ({"integer_seconds": True, "lengths": ()}, lambda file: file.create.seconds_as == "whole number"),
        ({"late_content": 2, "create_status": 202}, lambda file: file.offers.delete is True),
        ({"delete": "absent"}, lambda file: file.offers.delete is False),
    ],
)
def test_a_refused_request_is_written_in_another_way(
    changes: dict[str, object], right: Callable[[TargetFile], bool], tmp_path: Path
) -> None:
    with running(fake(msgspec.structs.replace(manner("openai"), **changes))) as served:
        assert right(found_file(served, tmp_path, "--seconds", "4"))
        assert len(served.truth.jobs) == 1


def test_the_shortest_length_that_the_server_names_is_taken(tmp_path: Path) -> None:
    with running(fake("openai")) as served:
        found_file(served, tmp_path)
        assert [job.clip.frames / job.clip.fps for job in served.truth.jobs] == [4]


def test_without_a_job_nothing_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with running(fake("sglang")) as served:
        assert probe(served.base, "--dry-run") == 0
        assert os.listdir(tmp_path) == []  # noqa: PTH208 - names are all that counts here
        assert probe(served.base, "--no-job") == 0
        assert served.truth.jobs == []
    printed = capsys.readouterr().out
    assert "none was sent" in printed
    assert "network_faults" not in printed  # needs nothing of the server
    assert max(map(len, printed.splitlines())) <= sum(WIDTHS) + 2
    assert load_target_file(tmp_path / "sglang.yaml").offers.list is True


def test_a_job_that_fails_or_does_not_end_is_exit_4(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with running(fake("vllm_omni", fail_every=1)) as served:
        assert probe(served.base, *SMALL) == 4
    assert "the job ended as failed: The generator ran out of memory." in capsys.readouterr().out
    with running(fake("fastvideo", seconds=60)) as served:
        assert probe(served.base, *SMALL, "--time-limit", "0.5") == 4
        assert served.truth.jobs[0].end == "cancelled"
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith("error: the job was still in_progress after 0.5 s and is given up; give a longer")
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - names are all that counts here


def test_bad_input_is_one_sentence_before_any_job(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there.yaml").write_text("kept")
    with running(fake("openai")) as served:
        for words, code, said in (
            (("--write", "there.yaml"), 2, "--write: there.yaml exists; give another name, or --force"),
            (("--write", "no/folder.yaml"), 2, "--write: there is no folder no; make it"),
            (("--size", "wide"), 2, "--size: is 'wide'; write it like 720x1280"),
            (("--seconds", "0"), 2, "--seconds: is '0'; use a number above 0"),
            (("--preset", "sora"), 2, "--preset: there is no preset 'sora'; use "),
            (("--api-key-env", "NO_SUCH_KEY"), 2, "--api-key-env: the environment variable NO_SUCH_KEY is not set"),
        ):
            assert probe(served.base, *words) == code, words
            (line,) = capsys.readouterr().err.splitlines()
            assert line.startswith(f"error: {said}")
        monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong-0123456789")
        assert probe(served.base) == 4
        (line,) = capsys.readouterr().err.splitlines()
        assert "refused the key that was sent (HTTP 401: the API key is not valid)" in line
        monkeypatch.delenv("OPENAI_API_KEY")
        assert probe(served.base) == 4
        assert "none was sent; set OPENAI_API_KEY" in capsys.readouterr().err
        assert served.truth.jobs == []
    assert probe("http://127.0.0.1:9") == 4
    assert "gives no HTTP answer (cannot connect: Connection refused)" in capsys.readouterr().err
    assert probe() == 2
    assert "--target: is missing" in capsys.readouterr().err
    assert (tmp_path / "there.yaml").read_text() == "kept"


@pytest.mark.extended
def test_an_interrupted_probe_deletes_its_job(tmp_path: Path) -> None:
    with running(fake("sglang", seconds=60)) as served:
        command = [sys.executable, "-m", "reelbench", "probe", served.base, *SMALL]
        path = {"PYTHONPATH": str(Path(__file__).parents[2])}
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | path) as child:
            assert child.stderr is not None
            for line in child.stderr:
                if "in_progress" in line:
                    child.send_signal(2)
                    break
            rest = child.stderr.read()
            assert child.wait(20) == 130, rest
        assert served.truth.jobs[0].end == "cancelled"
    assert "Traceback" not in rest

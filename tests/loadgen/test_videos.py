from __future__ import annotations

import asyncio
import sys
import textwrap
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from reelbench.loadgen.clock import Clock
from reelbench.loadgen.option_line import Options
from reelbench.loadgen.options import OptionsError, check_options
from reelbench.loadgen.plan.plan import PlannedJob
from reelbench.loadgen.plan.row import Ask
from reelbench.loadgen.record.jobs import read_jobs
from reelbench.loadgen.record.run import read_run
from reelbench.loadgen.record.videos import Deviation, Property, VideoRecord, read_videos
from reelbench.loadgen.videos import files as video_files
from reelbench.loadgen.videos import writer
from reelbench.loadgen.videos.check import VideoCheck
from reelbench.loadgen.videos.comparison import Wish, compare, wish
from reelbench.loadgen.videos.decoder import Decoded, examine
from reelbench.loadgen.videos.decoder_process import DecoderError, DecoderProcess
from reelbench.loadgen.videos.files import VideoFiles, choose
from tests.loadgen.fake_target import FakeTarget, serving
from tests.loadgen.made_videos import TITLE, video

COMMON = ("seconds", "size")


def planned(index: int = 0, **changes: object) -> PlannedJob:
    job = PlannedJob(
        scenario="trial",
        case="n01",
        index=index,
        warmup=False,
        steps=("create", "wait", "content"),
        encoding="json",
        prompt="A cat.",
        seconds="4",
        size="64x48",
        cancel_after=None,
        intended_start=None,
    )
    return msgspec.structs.replace(job, **changes)


def examined(folder: Path, data: bytes) -> Decoded:
    (folder / "file").write_bytes(data)
    return examine(str(folder / "file"))


def test_a_good_file_is_described(tmp_path: Path) -> None:
    found = examined(tmp_path, video(frames=97, fps=24))
    assert (found.error, found.container, found.codec, found.width, found.height) == (None, "mp4", "h264", 64, 48)
    assert (found.frames, found.fps, found.audio) == (97, 24.0, False)
    assert found.seconds == pytest.approx(97 / 24)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>no video</html>",
        bytes(range(256)) * 40,
        b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        video()[:900],
    ],
    ids=["empty", "html", "noise", "playlist", "list of files", "without index"],
)
def test_what_is_no_video_does_not_decode(tmp_path: Path, data: bytes) -> None:
    found = examined(tmp_path, data)
    assert found.error
    assert "\n" not in found.error
    assert found.frames == 0


def test_a_title_that_is_not_utf_8_says_nothing_about_the_picture(tmp_path: Path) -> None:
    data = video()
    assert data.count(TITLE.encode()) == 1
    found = examined(tmp_path, data.replace(TITLE.encode(), b"\xff" * len(TITLE)))
    assert (found.error, found.frames) == (None, 24)


def test_a_codec_that_ffmpeg_does_not_know_is_said(tmp_path: Path) -> None:
    data = video()
    assert data.count(b"avc1") == 2  # among the brands of the file, and as the codec
    brand, codec = data.index(b"avc1"), data.rindex(b"avc1")
    assert brand < 64 < codec
    (tmp_path / "file").write_bytes(data[:codec] + b"zzzz" + data[codec + 4 :])
    found = examine(str(tmp_path / "file"))
    assert (found.container, found.error) == ("mp4", "the picture has a codec that FFmpeg does not know")
    assert (found.codec, found.frames) == (None, 0)


def test_a_file_that_breaks_off_does_not_decode_to_its_end(tmp_path: Path) -> None:
    whole = video(frames=96, front=True)
    found = examined(tmp_path, whole[: len(whole) * 2 // 3])
    assert found.error is not None
    assert 0 < found.frames < 96
    assert f"{found.frames} frames" in found.error


GOOD = Decoded(container="mp4", codec="h264", width=64, height=48, seconds=4.0, frames=96, fps=24.0)


@pytest.mark.parametrize(
    ("asked", "changes", "wrong"),
    [
        (Wish(seconds=4, size=(64, 48)), {}, []),
        (Wish(seconds=4), {"seconds": 97 / 24, "frames": 97}, []),
        (Wish(seconds=4), {"seconds": 4.26}, [("length", "4.26 s", "4 s")]),
        (Wish(seconds=4), {"seconds": 4.4, "fps": 2.5}, []),
        (Wish(seconds=8), {}, [("length", "4.00 s", "8 s")]),
        (Wish(size=(64, 64)), {}, []),
        (Wish(size=(64, 65)), {}, [("size", "64x48", "64x65")]),
        (Wish(size=(48, 64)), {"width": 640}, [("size", "640x48", "48x64")]),
        (Wish(frames=100), {}, []),
        (Wish(frames=101), {}, [("frames", "96 frames", "101")]),
        (Wish(fps=23.976), {}, []),
        (Wish(fps=16), {}, [("fps", "24 fps", "16 fps")]),
        (Wish(), {}, []),
    ],
)
def test_a_file_is_compared_with_what_was_asked(
    asked: Wish, changes: dict[str, object], wrong: list[tuple[str, str, str]]
) -> None:
    found = compare(planned(), asked, msgspec.structs.replace(GOOD, **changes), 1000)
    assert [(one.kind, one.found, one.asked) for one in found.wrong] == wrong
    assert found.playable


def test_a_file_that_does_not_decode_is_wrong_in_nothing_else() -> None:
    broken = compare(planned(), Wish(seconds=8, size=(1, 1)), msgspec.structs.replace(GOOD, error="broken"), 7)
    assert broken.wrong == [Deviation(kind=Property.DECODES, found="broken")]
    assert (broken.asked, broken.playable, broken.bytes) == ([], False, 7)


def test_only_what_the_server_is_sent_is_asked() -> None:
    ask = Ask(num_frames=81, fps=16)
    assert wish(planned(), COMMON) == Wish(seconds=4.0, size=(64, 48))
    assert wish(planned(), ()) == Wish()
    assert wish(planned(), ("width", "height")) == Wish(size=(64, 48))
    assert wish(planned(ask=ask), COMMON) == Wish(seconds=4.0, size=(64, 48))
    assert wish(planned(ask=ask), ("seconds", "num_frames", "fps")) == Wish(seconds=81 / 16, frames=81, fps=16.0)
    assert wish(planned(ask=Ask(num_frames=81)), ("seconds", "num_frames")) == Wish(frames=81)
    assert wish(planned(), ("num_frames",), 16) == Wish(frames=64)
    assert wish(planned(), ("num_frames", "seconds"), 16) == Wish(seconds=4.0)
    assert wish(planned(ask=Ask(fps=24)), ("num_frames", "fps"), 16) == Wish(frames=96, fps=24.0)
    assert wish(planned(seconds="auto", size="auto"), COMMON) == Wish()


def test_a_seeded_sample_of_each_case_is_checked() -> None:
    plan = [planned(i, case=case, warmup=i < 2) for case in ("a", "b") for i in range(52)]
    plan.append(planned(52, case="a", steps=("create", "cancel")))
    every = choose(plan, None, 1)
    assert len(every) == 100
    few = choose(plan, 20, 1)
    assert {case: sum(1 for place in few if place[1] == case) for case in ("a", "b")} == {"a": 20, "b": 20}
    assert few < every
    assert few == choose(plan, 20, 1)
    assert few != choose(plan, 20, 2)
    assert choose(plan, 0, 1) == frozenset()


def downloaded(files: VideoFiles, job: PlannedJob, *chunks: bytes, complete: bool = True) -> None:
    with files.download(job) as file:
        assert file is not None
        file.begin()
        for chunk in chunks:
            file.write(chunk)
        if complete:
            file.complete()


def store(folder: Path, indexes: Iterable[int] = range(10)) -> VideoFiles:
    return VideoFiles(folder, frozenset(("trial", "n01", index) for index in indexes))


def test_files_wait_on_disk_and_are_gone_after_the_run(tmp_path: Path) -> None:
    files = store(tmp_path, [1, 2])
    with files.opened():
        downloaded(files, planned(2), b"ab", b"c")
        downloaded(files, planned(1), b"x")
        with files.download(planned(3)) as file:
            assert file is None
        waiting = files.waiting()
        assert [(file.job.index, file.path.read_bytes(), file.size) for file in waiting] == [
            (1, b"x", 1),
            (2, b"abc", 3),
        ]
        assert files.waiting() == []
    assert list(tmp_path.iterdir()) == []


def test_a_repeated_download_starts_anew(tmp_path: Path) -> None:
    files = store(tmp_path)
    with files.opened(), files.download(planned()) as file:
        assert file is not None
        for chunk in (b"a longer first attempt", b"whole"):
            file.begin()
            file.write(chunk)
        file.complete()
        files.writer.flush()
        assert (file.size, file.path.read_bytes()) == (5, b"whole")


def test_a_download_that_fails_leaves_nothing(tmp_path: Path) -> None:
    files = store(tmp_path)
    with files.opened():
        downloaded(files, planned(), b"half", complete=False)
        with suppress(TimeoutError), files.download(planned(1)) as file:
            assert file is not None
            file.begin()
            file.write(b"half")
            raise TimeoutError
        downloaded(files, planned(2))  # empty
        assert files.waiting() == []
        assert list((tmp_path / video_files.TEMPORARY).iterdir()) == []


def test_the_backlog_is_bounded_and_room_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video_files, "BACKLOG_BYTES", 10)
    monkeypatch.setattr(video_files, "FILE_BYTES", 8)
    files = store(tmp_path)
    with files.opened():
        downloaded(files, planned(0), b"123456")
        downloaded(files, planned(1), b"123", b"456")  # no room for the second part
        downloaded(files, planned(2), b"123")
        waiting = files.waiting()
        assert [file.job.index for file in waiting] == [0, 2]
        for file in waiting:
            file.delete()
        downloaded(files, planned(3), b"1234", b"56789")  # longer than a file may be
        downloaded(files, planned(4), b"12345678")
        assert [file.job.index for file in files.waiting()] == [4]


def test_a_slow_disk_gives_a_file_up_instead_of_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "QUEUE_BYTES", 10)
    files, go = store(tmp_path), threading.Event()
    with files.opened():
        files.writer.do(lambda: assert_set(go))
        downloaded(files, planned(0), b"12345678")
        downloaded(files, planned(1), b"123")  # 8 bytes wait already
        go.set()
        assert [(file.job.index, file.path.read_bytes()) for file in files.waiting()] == [(0, b"12345678")]
        downloaded(files, planned(2), b"123")
        assert [file.job.index for file in files.waiting()] == [2]


def assert_set(event: threading.Event) -> None:
    assert event.wait(10)


def test_a_file_that_cannot_be_written_is_not_checked(tmp_path: Path) -> None:
    files = store(tmp_path)
    with files.opened():
        (tmp_path / video_files.TEMPORARY / "trial.n01.0").mkdir()
        downloaded(files, planned(0), b"123")
        downloaded(files, planned(1), b"123")
        assert [file.job.index for file in files.waiting()] == [1]


class FakeDecoder(DecoderProcess):
    """Answers by the content of the file."""

    def __init__(self, *, able: bool = True) -> None:
        super().__init__()
        self.able = able
        self.seen: list[bytes] = []

    async def decode(self, path: Path) -> Decoded:
        if not self.able:
            raise DecoderError("PyAV cannot be loaded")
        self.seen.append(path.read_bytes())  # noqa: ASYNC240 - a few bytes
        return Decoded(error="broken") if b"bad" in self.seen[-1] else GOOD


def checking(
    files: VideoFiles, decoder: DecoderProcess, keep: int = 0
) -> tuple[VideoCheck, list[VideoRecord], list[str]]:
    records: list[VideoRecord] = []
    said: list[str] = []
    check = VideoCheck(
        files=files,
        decoder=decoder,
        asked=partial(wish, sent=COMMON),
        keep=keep,
        record=records.append,
        clock=Clock.start(),
        say=said.append,
    )
    return check, records, said


async def test_every_waiting_file_is_checked_deleted_and_the_wrong_ones_are_kept_first(tmp_path: Path) -> None:
    files = store(tmp_path)
    with files.opened():
        for index in range(4):
            downloaded(files, planned(index), b"bad" if index == 3 else b"good")
        check, records, said = checking(files, FakeDecoder(), keep=2)
        await check.run()
        files.writer.flush()
        assert list((tmp_path / video_files.TEMPORARY).iterdir()) == []
    assert [(r.index, r.playable, r.kept) for r in records] == [
        (0, True, "trial.n01.0.mp4"),
        (1, True, None),
        (2, True, None),
        (3, False, "trial.n01.3.bin"),
    ]
    assert sorted(path.name for path in (tmp_path / "videos").iterdir()) == ["trial.n01.0.mp4", "trial.n01.3.bin"]
    assert (tmp_path / "videos" / "trial.n01.3.bin").read_bytes() == b"bad"
    assert said == []


async def test_an_answer_without_a_file_is_recorded_and_not_decoded(tmp_path: Path) -> None:
    files = store(tmp_path)
    with files.opened():
        with files.download(planned(0)) as file:
            assert file is not None
            file.begin()
            file.refuse("content is empty")
        downloaded(files, planned(1), b"good")
        decoder = FakeDecoder()
        check, records, said = checking(files, decoder, keep=2)
        await check.run()
    assert decoder.seen == [b"good"]
    assert [(r.index, r.bytes, r.wrong, r.kept) for r in records] == [
        (0, 0, [Deviation(kind=Property.DECODES, found="content is empty")], None),
        (1, 4, [], "trial.n01.1.mp4"),
    ]
    assert said == []


async def test_files_that_are_too_large_are_said_not_to_be_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video_files, "FILE_BYTES", 8)
    files = store(tmp_path)
    with files.opened():
        check, records, said = checking(files, FakeDecoder())
        downloaded(files, planned(0), b"123456789")
        downloaded(files, planned(1), b"good")
        downloaded(files, planned(2), b"123456789")
        await check.run()
        downloaded(files, planned(3), b"good")
        await check.run()
    assert [record.index for record in records] == [1, 3]
    assert said == ["warning: 2 videos are not checked: larger than 512 MiB, or no room on the disk"]


async def test_without_a_decoder_the_run_goes_on_and_says_it_once(tmp_path: Path) -> None:
    files = store(tmp_path)
    with files.opened():
        check, records, said = checking(files, FakeDecoder(able=False), keep=1)
        for _ in range(2):
            downloaded(files, planned(), b"good")
            await check.run()
        files.writer.flush()
        assert list((tmp_path / video_files.TEMPORARY).iterdir()) == []
    assert (records, said) == ([], ["warning: PyAV cannot be loaded"])


@pytest.mark.acceptance
async def test_the_process_decodes_one_file_after_the_other(tmp_path: Path) -> None:
    decoder = DecoderProcess()
    try:
        for name, data in (("a", video()), ("b", b"no video"), ("c d", video(frames=12))):
            (tmp_path / name).write_bytes(data)
        assert (await decoder.decode(tmp_path / "a")).frames == 24
        assert (await decoder.decode(tmp_path / "b")).error == "Invalid data found when processing input"
        assert (await decoder.decode(tmp_path / "c d")).frames == 12
    finally:
        await decoder.close()


HOSTILE = """
    import os, signal, sys, time
    print("ready", flush=True)
    for line in sys.stdin:
        name = os.path.basename(line.strip())
        if name == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        if name == "cpu":
            os.kill(os.getpid(), signal.SIGXCPU)
        if name == "hang":
            time.sleep(60)
        print("{}" if name == "good" else "nonsense", flush=True)
"""


@pytest.mark.acceptance
async def test_a_file_that_crashes_or_stops_the_process_does_not_decode_and_the_next_one_does(tmp_path: Path) -> None:
    script = tmp_path / "hostile.py"
    script.write_text(textwrap.dedent(HOSTILE))
    decoder = DecoderProcess(2.0, script)
    begun = time.monotonic()
    found = {}
    for name in ("good", "crash", "cpu", "hang", "nonsense"):
        found[name] = (await decoder.decode(tmp_path / name)).error
        assert (await decoder.decode(tmp_path / "good")).error is None
    await decoder.close()
    assert found == {
        "good": None,
        "crash": "the decoder ends with SIGSEGV",
        "cpu": "decoding takes more than 60 s of CPU time",
        "hang": "decoding takes more than 2 s",
        "nonsense": "the decoder ends with exit code 0",
    }
    assert time.monotonic() - begun < 20


@pytest.mark.acceptance
async def test_a_process_that_does_not_start_is_said_with_the_cure(tmp_path: Path) -> None:
    script = tmp_path / "broken.py"
    script.write_text("import no_such_package")
    with pytest.raises(DecoderError, match="install the locked version of `av`"):
        await DecoderProcess(2.0, script).decode(tmp_path / "file")


@pytest.mark.extended
@pytest.mark.acceptance
async def test_a_run_looks_at_a_sample_of_its_files(tmp_path: Path) -> None:
    good, sent = video(72, 128, 96, 24), 0

    async def content(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        sent += 1
        return web.Response(body=good if sent % 3 else b"an error page", content_type="video/mp4")

    async with serving(FakeTarget(faults={"content": content})) as target:
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "reelbench.loadgen", "run", "--run-dir", str(tmp_path / "run"), "--run-id", "r1"),
            *("--target", target.url, "--scenario", "throughput", "--check-videos", "30", "--keep-videos", "12"),
            stderr=asyncio.subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        _, said = await child.communicate()
    assert child.returncode == 0, said
    jobs = {job.index: job for job in read_jobs(tmp_path / "run") if not job.warmup}
    records = read_videos(tmp_path / "run")
    assert (len(jobs), sent, len(records)) == (200, 205, 30)
    assert {record.index for record in records} <= set(jobs)
    broken = {record.index for record in records if not record.playable}
    assert broken == {index for index in (r.index for r in records) if jobs[index].bytes == len(b"an error page")}
    assert 3 <= len(broken) <= 17  # a third of 205 in a sample of 30
    whole = next(record for record in records if record.playable)
    assert (whole.frames, whole.seconds, whole.bytes) == (96, 4.0, len(good))
    assert [(one.kind, one.found, one.asked) for one in whole.wrong] == [("size", "72x128", "720x1280")]
    kept = [record for record in records if record.kept]
    assert len(kept) == 12
    assert sum(not record.playable for record in kept) == min(12, len(broken))
    assert {path.name for path in (tmp_path / "run" / "videos").iterdir()} == {record.kept for record in kept}
    assert read_run(tmp_path / "run").check_videos == 30
    assert not (tmp_path / "run" / video_files.TEMPORARY).exists()


@pytest.mark.parametrize("text", ["some", "-1", "1.5", "²"])
def test_a_wrong_number_of_checks_is_refused(tmp_path: Path, text: str) -> None:
    options = Options(target="http://127.0.0.1:1", check_videos=text, keep_videos=-1)
    with pytest.raises(OptionsError) as refused:
        check_options(tmp_path / "run", "r1", options)
    assert [line for line in refused.value.errors if "videos" in line] == [
        "--keep-videos: is -1; use 0 or more",
        f"--check-videos: {text!r} is no number of videos; use 0 or more, or all",
    ]


def test_all_files_or_none_can_be_checked(tmp_path: Path) -> None:
    given = {text: check_options(tmp_path / "run", "r1", Options(target="http://127.0.0.1:1", check_videos=text))
             for text in ("all", "0", "7", None)}  # fmt: skip
    assert {text: settings.check_videos for text, settings in given.items()} == {"all": None, "0": 0, "7": 7, None: 25}
